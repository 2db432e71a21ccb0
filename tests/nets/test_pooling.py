"""Pooling against `reduce_window`, in value and gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from nets.pooling import average_pool, global_average_pool, max_pool


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pools_equal_reduce_window(rank):
    x = jax.random.normal(jax.random.key(0), (2, *(8, 6, 4)[:rank], 3))
    window = (2,) * rank
    expected = nn.max_pool(x, window, window)
    np.testing.assert_array_equal(max_pool(x, 2), expected)
    mean = lax.reduce_window(x, 0.0, lax.add, (1, *window, 1), (1, *window, 1), "VALID") / 2.0**rank
    np.testing.assert_allclose(average_pool(x, 2), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(global_average_pool(x), x.mean(axis=tuple(range(1, rank + 1))), rtol=1e-6)
    ours = jax.grad(lambda x: (max_pool(x, 2) ** 2).sum())(x)
    np.testing.assert_allclose(ours, jax.grad(lambda x: (nn.max_pool(x, window, window) ** 2).sum())(x), rtol=1e-6)


def test_tied_maxima_share_the_gradient():
    x = jnp.array([[3.0, 3.0, 1.0, 0.0], [3.0, 2.0, 0.0, 0.0]]).reshape(1, 2, 4, 1)
    got = jax.grad(lambda x: max_pool(x, 2).sum())(x)[0, :, :, 0]
    np.testing.assert_allclose(got, [[1 / 3, 1 / 3, 1, 0], [1 / 3, 0, 0, 0]], rtol=1e-6)
    forward = jax.jvp(lambda x: max_pool(x, 2), (x,), (2 * x,))[1]
    np.testing.assert_allclose(forward, 2 * max_pool(x, 2), rtol=1e-6)


def test_overlapping_and_padded_pools():
    x = jnp.arange(5.0).reshape(1, 5, 1)
    np.testing.assert_array_equal(max_pool(x, 3, 2)[0, :, 0], [2, 4])
    np.testing.assert_array_equal(max_pool(x, 2, padding="SAME")[0, :, 0], [1, 3, 4])
    np.testing.assert_array_equal(average_pool(x, 2, padding="SAME")[0, :, 0], [0.5, 2.5, 4])  # padding excluded
