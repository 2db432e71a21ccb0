"""Checkpoints of packs, written by Orbax and verified when they are read.

Orbax survives a kill but does not notice a flipped bit, nor a checkpoint of another pack. So `checksums.json` holds the
sweep, the pack, the number, the epoch and every file's SHA-256, and seals them. A checkpoint is written under a temporary name
and renamed, and only then are earlier ones deleted. The files are arrays and JSON; nothing is unpickled.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lanes.errors import DamagedFileError
from lanes.files import make_folder, oddity, open_regular, read_regular, remove_leftovers, sync_folder, temporary_beside
from lanes.storage.orbax_calls import own_process, plain, quiet
from lanes.storage.sealed import SWEEP, read_sealed, write_sealed
from lanes.storage.seals import Mark

OVERHEAD = 1 << 18  # bytes that a checkpoint takes on the disk besides its leaves, at least
CHECKSUMS = "checksums.json"
ASIDE = "damaged-"  # prefix of files that were set aside
ORBAX_MARKER, ORBAX_METADATA = "_CHECKPOINT_METADATA", "_METADATA"
NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
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


def save(folder: Path, number: int, leaves: dict[str, np.ndarray], stated: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint of the pack that `folder` is named after, then delete those with lower numbers.

    If another worker, on a file system without locks, writes the same checkpoint first, its copy stays.

    Args:
        folder: of the pack.
        number: of the checkpoint.
        leaves: its arrays.
        stated: what it says of itself besides: `sweep`, `epoch`, `content` as in `Mark`, and the `calls` that trained it.

    Raises OSError before anything is written if the disk is too full: Orbax's own error is long.
    """
    import orbax.checkpoint as ocp  # slow to import, and not needed before the end of the first chunk

    if folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()):
        set_aside(folder)  # nothing is written through links
    make_folder(folder, folder.parent)
    disk = shutil.disk_usage(folder)
    if disk.total > 0 and disk.free < sum(np.asarray(leaf).nbytes for leaf in leaves.values()) + OVERHEAD:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    path = folder / str(number)
    work = temporary_beside(path)
    work.mkdir()
    try:
        # Compression would save 7% of the bytes of weights for twice the processor time.
        own = own_process()
        handler = ocp.PyTreeCheckpointHandler(
            use_ocdbt=True, use_zarr3=False, use_compression=False, multiprocessing_options=own
        )
        with quiet(), plain(work) as parent, ocp.Checkpointer(handler, multiprocessing_options=own) as checkpointer:
            checkpointer.save(parent / path.name, leaves)
        made = work / path.name
        sums = {str(file.relative_to(made)): digest(file, sync=True) for file in files(made)}
        sizes = {name: (made / name).stat().st_size for name in sums}
        place = {"pack": folder.name, "number": number, "bytes": sizes}
        write_sealed(made / CHECKSUMS, {**(stated or {}), **place, "files": sums})
        if not is_ours(path) and os.path.lexists(path):
            set_aside(path)
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, work / f"{path.name}.earlier")  # deleted with `work`
        with contextlib.suppress(FileExistsError):
            _rename(made, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sync_folder(folder)
    for other in folder.iterdir():
        if NUMBER.fullmatch(other.name) and int(other.name) < number and is_ours(other):
            shutil.rmtree(other, ignore_errors=True)


def _rename(made: Path, path: Path) -> None:
    try:
        os.rename(made, path)
    except OSError as error:  # systems say differently that there is a folder with something in it
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) if path.exists() else error from None


def is_ours(path: Path) -> bool:
    """Whether a path is a folder, no link, that holds a checkpoint, finished or not: only such are ever deleted."""
    marks = (path / name for name in (CHECKSUMS, ORBAX_MARKER))
    return path.is_dir() and not path.is_symlink() and any(m.is_file() and not m.is_symlink() for m in marks)


def load(folder: Path, warn: Callable[[str], None], sweep: str = "") -> tuple[int, dict[str, np.ndarray]] | None:
    """The newest intact checkpoint of a pack of `sweep` ("": any), as (number, leaves), or None.

    Sets damaged checkpoints aside, with a line each, and deletes what killed workers left: call it only from the worker
    that trains the pack.

    Raises OSError if an intact one cannot be read.
    """
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
        odd = "is a link" if folder.is_symlink() else oddity(folder) or "is a file"
        warn(f"{folder} {odd}: set aside as {set_aside(folder).name}; its pack is trained again")
    if folder.is_dir():
        remove_leftovers(folder)
    while numbers := numbers_in(folder):
        path = folder / str(numbers[0])
        if not os.path.lexists(path / CHECKSUMS) and is_ours(path):
            shutil.rmtree(path)
            warn(f"{path} was not finished: continuing from the checkpoint before it, or from the start")
            continue
        try:
            return numbers[0], verified(path, sweep)
        except DamagedFileError as error:
            with contextlib.suppress(FileNotFoundError):  # without file locks, another worker may go on meanwhile
                aside = set_aside(path)
                warn(f"{error}: set aside as {aside.name}; continuing from the checkpoint before it, or from the start")
        except OSError:
            if path.exists():
                raise
    return None


def read(folder: Path, sweep: str = "") -> tuple[int, dict[str, np.ndarray]] | None:
    """The newest intact checkpoint of a pack of `sweep` ("": any), as (number, leaves), or None.

    Changes nothing, so a worker may be writing.

    Raises DamagedFileError if all are damaged, and OSError if an intact one cannot be read.
    """
    failure: DamagedFileError | OSError | None = None
    for _ in range(3):  # a worker may replace the checkpoint while it is read
        before, failure = numbers_in(folder), None
        for number in before:
            path = folder / str(number)
            try:
                if os.path.lexists(path / CHECKSUMS):
                    return number, verified(path, sweep)
            except DamagedFileError as error:
                failure = error
            except OSError as error:
                failure = error
                break  # an older one is no substitute for one that cannot be read now
        if numbers_in(folder) == before:
            break
    if failure is not None:
        raise failure
    return None


def numbers_in(folder: Path) -> list[int]:
    """Numbers of a pack's checkpoints, newest first, intact or not."""
    if not folder.is_dir():
        return []
    return sorted((int(path.name) for path in folder.iterdir() if NUMBER.fullmatch(path.name)), reverse=True)


def mark(path: Path, sweep: str = "") -> Mark | None:
    """The state that a checkpoint of `sweep` ("": any) says to be of; None if it is not what it should be where it is.

    Only the list of checksums is read.
    """
    try:
        content = _stated(path, sweep)
    except DamagedFileError:
        return None
    return Mark(int(path.name), str(content.get("content")))


def sweeps_in(folder: Path) -> Iterator[str]:
    """The sweep that each checkpoint in a folder of packs says to belong to."""
    for pack in sorted(folder.iterdir()) if folder.is_dir() else ():
        for number in numbers_in(pack):
            content = read_sealed(pack / str(number) / CHECKSUMS)
            if content is not None and isinstance(content.get(SWEEP), str):
                yield content[SWEEP]


def verified(path: Path, sweep: str = "") -> dict[str, np.ndarray]:
    """The leaves of a checkpoint, whose files and place are verified. Raises like `verify` and `restore`."""
    epoch = verify(path, sweep).get("epoch")
    leaves = restore(path)
    if epoch is not None and "epochs" in leaves and np.max(leaves["epochs"]) > epoch:
        raise DamagedFileError(f"{path} has lanes beyond its epoch {epoch}")
    return leaves


def restore(path: Path) -> dict[str, np.ndarray]:
    """The leaves of a verified checkpoint as host arrays, whatever device they were saved from.

    Raises OSError if Orbax cannot read it: the files are those that were written, so the cause lies elsewhere.
    """
    import orbax.checkpoint as ocp

    if any(name.startswith("/") or ".." in name.split("/") for name in _names_of_arrays(path)):
        raise DamagedFileError(f"{path} has arrays with names of other folders")
    try:
        own = own_process()
        handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=own)
        with (
            quiet(),
            plain(path.parent) as parent,
            ocp.Checkpointer(handler, multiprocessing_options=own) as checkpointer,
        ):
            meta = checkpointer.metadata(parent / path.name).item_metadata
            stated = sum(int(np.prod(leaf.shape, dtype=object)) for leaf in jax.tree.leaves(dict(meta.tree)))
            if stated > sum(file.stat().st_size for file in files(path)):  # nothing is compressed
                raise DamagedFileError(f"{path} says that it holds more numbers than it has bytes")
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), dict(meta.tree))
            return checkpointer.restore(parent / path.name, args=ocp.args.PyTreeRestore(restore_args=as_numpy))
    except (OSError, MemoryError, DamagedFileError):
        raise
    except Exception as error:  # Orbax and TensorStore raise many kinds
        line = (str(error).strip().splitlines() or [""])[0][:200]
        raise OSError(f"{path} cannot be read ({type(error).__name__}: {line})") from error


def _names_of_arrays(path: Path) -> list[str]:
    """The names in a checkpoint's description of its arrays, from which Orbax makes paths; none if Orbax writes it otherwise."""
    try:
        entries = json.loads(read_regular(path / ORBAX_METADATA))["tree_metadata"].values()
        return [str(key["key"]) for entry in entries for key in entry["key_metadata"]]
    except (DamagedFileError, FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []


def calls_of(path: Path) -> tuple[str, ...]:
    """The calls that trained a pack up to a checkpoint, in order."""
    calls = (read_sealed(path / CHECKSUMS) or {}).get("calls")
    return tuple(call for call in calls if isinstance(call, str)) if isinstance(calls, list) else ()


def verify(path: Path, sweep: str = "") -> dict[str, Any]:
    """What a checkpoint says of itself.

    Raises DamagedFileError if its files are not exactly those that were written, for this sweep ("": any), pack and number,
    and OSError if a file cannot be read, which is no damage.
    """
    content = _stated(path, sweep)
    if set(content["files"]) != {str(file.relative_to(path)) for file in files(path)}:
        raise DamagedFileError(f"{path} does not hold the files it was written with")
    for name, expected in content["files"].items():
        try:
            has_size = (path / name).stat().st_size == content["bytes"][name]  # a sparse file would take long to read
            found = digest(path / name) if has_size else None
        except (FileNotFoundError, DamagedFileError):
            raise DamagedFileError(f"{path} does not hold the files it was written with") from None
        if found != expected:
            raise DamagedFileError(f"{path / name} does not match its checksum")
    return content


def _stated(path: Path, sweep: str) -> dict[str, Any]:
    """The list of checksums of a checkpoint. Raises DamagedFileError unless it is intact and in its place."""
    if path.is_symlink() or not (path / CHECKSUMS).is_file():
        raise DamagedFileError(f"{path} is {'a link' if path.is_symlink() else 'not a complete checkpoint'}")
    content = read_sealed(path / CHECKSUMS)
    if content is None:
        raise DamagedFileError(f"{path / CHECKSUMS} does not match its checksum")
    sums, sizes = content.get("files"), content.get("bytes")
    if not (isinstance(sums, dict) and isinstance(sizes, dict) and sums.keys() == sizes.keys()):
        raise DamagedFileError(f"{path / CHECKSUMS} lists no files")
    if sweep and content.get(SWEEP) != sweep:
        raise DamagedFileError(f"{path} belongs to another sweep")
    if (content.get("pack"), str(content.get("number"))) != (path.parent.name, path.name):
        raise DamagedFileError(f"{path} is checkpoint {content.get('number')} of pack {content.get('pack')}")
    return content


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to `damaged-N-NAME` beside it; return the new path.

    A table loses its ending as well, so that the pattern `*.parquet` means intact tables.
    """
    number = 0
    name = path.name.replace(".parquet", "-parquet")
    while os.path.lexists(aside := path.with_name(f"{ASIDE}{number}-{name}")):
        number += 1
    path.rename(aside)
    return aside


def files(path: Path) -> list[Path]:
    """Every file below a folder, links to folders included, except the list of checksums."""
    return sorted(
        file for file in path.rglob("*") if (file.is_symlink() or not file.is_dir()) and file != path / CHECKSUMS
    )


def digest(path: Path, sync: bool = False) -> str:
    """SHA-256 of a file, which `sync` also flushes to the disk."""
    with open_regular(path) as file:
        if sync:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()
