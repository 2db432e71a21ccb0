"""Joining the small parts of a table: a sweep of thousands of packs keeps tens of files.

The parts of ended packs are joined, `PACKS` at a time, into one file, and deleted when it is whole on the disk. A kill in
between leaves rows twice on the disk, which readers see once; a reader that finds a listed part gone lists again. The
joined file is named by what is in it, and stays small enough that damage to it costs only so many packs.
"""

import contextlib
import hashlib
from pathlib import Path

import pandas as pd

from lanes.storage.claims import Claims
from lanes.storage.directory import MERGED, PACK, Directory

PACKS = 50  # in a joined part


def join_parts(directory: Directory, packs: int = PACKS) -> None:
    """Join results and curves of ended packs, `packs` at a time; fewer stay as they are."""
    claims = Claims(directory.path)
    if not claims.take("join"):
        return  # another worker does it
    try:
        ended = _ended(directory)
        for folder in (directory.curves, directory.results):
            names = sorted(path.stem for path in directory.listed(folder) if path.stem in ended)
            for at in range(0, len(names) - packs + 1, packs):
                _join(directory, folder, names[at : at + packs])
    finally:
        claims.release("join")


def _ended(directory: Directory) -> set[str]:
    """Packs whose results are there, none failed."""
    out = {name for name in directory.parts(directory.results) if not (directory.results / f"{name}.parquet").exists()}
    for path in directory.listed(directory.results):
        if not path.name.startswith(MERGED):
            part = directory.read_part(directory.results, path.stem)
            if part is not None and not (part["status"] == "failed").any():
                out.add(path.stem)
    return out


def _join(directory: Directory, folder: Path, names: list[str]) -> None:
    parts = {name: directory.read_part(folder, name) for name in names}
    there = {name: part.assign(**{PACK: name}) for name, part in parts.items() if part is not None}
    if len(there) < 2:
        return
    table = pd.concat([part.astype(object) if folder == directory.results else part for part in there.values()])
    called = MERGED + hashlib.sha256(" ".join(there).encode()).hexdigest()[:16]
    directory.write_part(folder, called, table)
    for name in there:
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{name}.parquet").unlink()
