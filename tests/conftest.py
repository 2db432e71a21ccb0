"""JAX as strict as it gets, on eight host devices, for every test."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Data and compilation caches of the tests' own: nothing is read from or left in the user's."""
    os.environ.setdefault("LANES_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True, scope="module")
def forgotten_programs() -> Iterator[None]:
    """Drop what a file compiled when it ends: two thousand tests would otherwise hold gigabytes of programs."""
    yield
    jax.clear_caches()
