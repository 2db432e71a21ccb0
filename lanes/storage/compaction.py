"""Joins the small parts of a table, so that a sweep of thousands of packs keeps tens of files.

The parts of ended packs are joined, `PACKS` at a time, and deleted once the joined file is on the disk. A kill in between
leaves rows on the disk twice; readers drop the duplicates, and list again if a part disappears under them. A joined file's
name is a hash of its packs' names. It stays small, so damage to it costs at most `PACKS` packs.
"""

import contextlib
import hashlib
from pathlib import Path

import pandas as pd

from lanes.storage.claims import Claims
from lanes.storage.directory import MERGED, PACK, Directory

PACKS = 50  # packs in a joined part


def join_parts(directory: Directory, packs: int = PACKS) -> None:
    """Join the results and curves of ended packs, `packs` at a time; a remainder stays as it is."""
    claims = Claims(directory.path)
    if not claims.take("join"):
        return  # another worker is joining
    try:
        ended = _ended(directory)
        for folder in (directory.curves, directory.results):
            names = sorted(path.stem for path in directory.listed(folder) if path.stem in ended)
            for at in range(0, len(names) - packs + 1, packs):
                _join(directory, folder, names[at : at + packs])
    finally:
        claims.release("join")


def _ended(directory: Directory) -> set[str]:
    """Packs that have results, none of them failed."""
    out = {name for name in directory.parts(directory.results) if not (directory.results / f"{name}.parquet").exists()}
    for path in directory.listed(directory.results):
        if not path.name.startswith(MERGED):
            part = directory.read_part(directory.results, path.stem)
            if part is not None and not (part["status"] == "failed").any():
                out.add(path.stem)
    return out


def _join(directory: Directory, folder: Path, names: list[str]) -> None:
    parts = {name: directory.read_part(folder, name) for name in names}
    intact = {name: part.assign(**{PACK: name}) for name, part in parts.items() if part is not None}
    if len(intact) < 2:
        return
    table = pd.concat([part.astype(object) if folder == directory.results else part for part in intact.values()])
    joined = MERGED + hashlib.sha256(" ".join(intact).encode()).hexdigest()[:16]
    directory.write_part(folder, joined, table)
    for name in intact:
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{name}.parquet").unlink()
