"""The persistent compilation cache: a program is compiled once on a machine, not once in every process.

It also makes the second device of a kind cheap (0.1 s instead of a compilation), and repeats what autotuning chose.
"""

import jax

from lanes.array_cache import cache_dir

MOST_BYTES = 2 * 2**30


def switch_on() -> None:
    """Keep compiled programs in the cache folder (`$LANES_CACHE_DIR`, at most 2 GiB), unless JAX has been told otherwise."""
    if jax.config.values["jax_compilation_cache_dir"] or not jax.config.values["jax_enable_compilation_cache"]:
        return
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "programs"))
