"""The setup of every test: JAX at its strictest, on eight host devices, with cheap compilation.

Tests compile far more than they compute. XLA's cheapest code halves their time; `XLA_FLAGS="" pytest` compiles as users do,
and so do the tests that use `optimized_programs`. Sweeps of a file share their programs through the file's own cache,
`Options(programs=PROGRAMS)`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest

from lanes.program import compilation_cache, xla_flags
from lanes.program.compiled import Programs

CHEAPEST = ["--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false"]  # jaxlib 0.11 lacks the second
NARROW = ["--xla_cpu_max_isa=SSE4_2"]  # without optimization, wide vectors in jaxlib 0.10.2 give wrong numbers
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = " ".join(xla_flags.accepted(CHEAPEST + NARROW))  # XLA reads it when it first compiles
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

CHECKOUT = Path(__file__).parents[1]
OPTIMIZED = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True, "xla_cpu_max_isa": ""}


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Private data and compilation caches, shared by all test processes: the user's caches are neither read nor written."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    os.environ.setdefault("LANES_CACHE_DIR", str(shared / "cache"))
    compilation_cache.switch_on()


@pytest.fixture(autouse=True, scope="module")
def forgotten_programs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drop the programs of a file at its end: two thousand tests would otherwise hold gigabytes of them."""
    yield
    for shared in vars(request.module).values():
        if isinstance(shared, Programs):
            shared.clear()
    jax.clear_caches()


@pytest.fixture(scope="session")
def optimized_programs() -> Callable[[], Programs]:
    """Makes a cache that compiles programs as users do: results promised to be bit-equal must be so there."""
    return lambda: Programs(**OPTIMIZED)


@pytest.fixture
def call(capsys):
    """Call `lanes sweep` in this process: (exit status, standard output, standard error)."""

    from lanes.cli import sweep

    def call(*arguments: object) -> tuple[int, str, str]:
        status = sweep.run([str(word) for word in arguments])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call
