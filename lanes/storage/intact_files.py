"""Reading a directory's tables so that damaged files are noticed and set aside, each with one line."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lanes.errors import DamagedFileError, warn
from lanes.storage import checkpoints
from lanes.storage.tables import read_table, verified

REMEDY = "the sweep's command makes it again"


def print_warning(line: str) -> None:
    """Print a line on standard error."""
    warn(line)


class IntactFiles:
    """Reads files of a sweep's directory; one that is damaged is set aside.

    Args:
        path: the directory.
        warn: called with one line for each damaged file.
        changes: whether a damaged file is set aside, or only ignored.
    """

    def __init__(self, path: str | os.PathLike[str], warn: Callable[[str], None] = print_warning, changes: bool = True):
        self.path = Path(path)
        self.warn, self.changes = warn, changes

    def name_of(self, path: Path) -> str:
        """The name that a table is written under."""
        return "runs" if path.parent == self.path else f"{path.parent.name}/{path.stem}"

    def read(
        self,
        path: Path,
        columns: Sequence[str] | None = None,
        *,
        missing_ok: bool = True,
        remedy: str = REMEDY,
    ) -> pa.Table | None:
        """A table, or None if it is missing or damaged. A damaged one is set aside."""
        try:
            return read_table(path, self.name_of(path), columns)
        except FileNotFoundError:
            if missing_ok:
                return None
            raise
        except DamagedFileError as error:
            self.set_aside(path, str(error), self.is_intact, remedy)
            return None

    def verify(self, path: Path) -> bool:
        """Whether a table is intact; a damaged one is set aside."""
        try:
            verified(path, self.name_of(path))
        except DamagedFileError as error:
            self.set_aside(path, str(error), self.is_intact)
            return False
        return True

    def is_intact(self, path: Path) -> bool:
        """Whether a table matches its checksum."""
        try:
            verified(path, self.name_of(path))
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
