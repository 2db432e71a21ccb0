"""Files in the cache folder that are named after all that determines them: a later process that finds one need not do it again.

What is compiled or found by tracing this project's own code is determined by a signature, the shapes of the arguments, the
versions of the libraries, the text of this project's files, JAX's settings and the processor. Of a program that calls functions
of the user's own nothing is kept; of a function that makes data it holds nothing.

A file is read only if it and its folder belong to this user and nobody else may write there.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
import stat
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from lanes.describe import trusted
from lanes.files import cache_dir, remove_leftovers, temporary_beside
from lanes.program.step import Setup

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy")
OURS = ("lanes", "nets", "losses")
ELSEWHERE = ("analysis", "cli", "cluster", "reporting", "results", "storage")  # rooms that programs are not made of
# Roots of modules whose functions may stand in a module of ours: any other is a patch, which no signature tells of.
KNOWN = {*OURS, *LIBRARIES, "ml_dtypes", "scipy", "equinox", "builtins", *sys.stdlib_module_names}
LOOKED_UP = ("jax.nn", "jax.numpy", "jax.lax", "jax.random", "optax")  # modules of others that are looked at, too
# Settings of JAX that are read on the host only.
ON_THE_HOST = ("jax_compilation_cache", "jax_persistent_cache", "jax_log", "jax_explain_cache", "jax_num_cpu_devices")
SETTINGS = sorted(name for name in jax.config.values if not name.startswith(ON_THE_HOST))
MOST_BYTES = 16 * 2**20  # of the files of `remembered` in a folder
PLAIN = (bool, int, float, str, type(None))


class NotDeterminedError(Exception):
    """A program is not determined by what its description says."""


def file_of(folder: str, key: tuple[Any, ...], about: Any) -> Path | None:
    """Where what is determined by a key is, or would be, in a folder of the cache; None if it is not kept.

    Args:
        folder: its name.
        key: with the signatures of runs, which name the functions that they call.
        about: what else determines it: descriptions, plain values, or tuples of such.
    """
    if _settings()["jax_compilation_cache_dir"] != str(cache_dir() / "programs") or not _is_safe(cache_dir() / folder):
        return None
    try:
        text = json.dumps([key, _described(about), _environment()])
    except (NotDeterminedError, TypeError):
        return None
    if _calls_own_code(key) or _is_patched():
        return None
    return cache_dir() / folder / hashlib.sha256(text.encode()).hexdigest()


def remembered(folder: str, key: tuple[Any, ...], about: Any, find: Callable[[], Any]) -> Any:
    """What `find` returns, a JSON value, or what it returned in an earlier process for the same key; None is not kept.

    Arguments: as of `file_of`. Errors of `find` pass through.
    """
    path = file_of(folder, key, about)
    if path is not None and (content := read(path)) is not None:
        return json.loads(content)
    found = find()
    if path is not None and found is not None:
        write(path, json.dumps(found).encode(), MOST_BYTES)
    return found


def shapes_of(tree: Any) -> tuple[Any, ...]:
    """Structure, shapes and types of a tree of arrays, or of their shapes, to tell what a program is compiled for."""
    leaves, structure = jax.tree.flatten(tree)
    return str(structure), [(leaf.shape, str(leaf.dtype), getattr(leaf, "weak_type", False)) for leaf in leaves]


def write(path: Path, content: bytes, most_bytes: int) -> None:
    """Write a file, and remove those used longest ago if its folder holds more than `most_bytes`; failing to changes nothing."""
    with contextlib.suppress(OSError):  # a full disk
        temporary = temporary_beside(path)
        temporary.write_bytes(hashlib.sha256(content).digest() + content)
        os.replace(temporary, path)
        _remove_oldest(path.parent, most_bytes)


def read(path: Path) -> bytes | None:
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


def _remove_oldest(folder: Path, most_bytes: int) -> None:
    remove_leftovers(folder)
    files = [(path, path.stat()) for path in folder.iterdir()]
    total = sum(found.st_size for _, found in files)
    for path, found in sorted(files, key=lambda one: one[1].st_mtime):
        if total <= most_bytes:
            return
        path.unlink()
        total -= found.st_size


# ---- what determines a program ------------------------------------------------------------------------------------


def _described(value: Any) -> Any:
    """What a program computes, as JSON. Raises NotDeterminedError for what has no description that tells it from all others."""
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
    raise NotDeterminedError(f"{value!r:.60}")


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
    for path, content in source_hashes():
        if path.split("/")[1] not in ELSEWHERE:
            digest.update(f"{path}\0".encode() + content)
    return [digest.hexdigest(), sys.version, *(importlib.metadata.version(name) for name in LIBRARIES)]


@functools.cache
def source_hashes() -> list[tuple[str, bytes]]:
    """The files of this project's packages, by path from the checkout, as `lanes/errors.py`, each with its SHA-256."""
    found = []
    for name in OURS:
        folder = _folder(name)
        for path in sorted(folder.rglob("*.py")):
            found.append((path.relative_to(folder.parent).as_posix(), hashlib.sha256(path.read_bytes()).digest()))
    return found


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
    modules = sys.modules.copy()  # other threads import, also while a list of pairs is made
    ours = [name for name in modules if name.startswith(OURS) and _makes_programs(name)]
    ours = [name for name in ours if str(getattr(modules[name], "__file__", "")).startswith(folders)]
    for name in (*ours, *(name for name in LOOKED_UP if name in modules)):
        for value in vars(modules[name]).copy().values():
            if type(value) is types.FunctionType:
                yield value.__module__.partition(".")[0]


def _makes_programs(module: str) -> bool:
    package, room = (*module.split("."), "")[:2]
    return package in OURS and room not in ELSEWHERE
