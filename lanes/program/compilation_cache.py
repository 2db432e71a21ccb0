"""The persistent compilation cache: a program is compiled once on a machine, not once in every process.

It also makes a second device of the same kind cheap (0.2 s instead of a compilation), and reuses autotuning's choices.
"""

import contextlib
import functools
import inspect
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from lanes.files import cache_dir

MOST_BYTES = 2 * 2**30
HIT = "/jax/compilation_cache/cache_hits"  # the event of a program that was found


def switch_on() -> None:
    """Keep compiled programs in the cache folder (`$LANES_CACHE_DIR`, at most 2 GiB), unless JAX is configured otherwise.

    A folder that this user cannot write, such as another user's, is left alone, and programs are compiled each time.
    """
    if jax.config.values["jax_compilation_cache_dir"] or not jax.config.values["jax_enable_compilation_cache"]:
        return
    folder = cache_dir() / "programs"
    if not _is_ours(folder):
        return
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    _share_between_devices()
    _hash_names_alone()


@contextlib.contextmanager
def apart(name: str) -> Iterator[None]:
    """Within the block, this thread finds a program in the cache only if it was compiled under this name too.

    Nothing is written there, if JAX still has the setting that forbids it for one thread.
    """
    longest = getattr(jax._src.config, "persistent_cache_min_compile_time_secs", None)
    _by_thread().name = name
    try:
        with longest(math.inf) if callable(longest) else contextlib.nullcontext():
            yield
    finally:
        _by_thread().name = ""


def found() -> int:
    """Number of programs that this thread has found in the cache since this function was first called."""
    return getattr(_by_thread(), "found", 0)


@functools.cache
def _by_thread() -> threading.local:
    """For each thread, the name that its programs are compiled under, and a count that JAX's events increase."""
    state = threading.local()

    def note(event: str, **_: Any) -> None:
        if event == HIT:
            state.found = getattr(state, "found", 0) + 1

    jax.monitoring.register_event_listener(note)
    return state


def _is_ours(folder: Path) -> bool:
    """Whether the folder exists or can be made, and its files, JAX's lock among them, can be written by this user."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return all(os.access(path, os.W_OK) for path in (folder, *folder.glob(".*lock*")))
    except OSError:
        return False


STRIP = "strip_device_assignment"


def _share_between_devices() -> None:
    """Use one cache entry for all host devices: JAX 0.10 leaves the device number out of an entry's key only on GPUs.

    The same call loads one CPU device's program for another. Other platforms are unchanged. If JAX no longer has the
    parameter, nothing changes and each device compiles its own program.
    """
    cache_key, name = getattr(jax._src, "cache_key", None), "_hash_serialized_compile_options"
    original = getattr(cache_key, name, None)
    if original is not None and STRIP in inspect.signature(original).parameters:
        setattr(cache_key, name, functools.partial(_hash_without_device, original))


def _hash_names_alone() -> None:
    """Leave out of the key of a program that is compiled `apart` its code, which its name determines: that takes 0.03 s.

    If JAX no longer has the function, nothing changes.
    """
    cache_key, name = getattr(jax._src, "cache_key", None), "_hash_computation"
    original = getattr(cache_key, name, None)
    if original is not None:
        setattr(cache_key, name, functools.partial(_hash_name_or_code, original))


def _hash_name_or_code(original: Any, digest: Any, *args: Any) -> None:
    if name := getattr(_by_thread(), "name", ""):
        digest.update(name.encode())
    else:
        original(digest, *args)


def _hash_without_device(original: Any, digest: Any, options: Any, **flags: bool) -> None:
    digest.update(getattr(_by_thread(), "name", "").encode())
    original(digest, options, **{STRIP: flags.get(STRIP, False) or jax.default_backend() == "cpu"})
