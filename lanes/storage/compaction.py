"""Joins the small parts of a table, so that a sweep of thousands of packs keeps tens of files, and widens them.

The parts of ended packs are joined, `PACKS` at a time, and deleted once the joined file is on the disk. A kill in between
leaves rows on the disk twice; readers drop the duplicates, and list again if a part disappears under them. A joined file's
name is a hash of its packs' names. It stays small, so damage to it costs at most `PACKS` packs.

Parts are widened when runs with further metrics are planned: all parts of a table then have the same columns again.
"""

import contextlib
import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lanes.errors import DamagedFileError
from lanes.files import open_regular
from lanes.storage import pandas_when_used as pd
from lanes.storage.claims import Claims
from lanes.storage.directory import MERGED, Directory
from lanes.storage.schema import PACK, Columns, arrow_schema, widened
from lanes.storage.tables import write_table

PACKS = 50  # packs in a joined part
JOIN = "join"  # the lock for joining and widening


def join_parts(directory: Directory, packs: int = PACKS) -> None:
    """Join the results and curves of ended packs, `packs` at a time; a remainder stays as it is."""
    claims = Claims(directory.path)
    if not claims.take(JOIN):
        return  # another worker is joining
    try:
        own = {folder: _own_parts(directory, folder) for folder in (directory.curves, directory.results)}
        enough = any(len(names) >= packs for names in own.values())
        ended = _ended(directory) if enough else set()
        for folder, parts in own.items():
            names = sorted(parts & ended)
            for at in range(0, len(names) - packs + 1, packs):
                _join(directory, folder, names[at : at + packs])
    finally:
        claims.release(JOIN)


def _own_parts(directory: Directory, folder: Path) -> set[str]:
    """Packs whose part is in no joined one. One that is, after a kill while joining, is deleted if it is of the same state.

    The part of a pack that was trained again since then stays: it is read before the joined ones.
    """
    own = {path.stem for path in directory.listed(folder) if not path.name.startswith(MERGED)}
    joined = directory.marks(folder, own=False)
    for name in sorted(own & joined.keys()):
        path = folder / f"{name}.parquet"
        with contextlib.suppress(FileNotFoundError):
            seal = directory.seal_of(path)
            if seal is not None and joined[name] is not None and seal.marks.get(name) == joined[name]:
                path.unlink()
    return own - joined.keys()


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
    marks = directory.marks(folder)
    parts = {name: directory.read_part(folder, name) for name in names}
    intact = {name: part.assign(**{PACK: name}) for name, part in parts.items() if part is not None}
    if len(intact) < 2:
        return
    table = pd.concat(list(intact.values()), ignore_index=True)
    joined = MERGED + hashlib.sha256(" ".join(intact).encode()).hexdigest()[:16]
    directory.write_part(folder, joined, table, {name: marks.get(name) for name in intact})
    for name in intact:
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{name}.parquet").unlink()


def widen_parts(directory: Directory) -> None:
    """Write parts that lack the column of a planned metric again, with nulls in it.

    A part whose pack is being trained is left to its worker, whose next part has all columns.
    """
    claims = Claims(directory.path)
    with claims.hold(JOIN, directory.warn):
        for folder in (directory.curves, directory.results):
            columns = directory.columns_of(folder)
            for path in directory.listed(folder):
                if _has_schema(path, columns):
                    continue
                pack = None if path.name.startswith(MERGED) else path.stem
                if pack is not None and not claims.take(pack):
                    continue
                try:
                    seal, table = directory.seal_of(path), directory.read(path)
                    if seal is not None and table is not None:
                        write_table(path, widened(table, columns), seal)
                finally:
                    if pack is not None:
                        claims.release(pack)


def _has_schema(path: Path, columns: Columns) -> bool:
    """Whether a part has these columns; false for a damaged one, which is noticed when it is read."""
    try:
        with open_regular(path) as file:
            return pq.read_schema(file).equals(arrow_schema(columns))
    except (OSError, DamagedFileError, pa.ArrowException):
        return False
