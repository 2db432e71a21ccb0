"""A cache of decoded arrays on disk: made once, checked at every load, memory-mapped.

An entry is a folder of .npy files and a manifest with their checksums. It is written under a temporary name and then
renamed, so a killed process or two at once leave either a whole entry or none.
"""

import concurrent.futures
import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lanes.data.fingerprints import digest
from lanes.errors import warn
from lanes.files import cache_dir, checksum, home, sync

FORMAT = 1  # part of every key; raise it when the layout or the decoding changes, and entries are made again
MANIFEST = "manifest.json"
SEAL = "sha256"  # in a manifest's digests: no array has this name

WORK = ".making-"  # prefix of folders that are still being written

Allocate = Callable[[str, tuple[int, ...], Any], np.ndarray]


class _NoSpaceError(Exception):
    """The disk is full."""


def data_dirs(data_dir: str | os.PathLike[str] | None = None) -> list[Path]:
    """Where prepared TFDS sets are searched, in this order: `data_dir`, $TFDS_DATA_DIR, ~/tensorflow_datasets."""
    folders = [data_dir, os.environ.get("TFDS_DATA_DIR"), home() / "tensorflow_datasets"]
    return [Path(folder).expanduser() for folder in folders if folder]


def cached_arrays(
    name: str, key: Mapping[str, Any], make: Callable[[Allocate], Mapping[str, Any] | None]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of an entry, which is made if it is missing or damaged.

    Args:
        name: prefix of the entry's folder name.
        key: plain values of everything that the arrays depend on (version, source, preprocessing).
        make: called as `make(allocate)`; `allocate(array_name, shape, dtype)` returns an array on disk to fill, so
            sets larger than memory can be made. Its return value (JSON) is stored with the arrays.

    Returns:
        The arrays, memory-mapped and read-only, and the return value of `make`. If the cache cannot be written, the
        arrays are in memory and a line on stderr says so.

    Raises:
        OSError: the entry was written but cannot be read back.
    """
    text = json.dumps({"format": FORMAT, **key}, sort_keys=True)
    folder = cache_dir() / "arrays" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    entry = _read(folder)
    if entry is not None:
        return entry
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        work = Path(tempfile.mkdtemp(prefix=WORK, dir=folder.parent))
    except OSError as error:
        warn(
            f"array cache: {folder.parent} cannot be written ({error.strerror}): nothing is cached, decoding again next time"
        )
        return _in_memory(make)
    try:
        _write(work, key, make)
        _move(work, folder)
    except _NoSpaceError as error:
        warn(
            f"array cache: {folder.parent} cannot hold the arrays ({error}): nothing is cached, decoding again next time"
        )
        return _in_memory(make)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    entry = _read(folder)
    if entry is None:
        raise OSError(f"array cache: {folder} was written but cannot be read back: check the disk")
    return entry


def _in_memory(make: Callable[[Allocate], Mapping[str, Any] | None]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    arrays: dict[str, np.ndarray] = {}

    def allocate(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return arrays.setdefault(name, np.zeros(shape, dtype))

    notes = make(allocate)
    return arrays, dict(notes or {})


def _write(work: Path, key: Mapping[str, Any], make: Callable[[Allocate], Mapping[str, Any] | None]) -> None:
    maps: list[np.memmap] = []

    def allocate(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        if 0 in shape:
            np.save(work / f"{name}.npy", np.zeros(shape, dtype))
            return np.zeros(shape, dtype)
        file = work / f"{name}.npy"
        maps.append(np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape))
        _reserve(file)
        return maps[-1]

    notes = make(allocate)
    for array in maps:
        array.flush()
    files = sorted(work.glob("*.npy"))
    manifest = {
        "key": dict(key),
        "notes": dict(notes or {}),
        "sha256": {file.stem: checksum(file) for file in files},
        "digests": _sealed({file.stem: digest(np.load(file, mmap_mode="r")) for file in files}),
    }
    path = work / MANIFEST
    path.write_text(json.dumps(manifest, indent=1))
    for file in [*files, path]:
        sync(file)
    sync(work)


def _move(work: Path, folder: Path) -> None:
    try:
        os.rename(work, folder)
    except OSError:
        if not folder.exists():  # if it does, another process has finished it with the same contents
            raise


def _reserve(file: Path) -> None:
    """Reserves the file's disk space now: running out of it while writing to a mapped file kills the process."""
    if not hasattr(os, "posix_fallocate"):
        return
    with open(file, "r+b") as handle:
        try:
            os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _NoSpaceError(error.strerror) from None
            # Other errors mean that the file system cannot reserve space.


def _remove_abandoned(parent: Path) -> None:
    """Removes unfinished folders of killed processes, once they are a day old."""
    for folder in parent.glob(f"{WORK}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < time.time() - 86_400:
                shutil.rmtree(folder)


def _read(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """The entry, or None if there is none; a damaged entry is set aside, with a line on stderr."""
    if not folder.exists():
        return None
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        expected: dict[str, str] = manifest["sha256"]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = dict(zip(expected, pool.map(checksum, [folder / f"{name}.npy" for name in expected])))
        wrong = [name for name in expected if expected[name] != found[name]]
        if wrong:
            raise ValueError(f"the checksum of {wrong[0]}.npy is wrong")
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in expected}
        _attach(arrays, manifest.get("digests"))
    except FileNotFoundError as error:
        _set_aside(folder, f"{Path(error.filename).name} is missing")
        return None
    except (ValueError, KeyError, TypeError) as error:
        _set_aside(folder, str(error))
        return None
    return arrays, manifest["notes"]


def _sealed(digests: dict[str, str]) -> dict[str, str]:
    """The digests with their own checksum: nothing else covers them."""
    return {**digests, SEAL: hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()}


def _attach(arrays: dict[str, np.ndarray], digests: Any) -> None:
    """Gives each array its digest as an attribute, which views and copies of it do not have."""
    known = {name: str(digests.get(name)) for name in arrays} if isinstance(digests, dict) else {}
    if known and _sealed(known) == digests:
        for name, array in arrays.items():
            vars(array)["digest"] = known[name]


def _set_aside(folder: Path, reason: str) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.damaged-", dir=folder.parent))
    warn(f"array cache: {folder.name} is damaged ({reason}); set aside as {aside.name}, made again")
    try:
        os.rename(folder, aside / folder.name)
    except FileNotFoundError:  # another process has already set it aside
        aside.rmdir()
