"""A sweep's directory: what was asked, what has ended, and what can go on.

    sweep.json            provenance, and the widths that bind all who resume or help
    experiment.py         the copy that evaluation and restoring load
    runs.parquet          a row per planned run: run_id, pack, lane, every field, and its description
    runs.copy.parquet     the same again
    results/PACK.parquet  a row per ended run
    curves/PACK.parquet   a row per run and epoch
    checkpoints/PACK/     the pack's last chunk
    rungs/                of a halving: what each rung decided, and the standings it did so from

Every file is whole or absent, and proves itself by a checksum; damaged and foreign ones are set aside with one line.
The parts of many ended packs are joined into `merged-….parquet` (`lanes.storage.compaction`).
"""

import contextlib
import hashlib
import json
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.errors import DamagedFileError, RequestError
from lanes.files import remove_leftovers, write_bytes
from lanes.storage import checkpoints
from lanes.storage.claims import Claims
from lanes.storage.tables import read_table, verified, write_table

FORMAT = 2  # 1: runs known by our own module paths
SEAL = "sha256"
PACK = "part"  # the column of merged parts that says which part a row is from
MERGED = "merged-"
PACK_NAME = re.compile(r"[0-9a-f]{1,64}")
ATTEMPTS = 20  # at listing parts while another worker joins them


def tell(line: str) -> None:
    """One line for the user, beside what a script prints."""
    print(line, file=sys.stderr, flush=True)


class Directory:
    """Paths, and reading and writing of the files of a sweep's directory.

    Args:
        path: the directory.
        warn: called with one line for each damaged file.
    """

    def __init__(self, path: str | os.PathLike[str], warn: Callable[[str], None] = tell):
        self.path = Path(path)
        self.warn = warn
        self.sweep_file = self.path / "sweep.json"
        self.runs_file = self.path / "runs.parquet"
        self.runs_copy = self.path / "runs.copy.parquet"
        self.results = self.path / "results"
        self.curves = self.path / "curves"
        self.checkpoints = self.path / "checkpoints"
        self.rungs = self.path / "rungs"
        self._inside: dict[Path, tuple[Any, frozenset[str]]] = {}

    def create(self) -> None:
        """Make the directory and its folders, and clear away what killed workers left half-written.

        Raises RequestError where that is not possible.
        """
        try:
            for folder in (self.results, self.curves, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".writable.{uuid.uuid4().hex[:8]}"
            write_bytes(probe, b"")
            probe.unlink()
        except OSError as error:
            raise RequestError(
                f"--out {self.path} cannot be written ({error.strerror}): choose another directory, or mend this one"
            ) from None
        for folder in (self.path, self.results, self.curves):
            remove_leftovers(folder)

    # ---- sweep.json ----------------------------------------------------------------------------------------------

    def read_sweep(self) -> dict[str, Any]:
        """What `write_sweep` wrote; empty where there is none or it is damaged.

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
        self.write_sealed(self.sweep_file, {**content, "format": FORMAT})

    def read_sealed(self, path: Path) -> dict[str, Any] | None:
        """What `write_sealed` wrote; None where there is none or it is damaged."""
        if not path.exists():
            return None
        content = _sealed(path)
        if content is None:
            self._set_aside(path, "does not have the checksum that it was written with", _sealed)
        return content

    def write_sealed(self, path: Path, content: dict[str, Any]) -> None:
        """Write a JSON file with its checksum."""
        content = json.loads(json.dumps(content, default=str))
        write_bytes(path, json.dumps({**content, SEAL: _seal(content)}, indent=1).encode())

    # ---- planned runs --------------------------------------------------------------------------------------------

    def read_runs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The planned runs, all columns or some; empty where there are none yet, or both copies are damaged."""
        for path in (self.runs_file, self.runs_copy):
            table = self._read(path, columns, remedy="its copy is used")
            if table is not None:
                known = table.get("pack", pd.Series(dtype=object))
                if known.map(lambda name: PACK_NAME.fullmatch(str(name)) is not None).all():
                    return table
                self.warn(f"{path}: names packs that are not of this program's making: ignored")
        return pd.DataFrame()

    def planned_runs(self) -> pd.DataFrame:
        """The planned runs.

        Raises RequestError where there are none, or both copies are damaged.
        """
        table = self.read_runs()
        if table.empty:
            raise RequestError(
                f"{self.path} has no whole table of its runs: run the sweep's command again to make it again"
            )
        return table

    def write_runs(self, table: pd.DataFrame) -> None:
        """Write the table of planned runs, and its copy."""
        for path in (self.runs_copy, self.runs_file):
            write_table(path, table, self._name(path))

    def mend_runs(self) -> None:
        """Make a missing one of the two tables of planned runs from the other. Only under the lock "plan"."""
        if self.runs_file.exists() != self.runs_copy.exists():
            table = self.read_runs()
            if len(table):
                self.write_runs(table)

    # ---- parts: results and curves -------------------------------------------------------------------------------

    def write_part(self, folder: Path, name: str, rows: list[dict[str, Any]] | pd.DataFrame) -> None:
        """Write one part of a table: results or curves of a pack."""
        path = folder / f"{name}.parquet"
        write_table(path, pd.DataFrame(rows), self._name(path))

    def read_part(self, folder: Path, name: str) -> pd.DataFrame | None:
        """One part, by itself or inside a merged one; None where it is missing or damaged."""
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
                continue  # merged again, meanwhile
            return None
        return None

    def read_parts(self, folder: Path) -> pd.DataFrame:
        """All parts of a table, one row per run (and epoch); of repeated ones those that did not fail come first."""
        for _ in range(ATTEMPTS):
            try:
                parts = [
                    part for path in self.listed(folder) if (part := self._read(path, missing_ok=False)) is not None
                ]
                break
            except FileNotFoundError:
                continue  # joined with others, meanwhile
        parts = [part for part in parts if len(part)]
        if not parts:
            return pd.DataFrame()
        table = pd.concat(parts, ignore_index=True).drop(columns=PACK, errors="ignore")
        if "status" in table.columns:
            table = table.sort_values("status", key=lambda status: status == "failed", kind="stable")
        keys = [name for name in ("run_id", "epoch") if name in table.columns]
        return table.drop_duplicates(keys, ignore_index=True)

    def parts(self, folder: Path) -> set[str]:
        """Names of the packs whose part is there and whole; every byte is verified."""
        for _ in range(ATTEMPTS):
            try:
                return set().union(*(self._packs_inside(path) for path in self.listed(folder)))
            except FileNotFoundError:
                continue
        return set()

    def ended(self) -> set[str]:
        """Identities of the runs that have ended, failed ones not among them."""
        results = self.read_parts(self.results)
        return set() if results.empty else set(results.loc[results["status"] != "failed", "run_id"])

    def lacking(self, packs: Iterable[str]) -> set[str]:
        """Those of the packs that have results, but whose curves, or whose only checkpoint, were lost to damage."""
        with_results, with_curves = self.parts(self.results), self.parts(self.curves)
        return {
            name
            for name in packs
            if name in with_results and (name not in with_curves or checkpoints.was_lost(self.checkpoints / name))
        }

    def has_ended(self, pack: str) -> bool:
        """Whether a pack has results, none of them failed, and nothing of it was lost to damage."""
        part = self.read_part(self.results, pack)
        if part is None or (part["status"] == "failed").any():
            return False
        return self.read_part(self.curves, pack) is not None and not checkpoints.was_lost(self.checkpoints / pack)

    def listed(self, folder: Path) -> list[Path]:
        """Parts, merged ones last."""
        found = [path for path in folder.glob("*.parquet") if not path.name.startswith(checkpoints.ASIDE)]
        return sorted(found, key=lambda path: (path.name.startswith(MERGED), path.name))

    def _packs_inside(self, path: Path) -> frozenset[str]:
        """The packs of a part, remembered for as long as the file stays the same; none where it is damaged."""
        stamp = path.stat()
        key = (stamp.st_mtime_ns, stamp.st_size, stamp.st_ino)
        known = self._inside.get(path)
        if known is None or known[0] != key:
            if path.name.startswith(MERGED):
                table = self._read(path, [PACK], missing_ok=False)
                names = frozenset() if table is None else frozenset(table[PACK])
            else:
                names = frozenset([path.stem]) if self._is_whole(path) else frozenset()
            self._inside[path] = known = (key, names)
        return known[1]

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def checkpoint(self, pack: str) -> tuple[int, dict[str, Any]] | None:
        """(epoch, leaves) of a pack's newest whole checkpoint, or None; a worker may be writing it.

        Raises DamagedFileError where there is none but a damaged one; that is set aside, so that the sweep's command
        makes it again.
        """
        folder = self.checkpoints / pack
        try:
            return checkpoints.read(folder)
        except DamagedFileError as error:
            claims = Claims(self.path)
            with contextlib.suppress(OSError):
                if claims.take(pack):
                    try:
                        if (whole := checkpoints.load(folder, self.warn)) is not None:
                            return whole
                    finally:
                        claims.release(pack)
            raise DamagedFileError(f"{error}: run the sweep's command again to make it again") from error

    # ---- reading what may be damaged -----------------------------------------------------------------------------

    def _name(self, path: Path) -> str:
        return "runs" if path.parent == self.path else f"{path.parent.name}/{path.stem}"

    def _read(
        self,
        path: Path,
        columns: Sequence[str] | None = None,
        *,
        missing_ok: bool = True,
        remedy: str = "the sweep's command makes it again",
    ) -> pd.DataFrame | None:
        try:
            return read_table(path, self._name(path), columns)
        except FileNotFoundError:
            if missing_ok:
                return None
            raise
        except DamagedFileError as error:
            self._set_aside(path, str(error), self._is_whole_quietly, remedy)
            return None

    def _is_whole(self, path: Path) -> bool:
        try:
            verified(path, self._name(path))
        except DamagedFileError as error:
            self._set_aside(path, str(error), self._is_whole_quietly)
            return False
        return True

    def _is_whole_quietly(self, path: Path) -> Any:
        try:
            return verified(path, self._name(path))
        except (DamagedFileError, OSError):
            return None

    def _set_aside(
        self, path: Path, why: str, whole: Callable[[Path], Any], remedy: str = "the sweep's command makes it again"
    ) -> None:
        """Rename a damaged file, unless another worker has put a whole one in its place meanwhile."""
        if whole(path):
            return
        shown = path.relative_to(self.path)
        try:
            self.warn(f"{self.path}: {shown} {why}: set aside as {checkpoints.set_aside(path).name}; {remedy}")
        except FileNotFoundError:
            pass  # another worker was faster
        except OSError:
            self.warn(f"{self.path}: {shown} {why}: ignored")

    # ---- the experiment's source ---------------------------------------------------------------------------------

    def keep_source(self, source: Path | None, known: dict[str, str] | None = None) -> tuple[str, str] | None:
        """Copy an experiment file into the directory: the name of the copy and its SHA-256. A changed file gets a further copy.

        Args:
            source: the file.
            known: SHA-256 of earlier copies by name; a copy that is not what it was is set aside.
        """
        for name, expected in (known or {}).items():
            copy = self.path / Path(name).name
            if copy.exists() and _sha(copy) != expected:
                self._set_aside(copy, "is not the copy that was made", lambda path: _sha(path) == expected)  # noqa: B023
        if source is None:
            return None
        text = source.read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        taken = {name for name, expected in (known or {}).items() if expected != digest}
        for number in range(1, 1000):
            name = "experiment.py" if number == 1 else f"experiment_{number}.py"
            copy = self.path / name
            if name in taken:
                continue
            if not copy.exists():
                write_bytes(copy, text)
                return name, digest
            if copy.read_bytes() == text:
                return name, digest
        raise RequestError(f"{self.path} holds 1000 versions of the experiment: use a new --out")


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sealed(path: Path) -> dict[str, Any] | None:
    """The content of a sealed JSON file without its seal, or None."""
    try:
        content = json.loads(path.read_bytes())
        return content if content.pop(SEAL) == _seal(content) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def existing(directories: Iterable[str | os.PathLike[str]]) -> list[Directory]:
    """Directories that hold a sweep.

    Raises RequestError for one that does not, or that another version wrote.
    """
    out = []
    for path in directories:
        directory = Directory(path)
        if not directory.runs_file.exists() and not directory.runs_copy.exists():
            raise RequestError(f"{path} holds no sweep (runs.parquet is missing): give the --out of a sweep")
        directory.read_sweep()
        out.append(directory)
    return out
