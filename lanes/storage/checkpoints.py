"""Checkpoints of packs: Orbax writes them, a list of checksums beside each proves them when they are read.

Orbax is atomic under a kill but does not notice a flipped bit, so every file's SHA-256 is kept in `checksums.json`, which
is written last: a checkpoint without it is unfinished. The predecessor is deleted only after that. Files are data: arrays and
JSON; nothing of them is unpickled.
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

ROOM = 1 << 18  # bytes on the disk that a checkpoint takes beside its leaves, at least
CHECKSUMS = "checksums.json"
ASIDE = "damaged-"  # how the names of what was set aside begin
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
    """The tree of the structure of `like` with these leaves."""
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
    """Write a checkpoint at an epoch, then delete its predecessors.

    Raises OSError where the disk has no room for it, before anything is written: Orbax would fail in many words.
    """
    import orbax.checkpoint as ocp  # slow to import, and not needed before the first chunk has ended

    folder.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(folder)
    if disk.total > 0 and disk.free < sum(np.asarray(leaf).nbytes for leaf in leaves.values()) + ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    path = folder.absolute() / str(epoch)
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        set_aside(path)
    # Not compressed: weights lose 7% of their bytes by it, for twice the processor time.
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=False, use_compression=False)
    with quiet(), ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(path, leaves)
    sums = {str(file.relative_to(path)): digest(file, sync=True) for file in files(path)}
    write_bytes(path / CHECKSUMS, json.dumps(sums, indent=0).encode())
    for other in folder.iterdir():
        if other.is_dir() and other.name != str(epoch):
            shutil.rmtree(other, ignore_errors=True)


def load(folder: Path, warn: Callable[[str], None]) -> tuple[int, dict[str, np.ndarray]] | None:
    """The newest whole checkpoint of a pack, as (epoch, leaves), or None; damaged ones are set aside, with one line each.

    Only for the worker that trains the pack: what a kill left unfinished is deleted.
    """
    for epoch in epochs_in(folder):
        path = folder / str(epoch)
        if not (path / CHECKSUMS).exists() and (path / ORBAX_MARKER).exists():
            shutil.rmtree(path, ignore_errors=True)
            warn(f"{path} was not finished: going on from the checkpoint before it, or from the start")
            continue
        try:
            verify(path)
            return epoch, restore(path)
        except DamagedFileError as error:
            aside = set_aside(path)
            warn(f"{error}: set aside as {aside.name}; going on from the checkpoint before it, or from the start")
    return None


def read(folder: Path) -> tuple[int, dict[str, np.ndarray]] | None:
    """The newest whole checkpoint of a pack, as (epoch, leaves), or None; nothing is changed, so a worker may be writing.

    Raises DamagedFileError where there are only damaged ones.
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
    """Epochs of the checkpoints of a pack, the newest first; whole or not."""
    if not folder.is_dir():
        return []
    return sorted((int(at.name) for at in folder.iterdir() if at.name.isdecimal() and at.is_dir()), reverse=True)


def was_lost(folder: Path) -> bool:
    """Whether a pack's folder is there without a checkpoint in it; a folder that was deleted as a whole is not missed."""
    return folder.is_dir() and not any((folder / str(epoch) / CHECKSUMS).exists() for epoch in epochs_in(folder))


def restore(path: Path) -> dict[str, np.ndarray]:
    """The leaves of a verified checkpoint, on the host whatever they were saved from."""
    import orbax.checkpoint as ocp

    try:
        with quiet(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            meta = checkpointer.metadata(path.absolute()).item_metadata
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), dict(meta.tree))
            return checkpointer.restore(path.absolute(), args=ocp.args.PyTreeRestore(restore_args=as_numpy))
    except Exception as error:
        raise DamagedFileError(f"{path} cannot be restored ({type(error).__name__})") from error


def verify(path: Path) -> None:
    """Raise DamagedFileError where a file of a checkpoint is missing or is not what was written."""
    try:
        sums = json.loads((path / CHECKSUMS).read_bytes())
        if set(sums) != {str(file.relative_to(path)) for file in files(path)}:
            raise DamagedFileError(f"{path} does not have the files it was written with")
        for name, expected in sums.items():
            if digest(path / name) != expected:
                raise DamagedFileError(f"{path / name} does not have the checksum that it was written with")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(f"{path} is not a whole checkpoint ({type(error).__name__})") from error


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to `damaged-N-NAME` beside it, and say what it is called now."""
    number = 0
    while (aside := path.with_name(f"{ASIDE}{number}-{path.name}")).exists():
        number += 1
    path.rename(aside)
    return aside


def files(path: Path) -> list[Path]:
    """Every file below a folder, without the list of checksums."""
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != CHECKSUMS)


def digest(path: Path, sync: bool = False) -> str:
    """SHA-256 of a file; with `sync` it is on the disk afterwards."""
    with open(path, "rb") as file:
        if sync:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


class quiet:
    """Keep what Orbax logs off the user's terminal: what goes wrong, it raises as well."""

    def __enter__(self) -> None:
        self.logger = logging.getLogger("absl")
        self.level = self.logger.level
        self.logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        self.logger.setLevel(self.level)
