"""A trained run's parameters as a file of another library: NumPy, MessagePack by Flax, safetensors, or an Orbax checkpoint."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import flax.serialization
import numpy as np

from lanes.errors import RequestError
from lanes.files import make_folder, sync_folder, temporary_beside, write_bytes
from lanes.storage import checkpoints
from lanes.storage.orbax_calls import quiet
from lanes.storage.trained import Variables, stored_variables


def export(
    directory: str | os.PathLike[str],
    run_id: str,
    to: str | os.PathLike[str],
    *,
    epoch: str = "best",
    trust: bool = True,
) -> Path:
    """Write one run's parameters, and batch statistics if it has them, to a file that needs no lanes to be read.

    The ending of `to` says how: `.npz` (`numpy.load`) and `.safetensors` (`safetensors.numpy.load_file`; the extra
    `safetensors`) hold arrays by dotted name, `params.hidden_0.kernel`; `.msgpack` (`flax.serialization.msgpack_restore`)
    and a folder without an ending, an Orbax checkpoint (`orbax.checkpoint.StandardCheckpointer`), nested dictionaries, as
    `net.apply` takes them. Nothing is rounded.

    Args:
        directory: of the sweep.
        run_id: the run's identity or a prefix of it.
        to: the file or folder, which must not exist.
        epoch: "best" or "last".
        trust: False refuses to execute the directory's copy of the experiment, which only the average of the last epoch
            needs.

    Returns the path written.

    Raises RequestError as `lanes.restore` does, for another ending, and for a path that exists or cannot be written.
    """
    to = Path(to)
    writers: dict[str, Callable[[Path, str, Variables], None]] = {
        ".npz": _npz,
        ".msgpack": _msgpack,
        ".safetensors": _safetensors,
        "": _orbax,
    }
    if to.suffix not in writers:
        raise RequestError(
            f"--to is {to}: it must end in .npz, .msgpack or .safetensors, or be a folder without an ending"
        )
    if os.path.lexists(to):
        raise RequestError(f"--to is {to}, which exists: choose another, or move it away")
    if to.suffix == ".safetensors":
        _safetensors_module()
    full, variables = stored_variables(directory, run_id, epoch, trust)
    try:
        make_folder(to.absolute().parent, to.absolute().parent)
        writers[to.suffix](to.absolute(), full, variables)
    except OSError as error:
        raise RequestError(f"--to is {to}: {error.strerror or error}") from None
    return to


def _npz(to: Path, run_id: str, variables: Variables) -> None:
    del run_id
    buffer = io.BytesIO()
    np.savez(buffer, **checkpoints.flatten(variables))  # type: ignore[arg-type]
    write_bytes(to, buffer.getvalue())


def _msgpack(to: Path, run_id: str, variables: Variables) -> None:
    del run_id
    write_bytes(to, flax.serialization.msgpack_serialize(variables))


def _safetensors(to: Path, run_id: str, variables: Variables) -> None:
    leaves = {name: np.ascontiguousarray(leaf) for name, leaf in checkpoints.flatten(variables).items()}
    write_bytes(to, _safetensors_module().save(leaves, {"run_id": run_id}))


def _safetensors_module() -> ModuleType:
    try:
        import safetensors.numpy
    except ModuleNotFoundError:
        raise RequestError(
            "a file .safetensors needs the package safetensors: pip install safetensors, or choose .npz"
        ) from None
    return safetensors.numpy


def _orbax(to: Path, run_id: str, variables: Variables) -> None:
    import orbax.checkpoint as ocp

    del run_id
    work = temporary_beside(to)
    try:
        with quiet(), ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(work / to.name, variables)
        os.rename(work / to.name, to)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sync_folder(to.parent)
