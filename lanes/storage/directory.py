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

Every file is whole or absent, has a checksum, and says which sweep it belongs to, where it belongs in it, and which state of
its pack it is of. Damaged files, and intact ones in the wrong place, are set aside with one line each.
The parts of many ended packs are joined into `merged-….parquet` (`lanes.storage.compaction`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lanes.errors import DamagedFileError, RequestError
from lanes.files import make_folder, oddity, remove_leftovers, temporary_beside, write_bytes
from lanes.storage import checkpoints, sealed
from lanes.storage import pandas_when_used as pd
from lanes.storage.claims import Claims
from lanes.storage.planned_runs import PlannedRuns
from lanes.storage.plausible import wrong_in_sweep
from lanes.storage.schema import (
    CURVES,
    PACK,
    RESULTS,
    STANDINGS,
    Columns,
    arrow_schema,
    by_column,
    part_columns,
    part_table,
)
from lanes.storage.seals import PACK_NAME, Mark, Seal
from lanes.storage.tables import read_table, write_table
from lanes.storage.typed import stacked, to_pandas

# Format 1 identified runs by our module paths, format 2 the user's functions by their own text; the files of format 3 do not
# say which sweep they belong to.
FORMAT = 4
MERGED = "merged-"
DIAGNOSES = "diagnoses"  # the folder of what `lanes diagnose` writes
PART_NAME = re.compile(rf"{PACK_NAME.pattern}|{MERGED}[0-9a-f]{{16}}")
ATTEMPTS = 20  # at listing parts while another worker joins them


class Directory(PlannedRuns):
    """Paths of a sweep's directory, and methods that read and write its files.

    Args:
        path: the directory.
        warn: called with one line for each damaged file.
        changes: whether a damaged file is set aside, or only ignored.
    """

    def create(self) -> None:
        """Make the directory and its folders, and delete temporary files of killed workers.

        Raises RequestError if the directory cannot be written.
        """
        try:
            needed = (self.results, self.curves, self.checkpoints, self.calls)
            for folder in (*needed, self.rungs, self.path / "claims"):
                if folder in needed or os.path.lexists(folder):
                    make_folder(folder, self.path)
            probe = temporary_beside(self.path / "writable")
            write_bytes(probe, b"")
            probe.unlink()
        except OSError as error:
            raise RequestError(
                f"--out {self.path} cannot be written ({_said(error)}): choose another directory, or make it writable"
            ) from None
        for folder in (self.path, *_folders_in(self.path), *_folders_in(self.rungs), *_folders_in(self.checkpoints)):
            remove_leftovers(folder)

    # ---- sweep.json ----------------------------------------------------------------------------------------------

    def read_sweep(self) -> dict[str, Any]:
        """The content of sweep.json; empty if it is missing or damaged.

        Raises RequestError for a directory of another format.
        """
        found = sealed.read_sealed(self.sweep_file)
        if found is not None and found.get("format") != FORMAT:
            raise RequestError(
                f"{self.path} has format {found.get('format')}: this version reads {FORMAT}; use the version that wrote it"
            )
        content = self.read_sealed(self.sweep_file) or {}
        if (why := wrong_in_sweep(content)) is not None:
            self.set_aside(self.sweep_file, why, lambda _: False)
            return {}
        return content

    def write_sweep(self, content: dict[str, Any]) -> None:
        """Write sweep.json with its checksum."""
        self.write_sealed(self.sweep_file, {**content, "format": FORMAT})

    def write_call(self, name: str, content: dict[str, Any]) -> None:
        """Write what a call was, with its checksum."""
        self.write_sealed(self.calls / f"{name}.json", content)

    def read_call(self, name: str) -> dict[str, Any] | None:
        """What a call was; None if its file is missing or damaged."""
        return self.read_sealed(self.calls / f"{name}.json")

    # ---- parts: results and curves -------------------------------------------------------------------------------

    def columns_of(self, folder: Path, further: Iterable[str] = ()) -> Columns:
        """The columns of a table's parts: with the metrics of all planned runs, whatever a pack measures, and `further`."""
        if folder == self.results:
            return part_columns(RESULTS, {*self.measured(), *further})
        if folder == self.curves:
            return part_columns(CURVES, {*(name for name in self.measured() if name.startswith("valid_")), *further})
        return part_columns(STANDINGS, further)

    def write_part(
        self,
        folder: Path,
        name: str,
        rows: Sequence[Mapping[str, Any]] | pd.DataFrame,
        marks: Mapping[str, Mark | None] | None = None,
    ) -> None:
        """Write a part of a table: results or curves of a pack, or of several that `marks` names, at the states that it gives."""
        path, values = folder / f"{name}.parquet", by_column(rows)
        seal = Seal(self.name_of(path), self.identify(), marks={name: None} if marks is None else marks)
        columns: Columns | None = None
        while columns != (
            current := self.columns_of(folder, values)
        ):  # another worker may plan further metrics meanwhile
            columns = current
            write_table(path, part_table(values, columns, name), seal)

    def read_part(self, folder: Path, name: str) -> pd.DataFrame | None:
        """A part, from its own file or a merged one; None if it is missing or damaged."""
        for _ in range(ATTEMPTS):
            own = self.read(folder / f"{name}.parquet")
            if own is not None:
                return to_pandas(own).drop(columns=PACK, errors="ignore")
            try:
                for path in self.listed(folder):
                    if path.name.startswith(MERGED) and name in self._marks_in(path):
                        table = to_pandas(read_table(path, self.name_of(path), sweep=self.sweep))
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
        return set(self.marks(folder))

    def marks(self, folder: Path, own: bool = True) -> dict[str, Mark | None]:
        """The packs that have an intact part, their own (not without `own`) or joined, and the state that it is of.

        Every byte is verified.
        """
        for _ in range(ATTEMPTS):
            found: dict[str, Mark | None] = {}
            try:
                for path in self.listed(folder):
                    if not own and not path.name.startswith(MERGED):
                        continue
                    for pack, mark in self._marks_in(path).items():
                        found[pack] = found.get(pack) or mark
                return found
            except FileNotFoundError:
                continue
        return {}

    def ended(self) -> set[str]:
        """run_ids of the runs that have ended without failing."""
        results = self.read_parts(self.results)
        return set() if results.empty else set(results.loc[results["status"] != "failed", "run_id"])

    def lacking(self, packs: Iterable[str]) -> set[str]:
        """Packs that have results but lost their curves or checkpoint, or whose files do not agree, with a line for each."""
        results, curves = self.marks(self.results), self.marks(self.curves)
        out = set()
        for name in packs:
            if name in results and (why := self._disagreement(name, results[name], curves)):
                out.add(name)
                if results[name] is not None:
                    self.warn(f"{self.path}: pack {name} has results, but {why}: trained again from where they agree")
        return out

    def has_ended(self, pack: str) -> bool:
        """Whether a pack has results, none of them failed, which agree with its curves and its checkpoint."""
        part = self.read_part(self.results, pack)
        if part is None or (part["status"] == "failed").any():
            return False
        return not self._disagreement(pack, self.marks(self.results).get(pack), self.marks(self.curves))

    def _disagreement(self, pack: str, results: Mark | None, curves: Mapping[str, Mark | None]) -> str:
        """In what the curves or checkpoints of an ended pack differ from the state that its results are of; "" if in nothing."""
        if pack not in curves:
            return "no intact curves"
        if results not in (None, curves[pack]):
            return "its curves are of another state"
        folder = self.checkpoints / pack
        if not os.path.lexists(folder):
            return ""  # deleted on purpose
        if not folder.is_dir():
            return "no folder is where its checkpoints belong"
        numbers = checkpoints.numbers_in(folder)
        found = [checkpoints.mark(folder / str(number), self.sweep) for number in numbers]
        if not any(found):
            return "no intact checkpoint"
        if not all(found):
            return f"checkpoint {numbers[found.index(None)]} is not its own"
        return "" if results in (None, found[0]) else "its checkpoint is of another state"

    def listed(self, folder: Path) -> list[Path]:
        """Files of a table's parts, merged ones last; files with names that no part has are set aside."""
        if os.path.lexists(folder) and not folder.is_dir():
            self.warn_once(
                f"{self.path}: {folder.relative_to(self.path)} {oddity(folder) or 'is a file'}: it holds no tables"
            )
            return []
        found = []
        for path in sorted(folder.glob("*.parquet"), key=lambda path: (path.name.startswith(MERGED), path.name)):
            if PART_NAME.fullmatch(path.name.removesuffix(".parquet")):
                found.append(path)
            else:
                self.set_aside(path, "has a name that no part has", lambda _: False)
        return found

    def _marks_in(self, path: Path) -> Mapping[str, Mark | None]:
        """The packs in a part and their states; none if it is damaged."""
        seal = self.seal_of(path)
        return {} if seal is None else seal.marks

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def save_checkpoint(
        self, pack: str, mark: Mark, epoch: int, leaves: dict[str, np.ndarray], calls: Sequence[str] = ()
    ) -> None:
        """Write a checkpoint of a pack, which the calls trained, then delete earlier ones. Raises like `checkpoints.save`."""
        stated = {"sweep": self.identify(), "epoch": epoch, "content": mark.content, "calls": list(calls)}
        checkpoints.save(self.checkpoints / pack, mark.number, leaves, stated)

    def load_checkpoint(self, pack: str) -> tuple[int, dict[str, Any]] | None:
        """(number, leaves) of a pack's newest intact checkpoint, or None; damaged ones are set aside (`checkpoints.load`)."""
        return checkpoints.load(self.checkpoints / pack, self.warn, self.sweep)

    def checkpoint(self, pack: str) -> tuple[int, dict[str, Any]] | None:
        """(number, leaves) of a pack's newest intact checkpoint, or None; a worker may be writing it.

        Raises DamagedFileError if all are damaged, and if the pack has ended with results of another state. Damaged ones are
        set aside, so that the sweep's command trains the pack again.
        """
        expected = self.marks(self.results).get(pack)  # first: a worker may end the pack meanwhile
        folder = self.checkpoints / pack
        try:
            found = checkpoints.read(folder, self.sweep)
        except DamagedFileError as error:
            found = self._found_again(pack) if self.changes else None
            if found is None:
                raise DamagedFileError(f"{error}: run the sweep's command again to train the pack again") from error
        if found is not None and expected not in (None, checkpoints.mark(folder / str(found[0]), self.sweep)):
            raise DamagedFileError(
                f"{folder / str(found[0])} is of another state than the results of its pack: run the sweep's command again to "
                "train the pack to where they agree"
            )
        return found

    def _found_again(self, pack: str) -> tuple[int, dict[str, Any]] | None:
        """What is intact once damaged checkpoints are set aside, unless a worker is at the pack."""
        claims = Claims(self.path)
        with contextlib.suppress(OSError):
            if claims.take(pack):
                try:
                    return self.load_checkpoint(pack)
                finally:
                    claims.release(pack)
        return None


def _said(error: OSError) -> str:
    """The system's words, and ours where it is ours to say what is in the way."""
    return f"{error.strerror}: {error.filename}" if error.errno in (errno.ELOOP, errno.ENOTDIR) else str(error.strerror)


def _folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, both of which are no links."""
    inside = folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ()
    return [path for path in inside if path.is_dir() and not path.is_symlink()]


def existing(directories: Iterable[str | os.PathLike[str]], changes: bool = True) -> list[Directory]:
    """The directories, each checked to hold a sweep; without `changes` nothing in them is set aside.

    Raises RequestError for one that holds none, or that has another format.
    """
    out = []
    for path in directories:
        directory = Directory(path, changes=changes)
        if not any(map(os.path.lexists, (directory.runs_file, directory.runs_copy))):
            raise RequestError(f"{path} holds no sweep (runs.parquet is missing): name the --out of a sweep")
        directory.read_sweep()
        directory.check_copy()
        out.append(directory)
    return out
