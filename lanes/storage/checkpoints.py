"""Checkpoints of packs, written by Orbax and verified against a list of checksums when they are read.

Orbax survives a kill but does not notice a flipped bit, so `checksums.json` holds every file's SHA-256. It is written last:
a checkpoint without it is unfinished, and the previous checkpoint is deleted only after that. The files are arrays and JSON;
nothing is unpickled.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lanes.errors import DamagedFileError
from lanes.files import write_bytes

OVERHEAD = 1 << 18  # bytes that a checkpoint takes on the disk besides its leaves, at least
CHECKSUMS = "checksums.json"
ASIDE = "damaged-"  # prefix of files that were set aside
ORBAX_MARKER = "_CHECKPOINT_METADATA"
Tree = Any


def flatten(tree: Tree) -> dict[str, np.ndarray]:
    """The leaves of a tree as host arrays, by dotted path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {dotted(path): np.asarray(leaf) for path, leaf in leaves}


def dotted(path: tuple[Any, ...]) -> str:
    """`trained.params.hidden_0.kernel` for a JAX key path."""
    return ".".join(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)


def unflatten(like: Tree, leaves: dict[str, np.ndarray]) -> Tree:
    """A tree with the structure of `like` and these leaves."""
    return jax.tree_util.tree_map_with_path(lambda path, _: leaves[dotted(path)], like)


def nest(leaves: dict[str, np.ndarray], prefix: str) -> dict[str, Any]:
    """The leaves below a dotted prefix as nested dictionaries (Flax variables)."""
    out: dict[str, Any] = {}
    for name, leaf in leaves.items():
        if name.startswith(prefix + "."):
            *folders, last = name[len(prefix) + 1 :].split(".")
            at = out
            for folder in folders:
                at = at.setdefault(folder, {})
            at[last] = leaf
    return out


def save(folder: Path, epoch: int, leaves: dict[str, np.ndarray]) -> None:
    """Write a checkpoint at an epoch, then delete the earlier ones.

    Raises OSError before anything is written if the disk is too full: Orbax's own error is long.
    """
    import orbax.checkpoint as ocp  # slow to import, and not needed before the end of the first chunk

    folder.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(folder)
    if disk.total > 0 and disk.free < sum(np.asarray(leaf).nbytes for leaf in leaves.values()) + OVERHEAD:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    path = folder.absolute() / str(epoch)
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        set_aside(path)
    # Compression would save 7% of the bytes of weights for twice the processor time.
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=False, use_compression=False)
    with quiet(), ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(path, leaves)
    sums = {str(file.relative_to(path)): digest(file, sync=True) for file in files(path)}
    write_bytes(path / CHECKSUMS, json.dumps(sums, indent=0).encode())
    for other in folder.iterdir():
        if other.is_dir() and other.name != str(epoch):
            shutil.rmtree(other, ignore_errors=True)


def load(folder: Path, warn: Callable[[str], None]) -> tuple[int, dict[str, np.ndarray]] | None:
    """The newest intact checkpoint of a pack, as (epoch, leaves), or None.

    Sets damaged checkpoints aside, with a line each, and deletes unfinished ones: call it only from the worker that
    trains the pack.
    """
    for epoch in epochs_in(folder):
        path = folder / str(epoch)
        if not (path / CHECKSUMS).exists() and (path / ORBAX_MARKER).exists():
            shutil.rmtree(path, ignore_errors=True)
            warn(f"{path} was not finished: continuing from the checkpoint before it, or from the start")
            continue
        try:
            verify(path)
            return epoch, restore(path)
        except DamagedFileError as error:
            aside = set_aside(path)
            warn(f"{error}: set aside as {aside.name}; continuing from the checkpoint before it, or from the start")
    return None


def read(folder: Path) -> tuple[int, dict[str, np.ndarray]] | None:
    """The newest intact checkpoint of a pack, as (epoch, leaves), or None. Changes nothing, so a worker may be writing.

    Raises DamagedFileError if all are damaged.
    """
    damage: DamagedFileError | None = None
    for _ in range(3):  # a worker may replace the checkpoint while it is read
        before = epochs_in(folder)
        for epoch in before:
            path = folder / str(epoch)
            try:
                if (path / CHECKSUMS).exists():
                    verify(path)
                    return epoch, restore(path)
            except DamagedFileError as error:
                damage = error
        if epochs_in(folder) == before:
            break
    if damage is not None:
        raise damage
    return None


def epochs_in(folder: Path) -> list[int]:
    """Epochs of a pack's checkpoints, newest first, intact or not."""
    if not folder.is_dir():
        return []
    return sorted(
        (int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()), reverse=True
    )


def was_lost(folder: Path) -> bool:
    """Whether a pack's folder exists but holds no checkpoint. A deleted folder does not count: it was deleted on purpose."""
    return folder.is_dir() and not any((folder / str(epoch) / CHECKSUMS).exists() for epoch in epochs_in(folder))


def restore(path: Path) -> dict[str, np.ndarray]:
    """The leaves of a verified checkpoint as host arrays, whatever device they were saved from."""
    import orbax.checkpoint as ocp

    try:
        with quiet(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            meta = checkpointer.metadata(path.absolute()).item_metadata
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), dict(meta.tree))
            return checkpointer.restore(path.absolute(), args=ocp.args.PyTreeRestore(restore_args=as_numpy))
    except Exception as error:
        raise DamagedFileError(f"{path} cannot be restored ({type(error).__name__})") from error


def verify(path: Path) -> None:
    """Raise DamagedFileError if a checkpoint's files are not exactly those that were written."""
    try:
        sums = json.loads((path / CHECKSUMS).read_bytes())
        if set(sums) != {str(file.relative_to(path)) for file in files(path)}:
            raise DamagedFileError(f"{path} does not hold the files it was written with")
        for name, expected in sums.items():
            if digest(path / name) != expected:
                raise DamagedFileError(f"{path / name} does not match its checksum")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(f"{path} is not a complete checkpoint ({type(error).__name__})") from error


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to `damaged-N-NAME` beside it; return the new path."""
    number = 0
    while (aside := path.with_name(f"{ASIDE}{number}-{path.name}")).exists():
        number += 1
    path.rename(aside)
    return aside


def files(path: Path) -> list[Path]:
    """Every file below a folder except the list of checksums."""
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != CHECKSUMS)


def digest(path: Path, sync: bool = False) -> str:
    """SHA-256 of a file, which `sync` also flushes to the disk."""
    with open(path, "rb") as file:
        if sync:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


class quiet:
    """Silence Orbax's log: whatever goes wrong it also raises."""

    def __enter__(self) -> None:
        self.logger = logging.getLogger("absl")
        self.level = self.logger.level
        self.logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        self.logger.setLevel(self.level)
