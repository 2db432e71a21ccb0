"""A sweep's directory: what was asked, what has ended, and what can go on.

    sweep.json            provenance, and the widths that bind all who resume or help
    experiment.py         the copy that evaluation and restoring load
    runs.parquet          a row per planned run: run_id, pack, lane, every field, and its description
    results/PACK.parquet  a row per ended run
    curves/PACK.parquet   a row per run and epoch
    checkpoints/PACK/     the pack's last chunk

Every file is whole or absent, and proves itself by a checksum; damaged ones are set aside with one line.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.checkpoints import set_aside
from lanes.errors import DamagedFileError, RequestError
from lanes.tables import read_table, write_bytes, write_table

FORMAT = 1
SEAL = "sha256"


class Directory:
    """Paths, and reading and writing of the files of a sweep's directory.

    Args:
        path: the directory.
        warn: called with one line for each damaged file.
    """

    def __init__(self, path: str | os.PathLike[str], warn: Callable[[str], None] = print):
        self.path = Path(path)
        self.warn = warn
        self.sweep_file = self.path / "sweep.json"
        self.runs_file = self.path / "runs.parquet"
        self.results = self.path / "results"
        self.curves = self.path / "curves"
        self.checkpoints = self.path / "checkpoints"

    def create(self) -> None:
        """Make the directory and its folders.

        Raises RequestError where that is not possible.
        """
        try:
            for folder in (self.results, self.curves, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".writable.{os.getpid()}"
            write_bytes(probe, b"")
            probe.unlink()
        except OSError as error:
            raise RequestError(
                f"--out {self.path} cannot be written ({error.strerror}): choose another directory"
            ) from None

    # ---- sweep.json ----------------------------------------------------------------------------------------------

    def read_sweep(self) -> dict[str, Any]:
        """What `write_sweep` wrote; empty where there is none or it is damaged.

        Raises RequestError for a directory of another format.
        """
        if not self.sweep_file.exists():
            return {}
        try:
            content = json.loads(self.sweep_file.read_bytes())
            seal = content.pop(SEAL)
            whole = seal == _seal(content)
        except (ValueError, KeyError, AttributeError, TypeError):
            whole = False
        if not whole:
            self._set_aside(self.sweep_file, "it does not have the checksum that it was written with")
            return {}
        if content.get("format") != FORMAT:
            raise RequestError(
                f"{self.path} has format {content.get('format')}: this version reads {FORMAT}; use the version that wrote it"
            )
        return content

    def write_sweep(self, content: dict[str, Any]) -> None:
        """Write sweep.json with its checksum."""
        content = json.loads(json.dumps({**content, "format": FORMAT}, default=str))
        write_bytes(self.sweep_file, json.dumps({**content, SEAL: _seal(content)}, indent=1).encode())

    # ---- tables --------------------------------------------------------------------------------------------------

    def read_runs(self) -> pd.DataFrame:
        """The planned runs; empty where there are none yet, or the table is damaged."""
        table = self._read(self.runs_file)
        return pd.DataFrame() if table is None else table

    def write_runs(self, table: pd.DataFrame) -> None:
        """Write the table of planned runs."""
        write_table(self.runs_file, table)

    def write_part(self, folder: Path, name: str, rows: list[dict[str, Any]] | pd.DataFrame) -> None:
        """Write one part of a table: results or curves of a pack."""
        write_table(folder / f"{name}.parquet", pd.DataFrame(rows))

    def read_part(self, folder: Path, name: str) -> pd.DataFrame | None:
        """One part, or None where it is missing or damaged."""
        return self._read(folder / f"{name}.parquet")

    def read_parts(self, folder: Path) -> pd.DataFrame:
        """All parts of a table, one row per run (and epoch): of repeated ones the first by name."""
        parts = [
            part for path in sorted(folder.glob("*.parquet")) if (part := self._read(path)) is not None and len(part)
        ]
        if not parts:
            return pd.DataFrame()
        table = pd.concat(parts, ignore_index=True)
        keys = [name for name in ("run_id", "epoch") if name in table.columns]
        return table.drop_duplicates(keys, ignore_index=True)

    def ended(self) -> set[str]:
        """Identities of the runs that have ended, failed ones not among them."""
        results = self.read_parts(self.results)
        return set() if results.empty else set(results.loc[results["status"] != "failed", "run_id"])

    def _read(self, path: Path) -> pd.DataFrame | None:
        if not path.exists():
            return None
        try:
            return read_table(path)
        except DamagedFileError as error:
            self._set_aside(path, str(error))
            return None

    def _set_aside(self, path: Path, why: str) -> None:
        try:
            self.warn(f"{path.name}: {why}: set aside as {set_aside(path).name}; it is made again")
        except OSError:
            self.warn(f"{path.name}: {why}: ignored")

    # ---- the experiment's source ---------------------------------------------------------------------------------

    def keep_source(self, source: Path | None) -> str | None:
        """Copy an experiment file into the directory; the name of the copy. A changed file gets a further copy."""
        if source is None:
            return None
        text = source.read_bytes()
        for number in range(1, 1000):
            name = "experiment.py" if number == 1 else f"experiment_{number}.py"
            copy = self.path / name
            if not copy.exists():
                write_bytes(copy, text)
                return name
            if copy.read_bytes() == text:
                return name
        raise RequestError(f"{self.path} holds 1000 versions of the experiment: use a new --out")


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def existing(directories: Iterable[str | os.PathLike[str]]) -> list[Directory]:
    """Directories that hold a sweep.

    Raises RequestError for one that does not.
    """
    out = []
    for path in directories:
        directory = Directory(path)
        if not directory.runs_file.exists():
            raise RequestError(f"{path} holds no sweep (runs.parquet is missing): give the --out of a sweep")
        out.append(directory)
    return out
