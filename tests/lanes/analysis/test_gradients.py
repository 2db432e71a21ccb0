"""Weight and gradient norms against NumPy and a closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from lanes.analysis.gradients import gradient_statistics, in_order_of_use, noise_scale, norm


def test_norms_are_those_of_a_linear_model():
    """loss = ½ ‖x W - y‖² / N has the gradient xᵀ(x W - y) / N."""
    x, y = np.random.default_rng(0).normal(size=(9, 3)), np.random.default_rng(1).normal(size=(9, 2))
    params = {"layer": {"kernel": jnp.ones((3, 2)), "unused": jnp.zeros((4,))}}

    def loss(params):
        return 0.5 * jnp.sum((jnp.asarray(x, jnp.float32) @ params["layer"]["kernel"] - y.astype(np.float32)) ** 2) / 9

    found = gradient_statistics(loss, params)
    gradient = x.T @ (x @ np.ones((3, 2)) - y) / 9
    kernel, unused = found["layer/kernel"], found["layer/unused"]
    np.testing.assert_allclose(kernel.weight_norm, np.sqrt(6), rtol=1e-6)
    np.testing.assert_allclose(kernel.gradient_norm, np.linalg.norm(gradient), rtol=1e-5)
    np.testing.assert_allclose(kernel.relative_gradient, np.linalg.norm(gradient) / np.sqrt(6), rtol=1e-5)
    assert (unused.gradient_norm, unused.zero_gradients, kernel.zero_gradients) == (0, 1, 0)
    assert np.isnan(unused.relative_gradient)


def test_the_noise_scale_of_a_linear_model_is_that_of_its_gradients():
    """loss = ½ (x·w + b - y)², whose gradient at one example is (x·w + b - y) (x, 1)."""
    random = np.random.default_rng(0)
    x, w = random.normal(size=(50, 3)), random.normal(size=3)
    y = x @ [1.0, -2.0, 0.5] + random.normal(size=50)

    def loss(params, x, y):
        return jnp.mean(0.5 * (x @ params["w"] + params["b"] - y) ** 2)

    params = {"w": jnp.asarray(w, jnp.float32), "b": jnp.float32(0.3)}
    found = jax.jit(functools.partial(noise_scale, loss))(params, x.astype(np.float32), y.astype(np.float32))
    each = (x @ w + 0.3 - y)[:, None] * np.c_[x, np.ones(50)]
    np.testing.assert_allclose(found, np.trace(np.cov(each.T, bias=True)) / np.sum(each.mean(axis=0) ** 2), rtol=1e-5)


def test_norms_neither_overflow_nor_vanish():
    assert norm(jnp.full((4,), 1e30)) == np.float32(2e30)
    assert abs(norm(jnp.full((4,), 1e-30)) / 2e-30 - 1) < 1e-6
    assert norm(jnp.zeros((3,))) == 0
    assert np.isnan(norm(jnp.array([jnp.nan, 1.0])))


def test_arrays_are_in_the_order_of_use_whatever_their_names():
    def net(params):
        h = jnp.tanh(params["z"] @ params["hidden_10"])
        return jax.jit(lambda w: h @ w)(params["a"])

    params = {"a": jnp.ones((2, 2)), "hidden_10": jnp.ones((3, 2)), "never": jnp.ones(()), "z": jnp.ones((1, 3))}
    assert in_order_of_use(net, params) == ["hidden_10", "z", "a", "never"]
