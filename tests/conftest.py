"""JAX as strict as it gets, on eight host devices, compiling quickly, for every test.

Tests compile far more than they compute. XLA's cheapest code halves their time; `XLA_FLAGS="" pytest` compiles as users do,
and so do the tests that ask for `optimized_programs`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import jax
import pytest

from lanes.engine import stages
from lanes.program import compilation_cache
from lanes.program.compiled import Compiled
from lanes.program.places import Place

CHEAPEST = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
NARROW = "--xla_cpu_max_isa=SSE4_2"  # without optimization, wide vectors in jaxlib 0.10.2 give wrong numbers
os.environ.setdefault("XLA_FLAGS", f"{CHEAPEST} {NARROW}")  # XLA reads it when it first compiles
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

CHECKOUT = Path(__file__).parents[1]
OPTIMIZED = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True, "xla_cpu_max_isa": ""}


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Data and compilation caches of the tests' own, shared by all their processes: nothing of the user's is read or left."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    os.environ.setdefault("LANES_CACHE_DIR", str(shared / "cache"))
    compilation_cache.switch_on()


@pytest.fixture(autouse=True, scope="module")
def forgotten_programs() -> Iterator[None]:
    """Drop what a file compiled when it ends: two thousand tests would otherwise hold gigabytes of programs."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def shared_programs() -> Iterator[None]:
    """The sweeps of a file that want the same program compile it once; each counts it as its own.

    For files that change nothing of what is traced: `pytestmark = pytest.mark.usefixtures("shared_programs")`.
    """
    own = Compiled()

    class Shared(Compiled):
        def get(self, key: Any, place: Place, function: Callable, split: int, args: Any, **options: Any) -> Callable:
            with self._guard:
                if key not in self.keys:
                    self.keys.append(key)
            shapes = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(args))
            return own.get((key, shapes, tuple(options.items())), place, function, split, args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "Compiled", Shared)
        yield


@pytest.fixture(scope="session")
def optimized_programs() -> Callable[[], AbstractContextManager[None]]:
    """`with optimized_programs():` sweeps compile as users' do: what is promised to be bit-equal must be so there."""

    @contextmanager
    def optimized() -> Iterator[None]:
        get = Compiled.get

        def as_users(self: Compiled, key: Any, place: Place, *args: Any, **options: Any) -> Callable:
            more = OPTIMIZED if place.mapping == "local" else {}  # pmap takes none, and must equal shard_map
            return get(self, key, place, *args, **(more | options))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Compiled, "get", as_users)
            yield

    return optimized
