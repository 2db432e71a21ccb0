"""Executables on disk: a later process that asks for the same program loads it, and neither traces nor lowers anything.

JAX's persistent cache (`lanes.program.compilation_cache`) saves XLA's work only: it finds a program by its code, which must be
traced and lowered first. A program of this project's own code is determined by its signature, so that is what names a file
here, together with the shapes of the arguments, the compiler's options, the versions of the libraries, the text of this
project's files, JAX's settings, and the processor. A program that calls functions of the user's own is never stored; of a
function that makes data it holds nothing.

A file is unpickled, and its machine code runs, as that of JAX's own cache does. So it is read only if it and its folder belong
to this user and nobody else may write there.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import io
import json
import os
import pickle
import platform
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import serialize_executable

from lanes.describe import trusted
from lanes.files import cache_dir, remove_leftovers, temporary_beside
from lanes.program import compilation_cache
from lanes.program.step import Setup

FOLDER = "executables"
MOST_BYTES = 2**30  # of all files; those that were used longest ago are removed first
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy")
OURS = ("lanes", "nets", "losses")
ELSEWHERE = ("analysis", "cli", "cluster", "reporting", "results", "storage")  # rooms that programs are not made of
# Roots of modules whose functions may stand in a module of ours: any other is a patch, which no signature tells of.
KNOWN = {*OURS, *LIBRARIES, "ml_dtypes", "scipy", "equinox", "builtins", *sys.stdlib_module_names}
# Settings of JAX that are read on the host only.
ON_THE_HOST = ("jax_compilation_cache", "jax_persistent_cache", "jax_log", "jax_explain_cache", "jax_num_cpu_devices")
SETTINGS = sorted(name for name in jax.config.values if not name.startswith(ON_THE_HOST))
PLAIN = (bool, int, float, str, type(None))


class NotStorable(Exception):
    """A program is not determined by what its description says."""


def file_of(key: tuple[Any, ...], device: jax.Device, function: Callable, args: Any, options: Any) -> Path | None:
    """Where a program's executable is, or would be; None for one that is not stored.

    Args:
        key: of the program, with the signatures of its runs.
        device: where it runs; executables are stored for CPUs only.
        function: what it computes, a description that holds the `Setup`.
        args: of the program, or their shapes.
        options: the compiler's.
    """
    folder = _settings()["jax_compilation_cache_dir"]
    if device.platform != "cpu" or folder != str(cache_dir() / "programs") or not _is_safe(cache_dir() / FOLDER):
        return None
    try:
        leaves, tree = jax.tree.flatten(args)
        shapes = [(leaf.shape, str(leaf.dtype), getattr(leaf, "weak_type", False)) for leaf in leaves]
        text = json.dumps([key, _described(function), shapes, str(tree), options, _environment()])
    except (NotStorable, TypeError):
        return None
    if _calls_own_code(key) or _is_patched():
        return None
    return cache_dir() / FOLDER / hashlib.sha256(text.encode()).hexdigest()


def stored(path: Path, device: jax.Device, compile_: Callable[[], Any]) -> Any:
    """The program of a file for a device, or the one that `compile_` makes, which is stored there for the next process."""
    program = _load(path, device)
    if program is None:
        found = compilation_cache.found()
        # One copy on disk is enough. And a change of this project's files that leaves a program as it was would find it there.
        with compilation_cache.apart(path.name):
            program = compile_()
        # What is serialized again after it was read lacks functions (jaxlib 0.10.2).
        if compilation_cache.found() == found:
            _keep(path, program)
    return program


def _load(path: Path, device: jax.Device) -> Any:
    """The program of a file; None if there is none, or not one that can be trusted or read."""
    content = _read(path)
    if content is None:
        return None
    with contextlib.suppress(Exception):  # whatever is wrong with it, the program can be compiled
        serialized, in_tree, out_tree = pickle.loads(content)
        if b"lapack_" in serialized:
            _initialize_lapack()
        executable, arguments, no_kwargs = _for_device(serialized, device)
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
    """Write a program's executable, and remove old ones if there is too much; failing to changes nothing."""
    with contextlib.suppress(Exception):  # a full disk, or a program that cannot be serialized
        content = pickle.dumps(serialize_executable.serialize(compiled))
        temporary = temporary_beside(path)
        temporary.write_bytes(hashlib.sha256(content).digest() + content)
        os.replace(temporary, path)
        _remove_oldest(path.parent)


def _read(path: Path) -> bytes | None:
    """The content of a file that is whole, and that nobody but this user may have written."""
    try:
        with open(path, "rb") as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            digest, content = file.read(32), file.read()
        if hashlib.sha256(content).digest() != digest:
            return None
        os.utime(path)  # it is in use
    except OSError:
        return None
    return content


def _is_safe(folder: Path) -> bool:
    """Whether the folder exists or can be made, and nobody but this user may write there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _is_ours(folder.stat()) and os.access(folder, os.W_OK)
    except OSError:
        return False


def _is_ours(found: os.stat_result) -> bool:
    return hasattr(os, "getuid") and found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _remove_oldest(folder: Path) -> None:
    remove_leftovers(folder)
    files = [(path, path.stat()) for path in folder.iterdir()]
    total = sum(found.st_size for _, found in files)
    for path, found in sorted(files, key=lambda one: one[1].st_mtime):
        if total <= MOST_BYTES:
            return
        path.unlink()
        total -= found.st_size


# ---- what determines a program ------------------------------------------------------------------------------------


def _described(value: Any) -> Any:
    """What a program computes, as JSON. Raises NotStorable for what has no description that tells it from all others."""
    if isinstance(value, Setup):
        fields = [getattr(value, field.name) for field in dataclasses.fields(value) if field.name != "run"]
        return [type(value.run).__name__, list(getattr(value.run, "neutral", ())), *map(_described, fields)]
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (tuple, list)):
        return [_described(item) for item in value]
    if isinstance(value, functools.partial) and not value.keywords:
        return [_described(value.func), *map(_described, value.args)]
    if inspect.isfunction(value) and value.__module__.partition(".")[0] in OURS and "<" not in value.__qualname__:
        return f"{value.__module__}:{value.__qualname__}"
    if dataclasses.is_dataclass(value) and type(value).__module__.partition(".")[0] in OURS:
        fields = [_described(getattr(value, field.name)) for field in dataclasses.fields(value)]
        return [f"{type(value).__module__}:{type(value).__qualname__}", *fields]
    raise NotStorable(f"{value!r:.60}")


def _calls_own_code(key: Any) -> bool:
    """Whether a signature in a program's key names functions or classes of the user's, but for those that make data."""
    if isinstance(key, tuple):
        return any(map(_calls_own_code, key))
    if not isinstance(key, str) or not key.startswith("{"):
        return False
    described, _ = json.JSONDecoder().raw_decode(key)
    return bool(trusted.own_code([value for name, value in described.items() if name != "data"]))


def _environment() -> list[Any]:
    """What programs depend on besides their description: code, libraries, JAX's settings, the compiler's flags, the processor."""
    values = _settings()
    settings = [f"{name}={values[name]}" for name in SETTINGS]
    of_thread = [repr(value) for value in jax._src.config.trace_context() if isinstance(value, PLAIN)]
    return [_code(), _machine(), jax.default_backend(), settings, of_thread, os.environ.get("XLA_FLAGS", "")]


def _settings() -> dict[str, Any]:
    """JAX's settings, which cannot be read at the moment at which another thread's import adds one."""
    while True:
        with contextlib.suppress(RuntimeError):
            return jax.config.values


@functools.cache
def _code() -> list[str]:
    """The versions of the libraries, and a hash of this project's files."""
    digest = hashlib.sha256()
    for name in OURS:
        folder = _folder(name)
        for path in sorted(folder.rglob("*.py")):
            if path.relative_to(folder).parts[0] not in ELSEWHERE:
                digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return [digest.hexdigest(), sys.version, *(importlib.metadata.version(name) for name in LIBRARIES)]


def _folder(package: str) -> Path:
    return Path(str(sys.modules[package].__file__)).parent


@functools.cache
def _machine() -> list[str]:
    """The processor, as far as machine code depends on it."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return [platform.machine(), platform.processor()]


def _is_patched() -> bool:
    """Whether a function in one of this project's modules is neither its own nor a library's, but somebody's replacement."""
    return any(root not in KNOWN for root in _roots())


def _roots() -> Iterator[str]:
    folders = tuple(str(_folder(name)) + os.sep for name in OURS)
    for name, module in sys.modules.copy().items():  # other threads import, also while a list of pairs is made
        package, room = (*name.split("."), "")[:2]
        ours = package in OURS and room not in ELSEWHERE and str(getattr(module, "__file__", "")).startswith(folders)
        if ours or name in ("jax.nn", "jax.numpy", "jax.lax", "jax.random", "optax"):
            for value in vars(module).copy().values():
                if inspect.isfunction(value):
                    yield value.__module__.partition(".")[0]


def _initialize_lapack() -> None:
    """Fill in the addresses of LAPACK's functions, which JAX does when it lowers a program that calls them."""
    from jaxlib.lapack import _lapack

    _lapack.initialize()
