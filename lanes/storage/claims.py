"""Claims divide work among the workers of a directory: each is an operating-system lock on a small file.

The lock belongs to the process, so a kill releases it and a leftover file means nothing. On a file system without locks
every claim is granted: work may be done twice, with equal results. The file names the process that holds the lock.
"""

import contextlib
import errno
import fcntl
import os
import platform
import re
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.05
PATIENCE = 5.0  # seconds after which one who waits says for whom
HOLDER = re.compile(r"process \d+ on \S+")
ODD = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # opening a link, a folder, a socket


class Claims:
    """Named locks in a directory, each held by one worker at a time: a process, or a thread of one."""

    def __init__(self, directory: Path):
        self._folder = directory / "claims"
        self._held: dict[str, int] = {}
        self._guard = threading.Lock()

    def take(self, name: str) -> bool:
        """Take the lock `name` if it is free; return whether it was."""
        with self._guard:
            if name in self._held:
                return False
            handle = self._lock(name)
            if handle is None:
                return False
            self._held[name] = handle
            return True

    def release(self, name: str) -> None:
        """Release a lock; does nothing if it is not held."""
        with self._guard:
            handle = self._held.pop(name, None)
            if handle is not None:
                with contextlib.suppress(OSError):  # unlinked while locked: the next to take it creates a new file
                    (self._folder / name).unlink()
                os.close(handle)

    def release_all(self) -> None:
        """Release every lock."""
        for name in list(self._held):
            self.release(name)

    def holder(self, name: str) -> str:
        """Who holds the lock `name`: `process 4711 on host`; `another worker` if that cannot be read."""
        try:
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                text = file.read(300).decode(errors="replace").strip()
        except OSError:
            text = ""
        return text if HOLDER.fullmatch(text) else "another worker"

    @contextlib.contextmanager
    def hold(self, name: str, warn: Callable[[str], None] | None = None) -> Iterator[None]:
        """Hold the lock `name`, waiting until it is free; after a while `warn` is told once for whom."""
        began = time.monotonic()
        while not self.take(name):
            if warn is not None and time.monotonic() > began + PATIENCE:
                warn(f"waiting for {self.holder(name)}, which holds {self._folder / name}")
                warn = None
            time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            self.release(name)

    def _set_aside(self, name: str) -> None:
        """Rename what stands in the place of a lock's file and is none."""
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._folder / name, self._folder / f"damaged-{uuid.uuid4().hex[:8]}-{name}")

    def _lock(self, name: str) -> int | None:
        """A handle on the file, locked and still under its name; None if another worker holds the lock.

        What stands in the place of the file and is none is set aside. Raises OSError for a link where the folder belongs:
        nothing is made or deleted through links.
        """
        path = self._folder / name
        while True:
            if self._folder.is_symlink():
                raise OSError(errno.ELOOP, f"{self._folder} is a link", str(self._folder))
            self._folder.mkdir(exist_ok=True)
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
            except OSError as error:
                if error.errno not in ODD:
                    raise
                self._set_aside(name)
                continue
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                self._set_aside(name)
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_ino == os.stat(path).st_ino:
                    with contextlib.suppress(OSError):  # a full disk
                        os.ftruncate(handle, 0)
                        os.pwrite(handle, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
                    return handle
            except BlockingIOError:
                os.close(handle)
                return None
            except FileNotFoundError:
                pass  # its holder has just released it
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    os.close(handle)
                    return None
                return handle
            os.close(handle)


def have_locks(directory: Path) -> bool:
    """Whether the file system keeps two workers from holding one lock."""
    first, second = Claims(directory), Claims(directory)
    name = f"probe-{uuid.uuid4().hex[:8]}"
    try:
        return first.take(name) and not second.take(name)
    finally:
        second.release(name)
        first.release(name)
