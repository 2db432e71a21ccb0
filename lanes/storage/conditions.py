"""What numbers depend on besides the runs: code and versions of libraries, devices, JAX's settings, flags of compilers.

Two calls with equal conditions, width and mapping give bit-equal numbers. Calls with others are kept and told.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from lanes.program.determined import source_hashes
from lanes.program.places import Place, cores

# Libraries that make numbers: what is traced, compiles, and drives a device. Data are compared by their fingerprints.
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "equinox", "numpy")
DRIVERS = ("jax-cuda12-pjrt", "jax-cuda13-pjrt", "jax-rocm60-pjrt", "jax-rocm7-pjrt", "libtpu")
# JAX's settings that can change a number. A version of JAX has some of them.
SETTINGS = (
    "eager_constant_folding",
    "jax_allow_f16_reductions",
    "jax_bcoo_cusparse_lowering",
    "jax_compiler_enable_remat_pass",
    "jax_cpu_collectives_implementation",
    "jax_default_device",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_disable_most_optimizations",
    "jax_enable_pgle",
    "jax_enable_x64",
    "jax_exec_time_optimization_effort",
    "jax_explicit_x64_dtypes",
    "jax_high_dynamic_range_gumbel",
    "jax_memory_fitting_effort",
    "jax_memory_fitting_level",
    "jax_optimization_level",
    "jax_pallas_use_mosaic_gpu",
    "jax_ragged_dot_use_gpu_pallas_triton_lowering",
    "jax_ragged_dot_use_ragged_dot_instruction",
    "jax_random_seed_offset",
    "jax_remat3",
    "jax_scan3",
    "jax_softmax_custom_jvp",
    "jax_threefry_gpu_kernel_lowering",
    "jax_threefry_partitionable",
    "jax_use_direct_linearize",
    "jax_use_magma",
    "jax_use_shardy_partitioner",
    "jax_use_simplified_jaxpr_constants",
)
VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG")
# Flags that write files or make host devices.
HARMLESS = re.compile(r"--xla_(dump_|force_host_platform_device_count)")


def conditions(places: Sequence[Place]) -> dict[str, str]:
    """What the numbers of a call at these places depend on besides the runs, by name."""
    first = places[0].devices[0]
    return {
        "code": code(),
        **libraries(),
        "device": first.device_kind,
        "platform": " ".join(str(first.client.platform_version).split()),
        # XLA splits large products among the cores of a CPU, which changes the order of their sums.
        **({"processor": processor(), "cores": str(cores())} if first.platform == "cpu" else {}),
        "mapping": places[0].mapping,
        **{name: str(jax.config.values[name]) for name in SETTINGS if name in jax.config.values},
        **{name: _flags(os.environ.get(name, "")) for name in VARIABLES},
    }


def differences(first: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The conditions that differ, as (first, later). Settings that a version of JAX lacks are not compared."""
    names = [
        name for name in dict.fromkeys([*first, *later]) if name not in SETTINGS or (name in first and name in later)
    ]
    pairs = {name: (str(first.get(name) or "none"), str(later.get(name) or "none")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def text(found: Mapping[str, Sequence[str]]) -> str:
    """Differences in one line: `jax 0.10.1 -> 0.10.2, jax_default_prng_impl threefry2x32 -> rbg`."""
    return ", ".join(f"{name} {first} -> {later}" for name, (first, later) in found.items())


def digest(found: Mapping[str, Any]) -> str:
    """Conditions as 8 hexadecimal digits."""
    return hashlib.sha256("\0".join(f"{name}={found[name]}" for name in sorted(found)).encode()).hexdigest()[:8]


@functools.cache
def code() -> str:
    """The code of `lanes`, `nets` and `losses` as 12 hexadecimal digits: the same for equal files, whatever git says."""
    found = hashlib.sha256()
    for path, content in source_hashes():
        found.update(f"{path}\0".encode() + content)
    return found.hexdigest()[:12]


@functools.cache
def libraries() -> dict[str, str]:
    """The versions of the installed libraries that make numbers, by name."""
    found = {}
    for name in (*LIBRARIES, *DRIVERS):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def processor() -> str:
    """The model of the processor, for which programs on a CPU are compiled."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def _flags(text: str) -> str:
    """Flags in an order of their own, without those that change no number."""
    return " ".join(sorted(flag for flag in text.split() if not HARMLESS.match(flag)))
