"""A sweep's directory: its plan, its results, and what it needs to resume.

    sweep.json            provenance of the first call, and the widths that bind every worker
    experiment.py         copy of the experiment, loaded to evaluate and restore; modules that it imports lie beside it
    runs.parquet          a row per planned run: run_id, pack, lane, every field, and its description
    runs.copy.parquet     a copy of it
    results/PACK.parquet  a row per ended run
    curves/PACK.parquet   a row per run and epoch
    checkpoints/PACK/     the pack's last chunk
    rungs/                successive halving: the decision at each rung and the standings behind it
    calls/CALL.json       provenance of each call

Every file is whole or absent and has a checksum; damaged and foreign files are set aside with one line each.
The parts of many ended packs are joined into `merged-….parquet` (`lanes.storage.compaction`).
"""

import contextlib
import os
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from lanes.errors import DamagedFileError, RequestError
from lanes.files import remove_leftovers, write_bytes
from lanes.storage import checkpoints, sealed
from lanes.storage.claims import Claims
from lanes.storage.intact_files import IntactFiles, print_warning
from lanes.storage.schema import (
    CURVES,
    MEASURED,
    PACK,
    RESULTS,
    STANDINGS,
    Columns,
    arrow_schema,
    by_column,
    conformed,
    part_columns,
    part_table,
)
from lanes.storage.tables import read_table, write_table
from lanes.storage.typed import stacked, to_pandas

FORMAT = 3  # format 1 identified runs by our module paths, format 2 the user's functions by their own text
MERGED = "merged-"
PACK_NAME = re.compile(r"[0-9a-f]{1,64}")
ATTEMPTS = 20  # at listing parts while another worker joins them


class Directory(IntactFiles):
    """Paths of a sweep's directory, and methods that read and write its files.

    Args:
        path: the directory.
        warn: called with one line for each damaged file.
        changes: whether a damaged file is set aside, or only ignored.
    """

    def __init__(self, path: str | os.PathLike[str], warn: Callable[[str], None] = print_warning, changes: bool = True):
        super().__init__(path, warn, changes)
        self.sweep_file = self.path / "sweep.json"
        self.runs_file = self.path / "runs.parquet"
        self.runs_copy = self.path / "runs.copy.parquet"
        self.results = self.path / "results"
        self.curves = self.path / "curves"
        self.checkpoints = self.path / "checkpoints"
        self.rungs = self.path / "rungs"
        self.calls = self.path / "calls"
        self._inside: dict[Path, tuple[Any, frozenset[str]]] = {}
        self._measured: tuple[Any, frozenset[str]] = (None, frozenset())

    def create(self) -> None:
        """Make the directory and its folders, and delete temporary files of killed workers.

        Raises RequestError if the directory cannot be written.
        """
        try:
            for folder in (self.results, self.curves, self.checkpoints, self.calls):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".writable.{uuid.uuid4().hex[:8]}"
            write_bytes(probe, b"")
            probe.unlink()
        except OSError as error:
            raise RequestError(
                f"--out {self.path} cannot be written ({error.strerror}): choose another directory, or make it writable"
            ) from None
        for folder in (self.path, self.results, self.curves, self.calls):
            remove_leftovers(folder)

    # ---- sweep.json ----------------------------------------------------------------------------------------------

    def read_sweep(self) -> dict[str, Any]:
        """The content of sweep.json; empty if it is missing or damaged.

        Raises RequestError for a directory of another format.
        """
        content = self.read_sealed(self.sweep_file)
        if content is None:
            return {}
        if content.get("format") != FORMAT:
            raise RequestError(
                f"{self.path} has format {content.get('format')}: this version reads {FORMAT}; use the version that wrote it"
            )
        return content

    def write_sweep(self, content: dict[str, Any]) -> None:
        """Write sweep.json with its checksum."""
        sealed.write_sealed(self.sweep_file, {**content, "format": FORMAT})

    def read_sealed(self, path: Path) -> dict[str, Any] | None:
        """The content of a sealed JSON file; None if it is missing or damaged. A damaged one is set aside."""
        if not path.exists():
            return None
        content = sealed.read_sealed(path)
        if content is None:
            self.set_aside(path, "does not match its checksum", sealed.read_sealed)
        return content

    def write_call(self, name: str, content: dict[str, Any]) -> None:
        """Write what a call was, with its checksum."""
        sealed.write_sealed(self.calls / f"{name}.json", content)

    def read_call(self, name: str) -> dict[str, Any] | None:
        """What a call was; None if its file is missing or damaged."""
        return self.read_sealed(self.calls / f"{name}.json")

    # ---- planned runs --------------------------------------------------------------------------------------------

    def read_runs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The planned runs, all columns or some; empty if there are none yet or both copies are damaged."""
        table = self.runs_table(columns)
        return pd.DataFrame() if table is None else to_pandas(table)

    def runs_table(self, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The planned runs in Arrow's types; None if there are none yet or both copies are damaged."""
        for path in (self.runs_file, self.runs_copy):
            table = self.read(path, columns, remedy="its copy is used")
            if table is not None:
                known = table["pack"].to_pylist() if "pack" in table.column_names else []
                if all(PACK_NAME.fullmatch(str(name)) for name in known):
                    return table
                self.warn(f"{path}: has pack names that this program does not make: ignored")
        return None

    def planned_runs(self) -> pd.DataFrame:
        """The planned runs.

        Raises RequestError if there are none or both copies are damaged.
        """
        table = self.read_runs()
        if table.empty:
            raise RequestError(
                f"{self.path} has no intact table of its runs: run the sweep's command again to restore it"
            )
        return table

    def write_runs(self, table: pd.DataFrame) -> None:
        """Write the table of planned runs and its copy."""
        typed = conformed(table)
        for path in (self.runs_copy, self.runs_file):
            write_table(path, typed, self.name_of(path))

    def measured(self) -> frozenset[str]:
        """The metric columns of all planned runs; cached while their table stays the same."""
        stamps = [_stamp(path) for path in (self.runs_file, self.runs_copy)]
        if self._measured[0] != stamps:
            table = self.runs_table([MEASURED]) if any(stamps) else None
            known = [] if table is None or MEASURED not in table.column_names else table[MEASURED].unique().to_pylist()
            self._measured = stamps, frozenset(name for names in known if names for name in names.split())
        return self._measured[1]

    def mend_runs(self) -> None:
        """Restore a missing table of planned runs from its copy, or the copy from it. Call it holding the lock "plan"."""
        if self.runs_file.exists() != self.runs_copy.exists():
            table = self.read_runs()
            if len(table):
                self.write_runs(table)

    # ---- parts: results and curves -------------------------------------------------------------------------------

    def columns_of(self, folder: Path, further: Iterable[str] = ()) -> Columns:
        """The columns of a table's parts: with the metrics of all planned runs, whatever a pack measures, and `further`."""
        if folder == self.results:
            return part_columns(RESULTS, {*self.measured(), *further})
        if folder == self.curves:
            return part_columns(CURVES, {*(name for name in self.measured() if name.startswith("valid_")), *further})
        return part_columns(STANDINGS, further)

    def write_part(self, folder: Path, name: str, rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> None:
        """Write a part of a table: results or curves of a pack."""
        path, values = folder / f"{name}.parquet", by_column(rows)
        columns: Columns | None = None
        while columns != (
            current := self.columns_of(folder, values)
        ):  # another worker may plan further metrics meanwhile
            columns = current
            write_table(path, part_table(values, columns, name), self.name_of(path))

    def read_part(self, folder: Path, name: str) -> pd.DataFrame | None:
        """A part, from its own file or a merged one; None if it is missing or damaged."""
        for _ in range(ATTEMPTS):
            own = self.read(folder / f"{name}.parquet")
            if own is not None:
                return to_pandas(own).drop(columns=PACK, errors="ignore")
            try:
                for path in self.listed(folder):
                    if path.name.startswith(MERGED) and name in self._packs_inside(path):
                        table = to_pandas(read_table(path, self.name_of(path)))
                        return table[table[PACK] == name].drop(columns=PACK, errors="ignore").reset_index(drop=True)
            except FileNotFoundError:
                continue  # merged again meanwhile
            return None
        return None

    def read_parts(self, folder: Path) -> pd.DataFrame:
        """All parts of a table, one row per run (and epoch); of duplicates, a row that did not fail wins.

        Its columns and types are those of `columns_of`, also if there is no part yet.
        """
        parts: list[pa.Table] = []
        for _ in range(ATTEMPTS):
            try:
                parts = [
                    part for path in self.listed(folder) if (part := self.read(path, missing_ok=False)) is not None
                ]
                break
            except FileNotFoundError:
                continue  # joined with others meanwhile
        table = to_pandas(stacked([arrow_schema(self.columns_of(folder)).empty_table(), *parts])).drop(
            columns=PACK, errors="ignore"
        )
        if "status" in table.columns:
            table = table.sort_values("status", key=lambda status: status == "failed", kind="stable")
        keys = [name for name in ("run_id", "epoch") if name in table.columns]
        return table.drop_duplicates(keys, ignore_index=True)

    def parts(self, folder: Path) -> set[str]:
        """Names of the packs that have an intact part; every byte is verified."""
        for _ in range(ATTEMPTS):
            try:
                return set().union(*(self._packs_inside(path) for path in self.listed(folder)))
            except FileNotFoundError:
                continue
        return set()

    def ended(self) -> set[str]:
        """run_ids of the runs that have ended without failing."""
        results = self.read_parts(self.results)
        return set() if results.empty else set(results.loc[results["status"] != "failed", "run_id"])

    def lacking(self, packs: Iterable[str]) -> set[str]:
        """Packs that have results but lost their curves, or their only checkpoint, to damage."""
        with_results, with_curves = self.parts(self.results), self.parts(self.curves)
        return {
            name
            for name in packs
            if name in with_results and (name not in with_curves or checkpoints.was_lost(self.checkpoints / name))
        }

    def has_ended(self, pack: str) -> bool:
        """Whether a pack has results, none of them failed, and has lost nothing to damage."""
        part = self.read_part(self.results, pack)
        if part is None or (part["status"] == "failed").any():
            return False
        return self.read_part(self.curves, pack) is not None and not checkpoints.was_lost(self.checkpoints / pack)

    def listed(self, folder: Path) -> list[Path]:
        """Files of a table's parts, merged ones last."""
        return sorted(folder.glob("*.parquet"), key=lambda path: (path.name.startswith(MERGED), path.name))

    def _packs_inside(self, path: Path) -> frozenset[str]:
        """The packs in a part, cached while the file stays the same; none if it is damaged."""
        if (key := _stamp(path)) is None:
            raise FileNotFoundError(path)
        known = self._inside.get(path)
        if known is None or known[0] != key:
            if path.name.startswith(MERGED):
                table = self.read(path, [PACK], missing_ok=False)
                names = frozenset() if table is None else frozenset(table[PACK].unique().to_pylist())
            else:
                names = frozenset([path.stem]) if self.verify(path) else frozenset()
            self._inside[path] = known = (key, names)
        return known[1]

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def checkpoint(self, pack: str) -> tuple[int, dict[str, Any]] | None:
        """(epoch, leaves) of a pack's newest intact checkpoint, or None; a worker may be writing it.

        Raises DamagedFileError if all are damaged. They are set aside, so that the sweep's command trains the pack again.
        """
        folder = self.checkpoints / pack
        try:
            return checkpoints.read(folder)
        except DamagedFileError as error:
            claims = Claims(self.path)
            with contextlib.suppress(OSError):
                if claims.take(pack):
                    try:
                        if (intact := checkpoints.load(folder, self.warn)) is not None:
                            return intact
                    finally:
                        claims.release(pack)
            raise DamagedFileError(f"{error}: run the sweep's command again to train the pack again") from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced; None if it is missing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def existing(directories: Iterable[str | os.PathLike[str]]) -> list[Directory]:
    """The directories, each checked to hold a sweep.

    Raises RequestError for one that holds none, or that has another format.
    """
    out = []
    for path in directories:
        directory = Directory(path)
        if not directory.runs_file.exists() and not directory.runs_copy.exists():
            raise RequestError(f"{path} holds no sweep (runs.parquet is missing): name the --out of a sweep")
        directory.read_sweep()
        out.append(directory)
    return out
