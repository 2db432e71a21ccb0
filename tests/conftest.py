"""The setup of every test: JAX at its strictest, on eight host devices, with cheap compilation.

Tests compile far more than they compute. XLA's cheapest code halves their time; `XLA_FLAGS="" pytest` compiles as users do,
and so do the tests that use `optimized_programs`. Sweeps of a file share their programs through the file's own cache,
`Options(programs=PROGRAMS)`.
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from lanes.program import compilation_cache, stored_programs, xla_flags
from lanes.program.compiled import Programs

gc.set_threshold(50_000, 20, 20)  # as the command does: tracing makes millions of objects
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, all tests of a file run in one process, which compiles what they share once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


@pytest.fixture(autouse=True, scope="module")
def forgotten_programs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drop the programs of a file at its end, and JAX's own once they are many.

    Files share the single operations that JAX compiles (`jnp.ones`, `random.normal`): compiling them again in each takes
    longer than most tests. Three thousand tests would hold gigabytes, and more mappings than Linux allows a process.
    """
    yield
    for shared in vars(request.module).values():
        if isinstance(shared, Programs):
            shared.clear()
    if _holds_much():
        jax.clear_caches()


def _holds_much() -> bool:
    """Whether this process has 2 GiB in memory, or a third of the mappings that it may have by default."""
    maps, memory = Path("/proc/self/maps"), Path("/proc/self/statm")
    if not maps.exists():
        return True
    resident = int(memory.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident > 2**31 or maps.read_text().count("\n") > 20_000


@pytest.fixture(scope="session")
def optimized_programs() -> Callable[[], Programs]:
    """Makes a cache that compiles programs as users do: results promised to be bit-equal must be so there."""
    return lambda: Programs(**OPTIMIZED)


@pytest.fixture
def nothing_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """No executable on disk, for tests that count compilations: other tests of this session may have left some."""
    monkeypatch.setattr(stored_programs, "file_of", lambda *_: None)


@pytest.fixture
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test's own, as in a first process."""
    before = jax.config.values["jax_compilation_cache_dir"]
    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path / "cache"))
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.switch_on()
    jax_cache.reset_cache()
    yield tmp_path / "cache"
    jax.config.update("jax_compilation_cache_dir", before)
    jax_cache.reset_cache()


@pytest.fixture
def promotion_of_users() -> Iterator[None]:
    """JAX's own rules of promotion, in all threads: programs are compiled in others too."""
    names = ("jax_numpy_dtype_promotion", "jax_numpy_rank_promotion")
    strict = [getattr(jax.config, name) for name in names]
    for name, value in zip(names, ("standard", "allow")):
        jax.config.update(name, value)
    yield
    for name, value in zip(names, strict):
        jax.config.update(name, value)


@pytest.fixture
def call(capsys):
    """Call `lanes sweep` in this process: (exit status, standard output, standard error)."""

    from lanes.cli import sweep

    def call(*arguments: object) -> tuple[int, str, str]:
        status = sweep.run([str(word) for word in arguments])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call
