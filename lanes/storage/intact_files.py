"""Reading a directory's files so that damaged and foreign ones are noticed and set aside, each with one line."""

import collections
import os
import re
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lanes.errors import DamagedFileError, warn
from lanes.files import create_bytes, oddity, open_regular, write_bytes
from lanes.storage import checkpoints, sealed
from lanes.storage.seals import Seal
from lanes.storage.tables import check_place, read_table, verified

IDENTITY = re.compile(r"[0-9a-f]{32}")
REMEDY = "the sweep's command makes it again"


def print_warning(line: str) -> None:
    """Print a line on standard error."""
    warn(line)


class IntactFiles:
    """Reads files of a sweep's directory; one that is damaged, or belongs elsewhere, is set aside.

    Args:
        path: the directory.
        warn: called with one line for each such file.
        changes: whether such a file is set aside, or only ignored.
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
        self.calls = self.path / "calls"
        self._identity_file = self.path / ".identity"
        self._sweep = ""
        self._seals: dict[Path, tuple[Any, Seal]] = {}
        self._ignored: set[str] = set()

    # ---- whose files they are ------------------------------------------------------------------------------------

    @property
    def sweep(self) -> str:
        """Identity of the sweep; "" while the directory has no file that states one.

        The plan, its copy and sweep.json state it. Where they disagree, one of them comes from another sweep: the identity
        is then that of most files.
        """
        if not self._sweep:
            self._sweep = self._found_sweep()
        return self._sweep

    def identify(self) -> str:
        """Identity of the sweep, made now if the directory has none."""
        if not self.sweep:
            text = uuid.uuid4().hex.encode()
            create_bytes(self._identity_file, text)
            if not self.sweep:
                write_bytes(self._identity_file, text)  # what was there is no identity
        return self.sweep

    def _found_sweep(self) -> str:
        content = sealed.read_sealed(self.sweep_file)
        stated = [] if content is None else [content.get(sealed.SWEEP)]
        stated += [self._stated(path) for path in (self.runs_file, self.runs_copy)]
        known = collections.Counter(sweep for sweep in stated if isinstance(sweep, str) and sweep)
        if len(known) != 1:
            parts = [path for folder in (self.results, self.curves) for path in sorted(folder.glob("*.parquet"))]
            known.update(sweep for path in parts if (sweep := self._stated(path)))
            known.update(checkpoints.sweeps_in(self.checkpoints))
        return known.most_common(1)[0][0] if known else self._first_identity()

    def _first_identity(self) -> str:
        """The identity as the first worker made it, before it wrote a plan; "" if none did."""
        if not self._identity_file.is_file():
            return ""
        with open(self._identity_file, "rb") as file:
            text = file.read(64).decode(errors="replace")
        return text if IDENTITY.fullmatch(text) else ""

    def _stated(self, path: Path) -> str:
        """The sweep that an intact table belongs to; "" for a damaged or missing one, and for one of another name."""
        try:
            seal = self._seal(path)
            check_place(seal, self.name_of(path), "")
            return seal.sweep
        except (DamagedFileError, FileNotFoundError, NotADirectoryError):
            return ""

    def _seal(self, path: Path) -> Seal:
        """The seal of a table, every byte of which is verified, cached while the file stays the same.

        Raises DamagedFileError or FileNotFoundError.
        """
        if (key := stamp(path)) is None:
            open_regular(path).close()  # names a link to nothing
            raise FileNotFoundError(path)
        known = self._seals.get(path)
        if known is None or known[0] != key:
            self._seals[path] = known = (key, verified(path)[1])
        return known[1]

    # ---- reading -------------------------------------------------------------------------------------------------

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
            return read_table(path, self.name_of(path), columns, self.sweep)
        except FileNotFoundError:
            if missing_ok:
                return None
            raise
        except DamagedFileError as error:
            self.set_aside(path, str(error), self.is_intact, remedy)
            return None

    def seal_of(self, path: Path, remedy: str = REMEDY) -> Seal | None:
        """The seal of an intact table of this sweep; None for a damaged one, which is set aside.

        Raises FileNotFoundError if there is none.
        """
        try:
            seal = self._seal(path)
            check_place(seal, self.name_of(path), self.sweep)
        except DamagedFileError as error:
            self.set_aside(path, str(error), self.is_intact, remedy)
            return None
        return seal

    def is_intact(self, path: Path) -> bool:
        """Whether a table matches its checksum, and is in its place."""
        try:
            check_place(verified(path)[1], self.name_of(path), self.sweep)
        except (DamagedFileError, FileNotFoundError, NotADirectoryError):
            return False
        return True

    def read_sealed(self, path: Path) -> dict[str, Any] | None:
        """The content of a sealed JSON file; None if it is missing or damaged. A damaged one is set aside."""
        if not os.path.lexists(path):
            return None
        content = self._own_sealed(path)
        if content is None:
            foreign = sealed.read_sealed(path) is not None
            why = oddity(path) or ("belongs to another sweep" if foreign else "does not match its checksum")
            self.set_aside(path, why, self._own_sealed)
        return content

    def write_sealed(self, path: Path, content: dict[str, Any]) -> None:
        """Write a JSON file of this sweep with its checksum."""
        sealed.write_sealed(path, {**content, sealed.SWEEP: self.identify()})

    def _own_sealed(self, path: Path) -> dict[str, Any] | None:
        content = sealed.read_sealed(path)
        return content if content is not None and self.sweep in ("", content.get(sealed.SWEEP)) else None

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
            self.warn_once(f"{self.path}: {shown} {why}: ignored")
            return
        try:
            self.warn(f"{self.path}: {shown} {why}: set aside as {checkpoints.set_aside(path).name}; {remedy}")
        except FileNotFoundError:
            pass  # another worker was faster
        except OSError:
            self.warn_once(f"{self.path}: {shown} {why}: ignored")

    def warn_once(self, line: str) -> None:
        """Print a line about something that stays as it is, and so is met at every reading."""
        if line not in self._ignored:
            self._ignored.add(line)
            self.warn(line)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced; None if it is missing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
