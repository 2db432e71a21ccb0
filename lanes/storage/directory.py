"""A sweep's directory: its plan, its results, and what it needs to resume.

    sweep.json            provenance, and the widths that bind every worker
    experiment.py         copy of the experiment, loaded to evaluate and restore; modules that it imports lie beside it
    runs.parquet          a row per planned run: run_id, pack, lane, every field, and its description
    runs.copy.parquet     a copy of it
    results/PACK.parquet  a row per ended run
    curves/PACK.parquet   a row per run and epoch
    checkpoints/PACK/     the pack's last chunk
    rungs/                successive halving: the decision at each rung and the standings behind it

Every file is whole or absent and has a checksum; damaged and foreign files are set aside with one line each.
The parts of many ended packs are joined into `merged-….parquet` (`lanes.storage.compaction`).
"""

import contextlib
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.errors import DamagedFileError, RequestError, printable
from lanes.files import remove_leftovers, write_bytes
from lanes.storage import checkpoints, sealed
from lanes.storage.claims import Claims
from lanes.storage.tables import read_table, verified, write_table

FORMAT = 3  # format 1 identified runs by our module paths, format 2 the user's functions by their own text
PACK = "part"  # column of merged parts: the part a row comes from
MERGED = "merged-"
PACK_NAME = re.compile(r"[0-9a-f]{1,64}")
ATTEMPTS = 20  # at listing parts while another worker joins them
REMEDY = "the sweep's command makes it again"


def print_warning(line: str) -> None:
    """Print a line on standard error."""
    print(printable(line), file=sys.stderr, flush=True)


class Directory:
    """Paths of a sweep's directory, and methods that read and write its files.

    Args:
        path: the directory.
        warn: called with one line for each damaged file.
        changes: whether a damaged file is set aside, or only ignored.
    """

    def __init__(self, path: str | os.PathLike[str], warn: Callable[[str], None] = print_warning, changes: bool = True):
        self.path = Path(path)
        self.warn, self.changes = warn, changes
        self.sweep_file = self.path / "sweep.json"
        self.runs_file = self.path / "runs.parquet"
        self.runs_copy = self.path / "runs.copy.parquet"
        self.results = self.path / "results"
        self.curves = self.path / "curves"
        self.checkpoints = self.path / "checkpoints"
        self.rungs = self.path / "rungs"
        self._inside: dict[Path, tuple[Any, frozenset[str]]] = {}

    def create(self) -> None:
        """Make the directory and its folders, and delete temporary files of killed workers.

        Raises RequestError if the directory cannot be written.
        """
        try:
            for folder in (self.results, self.curves, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".writable.{uuid.uuid4().hex[:8]}"
            write_bytes(probe, b"")
            probe.unlink()
        except OSError as error:
            raise RequestError(
                f"--out {self.path} cannot be written ({error.strerror}): choose another directory, or make it writable"
            ) from None
        for folder in (self.path, self.results, self.curves):
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

    # ---- planned runs --------------------------------------------------------------------------------------------

    def read_runs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The planned runs, all columns or some; empty if there are none yet or both copies are damaged."""
        for path in (self.runs_file, self.runs_copy):
            table = self._read(path, columns, remedy="its copy is used")
            if table is not None:
                known = table.get("pack", pd.Series(dtype=object))
                if known.map(lambda name: PACK_NAME.fullmatch(str(name)) is not None).all():
                    return table
                self.warn(f"{path}: has pack names that this program does not make: ignored")
        return pd.DataFrame()

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
        for path in (self.runs_copy, self.runs_file):
            write_table(path, table, self._name(path))

    def mend_runs(self) -> None:
        """Restore a missing table of planned runs from its copy, or the copy from it. Call it holding the lock "plan"."""
        if self.runs_file.exists() != self.runs_copy.exists():
            table = self.read_runs()
            if len(table):
                self.write_runs(table)

    # ---- parts: results and curves -------------------------------------------------------------------------------

    def write_part(self, folder: Path, name: str, rows: list[dict[str, Any]] | pd.DataFrame) -> None:
        """Write a part of a table: results or curves of a pack."""
        path = folder / f"{name}.parquet"
        write_table(path, pd.DataFrame(rows), self._name(path))

    def read_part(self, folder: Path, name: str) -> pd.DataFrame | None:
        """A part, from its own file or a merged one; None if it is missing or damaged."""
        for _ in range(ATTEMPTS):
            own = self._read(folder / f"{name}.parquet")
            if own is not None:
                return own
            try:
                for path in self.listed(folder):
                    if path.name.startswith(MERGED) and name in self._packs_inside(path):
                        table = read_table(path, self._name(path))
                        return table[table[PACK] == name].drop(columns=PACK).reset_index(drop=True)
            except FileNotFoundError:
                continue  # merged again meanwhile
            return None
        return None

    def read_parts(self, folder: Path) -> pd.DataFrame:
        """All parts of a table, one row per run (and epoch); of duplicates, a row that did not fail wins."""
        for _ in range(ATTEMPTS):
            try:
                parts = [
                    part for path in self.listed(folder) if (part := self._read(path, missing_ok=False)) is not None
                ]
                break
            except FileNotFoundError:
                continue  # joined with others meanwhile
        parts = [part for part in parts if len(part)]
        if not parts:
            return pd.DataFrame()
        table = pd.concat(parts, ignore_index=True).drop(columns=PACK, errors="ignore")
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
        found = [path for path in folder.glob("*.parquet") if not path.name.startswith(checkpoints.ASIDE)]
        return sorted(found, key=lambda path: (path.name.startswith(MERGED), path.name))

    def _packs_inside(self, path: Path) -> frozenset[str]:
        """The packs in a part, cached while the file stays the same; none if it is damaged."""
        stamp = path.stat()
        key = (stamp.st_mtime_ns, stamp.st_size, stamp.st_ino)
        known = self._inside.get(path)
        if known is None or known[0] != key:
            if path.name.startswith(MERGED):
                table = self._read(path, [PACK], missing_ok=False)
                names = frozenset() if table is None else frozenset(table[PACK])
            else:
                names = frozenset([path.stem]) if self._verify(path) else frozenset()
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

    # ---- damaged files -------------------------------------------------------------------------------------------

    def _name(self, path: Path) -> str:
        return "runs" if path.parent == self.path else f"{path.parent.name}/{path.stem}"

    def _read(
        self,
        path: Path,
        columns: Sequence[str] | None = None,
        *,
        missing_ok: bool = True,
        remedy: str = REMEDY,
    ) -> pd.DataFrame | None:
        """A table, or None if it is missing or damaged. A damaged one is set aside."""
        try:
            return read_table(path, self._name(path), columns)
        except FileNotFoundError:
            if missing_ok:
                return None
            raise
        except DamagedFileError as error:
            self.set_aside(path, str(error), self._is_intact, remedy)
            return None

    def _verify(self, path: Path) -> bool:
        """Whether a table is intact; a damaged one is set aside."""
        try:
            verified(path, self._name(path))
        except DamagedFileError as error:
            self.set_aside(path, str(error), self._is_intact)
            return False
        return True

    def _is_intact(self, path: Path) -> bool:
        try:
            verified(path, self._name(path))
        except (DamagedFileError, OSError):
            return False
        return True

    def set_aside(self, path: Path, why: str, is_intact: Callable[[Path], Any], remedy: str = REMEDY) -> None:
        """Rename a damaged file, unless another worker has replaced it with an intact one meanwhile.

        Args:
            path: the file.
            why: what is wrong with it, for the warning.
            is_intact: true for an intact file.
            remedy: what becomes of its content, for the warning.
        """
        if is_intact(path):
            return
        shown = path.relative_to(self.path)
        if not self.changes:
            self.warn(f"{self.path}: {shown} {why}: ignored")
            return
        try:
            self.warn(f"{self.path}: {shown} {why}: set aside as {checkpoints.set_aside(path).name}; {remedy}")
        except FileNotFoundError:
            pass  # another worker was faster
        except OSError:
            self.warn(f"{self.path}: {shown} {why}: ignored")


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
