"""Fixtures that the tests of nets share."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest


@pytest.fixture(scope="session")
def parameter_count() -> Callable[..., int]:
    """Number of a net's parameters for examples of a shape, by tracing `init`; nothing is compiled."""

    def count(net, shape, dtype=jnp.float32):
        x = jax.ShapeDtypeStruct((1, *shape), dtype)
        variables = jax.eval_shape(lambda x: net.init(jax.random.key(0), x, train=False), x)
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))

    return count


@pytest.fixture(scope="session")
def variables_of() -> Callable[..., dict]:
    """A net's initial variables for an input, from one compiled program instead of one per operation."""
    return lambda net, x: jax.jit(lambda x: net.init(jax.random.key(1), x, train=False))(x)
