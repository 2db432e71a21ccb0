"""Files: atomic writes, checksums, and the cache folder."""

import contextlib
import errno
import hashlib
import io
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from pathlib import Path

from lanes.errors import DamagedFileError, RequestError

TEMPORARY = re.compile(r"\..+\.(?P<host>[^.]*)-(?P<pid>\d+)-[0-9a-f]{8}\.tmp")
STALE_SECONDS = 24 * 3600.0  # age at which a temporary file of another machine counts as left over


def cache_dir() -> Path:
    """$LANES_CACHE_DIR, or `lanes` in $XDG_CACHE_HOME or the platform's cache folder (~/.cache, ~/Library/Caches).

    For a user without a home folder it is a path that cannot be written, so nothing is cached.
    """
    if path := os.environ.get("LANES_CACHE_DIR"):
        return Path(path).expanduser()
    if path := os.environ.get("XDG_CACHE_HOME"):
        return Path(path).expanduser() / "lanes"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home() / "AppData" / "Local")) / "lanes"
    return home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "lanes"


def home() -> Path:
    """The user's home folder, or the null device for a user without one."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def checksum(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; read in pieces, since mapped pages would count as this process's memory.

    Raises like `open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file_of(path: Path, sha256: str, most: int) -> bool:
    """Whether a path is a regular file of at most `most` bytes with this content."""
    return oddity(path) is None and path.exists() and path.stat().st_size <= most and checksum(path) == sha256


def oddity(path: Path) -> str | None:
    """What is in the place of a regular file: `is a folder`, `is a pipe`, …; None for a regular file and for nothing.

    A link counts as what it leads to.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "is a link to nothing" if path.is_symlink() else None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "is a link to itself"
        raise
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "is a folder"
    return "is a pipe" if stat.S_ISFIFO(mode) else "is a socket" if stat.S_ISSOCK(mode) else "is a device"


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; anything else is not opened, as opening a pipe waits and a device may do anything.

    Raises:
        DamagedFileError: it is no regular file.
        OSError: it is missing or cannot be opened.
    """
    if (odd := oddity(path)) is not None:
        raise DamagedFileError(odd)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    return open(handle, "rb")


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The content of a regular file. Raises like `open_regular`, also for more than `most` bytes."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise DamagedFileError(f"has {size:,} bytes, and such a file has at most {most:,}")
        return file.read()


def unwritable(folder: Path) -> str | None:
    """Why no file can be written in a folder, which may have to be made first; None if one can. It leaves nothing there."""
    at = folder.absolute()
    while not os.path.lexists(at) and at != at.parent:
        at = at.parent
    if not at.is_dir():
        return f"{at} is no folder"
    try:
        with tempfile.TemporaryFile(dir=at):
            return None
    except OSError as error:
        return f"{at}: {error.strerror or error}"


def make_folder(path: Path, root: Path) -> None:
    """Make a folder somewhere below `root`, and those above it.

    Raises OSError, also where a link stands in the place of one of them: nothing is written through links.
    """
    root.mkdir(parents=True, exist_ok=True)
    at = root
    for part in path.relative_to(root).parts:
        at = at / part
        if at.is_symlink():
            raise OSError(errno.ELOOP, "a link is where a folder belongs", str(at))
        if at.exists() and not at.is_dir():
            raise OSError(errno.ENOTDIR, "no folder is where one belongs", str(at))
        at.mkdir(exist_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on disk."""
    if path.is_dir() and sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: temporary name in the same folder, fsync, rename."""
    temporary = temporary_beside(path)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def check_writable(path: Path, option: str, endings: tuple[str, ...]) -> None:
    """Whether a result can be written to a file, which is asked before the work that makes it; an existing file is replaced.

    Raises RequestError for another ending, a missing folder, and a path that cannot be written.
    """
    if path.suffix not in endings:
        raise RequestError(f"{option} is {path}: the file must end in {' or '.join(endings)}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise RequestError(f"{option} is {path}, and there is no folder {folder}: make it, or choose another file")
    if (odd := oddity(path)) is not None and not odd.startswith("is a link to nothing"):
        raise RequestError(f"{option} is {path}, which {odd}: choose another file")
    trial = temporary_beside(path)
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with open(trial, "xb"):
            pass
        trial.unlink()
    except OSError as error:
        raise RequestError(
            f"{option} is {path}, which cannot be written ({error.strerror}): choose another file"
        ) from None


def create_bytes(path: Path, content: bytes) -> None:
    """Write a whole file unless there is one. Of several processes that do so at once one succeeds, with or without locks."""
    temporary = temporary_beside(path)
    write_bytes(temporary, content)
    try:
        with contextlib.suppress(FileExistsError):
            try:
                os.link(temporary, path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                with open(path, "xb") as file:
                    file.write(content)
    finally:
        temporary.unlink()


def temporary_beside(path: Path) -> Path:
    """A new name in the same folder that tells which process writes there, for `remove_leftovers`."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, if the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files and folders of writers that were killed; those of running writers stay."""
    for path in folder.glob(".*.tmp"):
        match = TEMPORARY.fullmatch(path.name)
        if match is None:
            continue
        with contextlib.suppress(OSError):
            local = match["host"] == _host()
            if not _alive(int(match["pid"])) if local else time.time() - path.lstat().st_mtime > STALE_SECONDS:
                if path.is_dir() and not path.is_symlink():
                    if _holds_only_its_own(path):
                        shutil.rmtree(path)
                else:
                    path.unlink()


def _holds_only_its_own(folder: Path) -> bool:
    """Whether a temporary folder holds nothing but what it was made for, which has the folder's name."""
    name = folder.name[1:].rsplit(".", 2)[0]
    return all(inside.name == name or inside.name.startswith(f"{name}.") for inside in folder.iterdir())


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", platform.node())[:40]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True
