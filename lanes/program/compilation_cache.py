"""The persistent compilation cache: a program is compiled once on a machine, not once in every process.

It also makes the second device of a kind cheap (0.2 s instead of a compilation), and repeats what autotuning chose.
"""

import functools
import inspect
from typing import Any

import jax

from lanes.files import cache_dir

MOST_BYTES = 2 * 2**30


def switch_on() -> None:
    """Keep compiled programs in the cache folder (`$LANES_CACHE_DIR`, at most 2 GiB), unless JAX has been told otherwise."""
    if jax.config.values["jax_compilation_cache_dir"] or not jax.config.values["jax_enable_compilation_cache"]:
        return
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "programs"))
    _share_between_devices()


STRIP = "strip_device_assignment"


def _share_between_devices() -> None:
    """One entry for all host devices: JAX (0.10) leaves the number of the device out of an entry's name on GPUs alone.

    A program for one CPU device is loaded for another by the same call. Other platforms stay as they are. Where JAX has no
    such parameter any more, nothing is changed: each device then compiles its own.
    """
    cache_key, name = getattr(jax._src, "cache_key", None), "_hash_serialized_compile_options"
    plain = getattr(cache_key, name, None)
    if plain is not None and STRIP in inspect.signature(plain).parameters:
        setattr(cache_key, name, functools.partial(_stripped, plain))


def _stripped(plain: Any, digest: Any, options: Any, **given: bool) -> None:
    plain(digest, options, **{STRIP: given.get(STRIP, False) or jax.default_backend() == "cpu"})
