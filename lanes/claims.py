"""Who does what, among the workers of one directory: a lock of the operating system on a small file.

The lock belongs to the process, so a kill releases it; the file that stays behind means nothing.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


class Claims:
    """Locks by name in one directory."""

    def __init__(self, directory: Path):
        self._folder = directory / "claims"

    @contextlib.contextmanager
    def only_one(self, name: str) -> Iterator[None]:
        """Hold the lock `name`, waiting for whoever holds it: another process, or another thread of this one."""
        self._folder.mkdir(exist_ok=True)
        with open(self._folder / name, "w") as file:
            with contextlib.suppress(
                OSError
            ):  # a file system without locks: work may be done twice, with equal results
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
