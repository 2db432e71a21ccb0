"""Executables on disk: a later process that asks for the same program loads it, and neither traces nor lowers anything.

JAX's persistent cache (`lanes.program.compilation_cache`) saves XLA's work only: it finds a program by its code, which must be
traced and lowered first. An executable is found by what determines it (`lanes.program.determined`), its shapes and the compiler's
options among it. It is unpickled, and its machine code runs, as that of JAX's own cache does.
"""

import contextlib
import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import serialize_executable

from lanes.program import compilation_cache, determined

FOLDER = "executables"
MOST_BYTES = 2**30  # of all files


def file_of(key: tuple[Any, ...], device: jax.Device, function: Callable, args: Any, options: Any) -> Path | None:
    """Where a program's executable is, or would be; None for one that is not stored.

    Args:
        key: of the program, with the signatures of its runs.
        device: where it runs; executables are stored for CPUs, and for a GPU that is the only one.
        function: what it computes, a description that holds the `Setup`.
        args: of the program, or their shapes.
        options: the compiler's.
    """
    if device.platform == "cpu":
        runs_on: tuple[str, ...] = ()
    elif device.platform == "gpu" and device.client.device_count() == 1:
        runs_on = (device.device_kind, device.client.platform_version)
    else:
        return None
    return determined.file_of(FOLDER, key, (function, determined.shapes_of(args), options, *runs_on))


def stored(path: Path, device: jax.Device, compile_: Callable[[], Any]) -> Any:
    """The program of a file for a device, or the one that `compile_` makes, which is stored there for the next process."""
    program = load(path, device)
    if program is None:
        found = compilation_cache.found()
        # One copy on disk is enough. And a change of this project's files that leaves a program as it was would find it there.
        with compilation_cache.apart(path.name):
            program = compile_()
        # What is serialized again after it was read lacks functions (jaxlib 0.10.2).
        if compilation_cache.found() == found:
            _keep(path, program)
    return program


def load(path: Path, device: jax.Device) -> Any:
    """The program of a file; None if there is none, or not one that can be trusted or read."""
    content = determined.read(path)
    if content is None:
        return None
    with contextlib.suppress(Exception):  # whatever is wrong with it, the program can be compiled
        serialized, in_tree, out_tree = pickle.loads(content)
        with ThreadPoolExecutor(1, thread_name_prefix="lanes-lapack") as beside:  # both take a tenth of a second
            lapack = beside.submit(_initialize_lapack) if b"lapack_" in serialized else None
            executable, arguments, no_kwargs = _for_device(serialized, device)
            if lapack is not None:
                lapack.result()
        return jax.stages.Compiled(executable.load(), [], in_tree.unflatten(arguments), out_tree, no_kwargs=no_kwargs)
    return None


def _for_device(serialized: bytes, device: jax.Device) -> Any:
    """What `serialize_executable` serialized, for any device of the kind that it was compiled for.

    That module's own reader insists on the device itself. Raises whatever another version of JAX makes of this.
    """
    from jax._src.compiler import get_compile_options

    class Unpickler(serialize_executable._JaxPjrtUnpickler):
        def persistent_load(self, pid: tuple[Any, ...]) -> Any:
            if pid[0] == "exec":
                options = get_compile_options(1, 1, np.array([[device.id]]))
                return self.backend.deserialize_executable(pid[1], self.execution_devices, options)
            return device if pid[0] == "device" else super().persistent_load(pid)

    return Unpickler(io.BytesIO(serialized), device.client, [device]).load()


def _keep(path: Path, compiled: Any) -> None:
    """Write a program's executable; one that cannot be serialized is not kept."""
    with contextlib.suppress(Exception):
        determined.write(path, pickle.dumps(serialize_executable.serialize(compiled)), MOST_BYTES)


def _initialize_lapack() -> None:
    """Fill in the addresses of LAPACK's functions, which JAX does when it lowers a program that calls them."""
    from jaxlib.lapack import _lapack

    _lapack.initialize()
