"""The table of planned runs and its copy: both are verified, the newer is read, and a lost or older one is written again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from lanes.errors import DamagedFileError, RequestError
from lanes.files import write_bytes
from lanes.storage import pandas_when_used as pd
from lanes.storage.intact_files import IntactFiles, stamp
from lanes.storage.plausible import wrong_in_runs
from lanes.storage.schema import MEASURED, conformed
from lanes.storage.seals import Seal
from lanes.storage.tables import check_place, verified, write_table
from lanes.storage.typed import to_pandas

COPY_USED = "its copy is used"


class PlannedRuns(IntactFiles):
    """Reads and writes the planned runs of a directory. Takes the arguments of `IntactFiles`."""

    _measured: tuple[object, frozenset[str]] = (None, frozenset())

    def read_runs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The planned runs, all columns or some; empty if there are none yet or both copies are damaged."""
        table = self.runs_table(columns)
        return pd.DataFrame() if table is None else to_pandas(table)

    def runs_table(self, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The planned runs in Arrow's types; None if there are none yet or both copies are damaged."""
        for path in self._newest_first():
            table = self.read(path, columns, remedy=COPY_USED)
            if table is not None:
                why = wrong_in_runs(table)
                if why is None:
                    return table
                self.set_aside(path, why, lambda _: False, COPY_USED)
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
        revisions = [seal.revision for path in self._both() if (seal := self._own_seal(path)) is not None]
        seal = Seal("runs", self.identify(), 1 + max(revisions, default=0))
        for path in (self.runs_copy, self.runs_file):
            write_table(path, typed, seal)

    def measured(self) -> frozenset[str]:
        """The metric columns of all planned runs; cached while their table stays the same."""
        stamps = [stamp(path) for path in self._both()]
        if self._measured[0] != stamps:
            table = self.runs_table([MEASURED]) if any(stamps) else None
            known = [] if table is None or MEASURED not in table.column_names else table[MEASURED].unique().to_pylist()
            self._measured = stamps, frozenset(name for names in known if names for name in names.split())
        return self._measured[1]

    def mend_runs(self) -> None:
        """Verify the table of planned runs and its copy; write one that is missing, damaged or older again from the other.

        Call it holding the lock "plan".
        """
        seals: dict[Path, Seal | None] = {}
        for path in self._both():
            try:
                seals[path] = self.seal_of(path, "written again from the other")
            except FileNotFoundError:
                seals[path] = None
        newest = max((seal.revision for seal in seals.values() if seal is not None), default=None)
        if newest is None:
            return
        good = next(path for path, seal in seals.items() if seal is not None and seal.revision == newest)
        for path, seal in seals.items():
            if seal is None or seal.revision != newest:
                if seal is not None:
                    self.warn(f"{self.path}: {path.name} is older than {good.name}: written again from it")
                write_bytes(path, verified(good)[0])

    def check_copy(self) -> None:
        """Warn of a copy of the planned runs that is damaged or missing, before it is needed; nothing is changed."""
        if not self.runs_file.exists():
            return
        try:
            check_place(self._seal(self.runs_copy), "runs", self.sweep)
        except FileNotFoundError:
            self.warn(f"{self.path}: {self.runs_copy.name} is missing: the sweep's command makes it again")
        except DamagedFileError as error:
            self.warn(f"{self.path}: {self.runs_copy.name} {error}: the sweep's command makes it again")

    def _both(self) -> tuple[Path, Path]:
        return self.runs_file, self.runs_copy

    def _newest_first(self) -> list[Path]:
        """The table and its copy; the copy first if it is newer, as after a kill between the two."""
        own, other = (self._own_seal(path) for path in self._both())
        behind = own is not None and other is not None and own.revision < other.revision
        return [self.runs_copy, self.runs_file] if behind else [self.runs_file, self.runs_copy]

    def _own_seal(self, path: Path) -> Seal | None:
        """The seal of an intact table of this sweep; None for any other."""
        try:
            seal = self._seal(path)
            check_place(seal, self.name_of(path), self.sweep)
        except (DamagedFileError, FileNotFoundError, NotADirectoryError):
            return None
        return seal
