"""Hessian products and spectra against the dense Hessian of a small net in float64, and matrices of known eigenvalues."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from lanes.analysis import curvature as analysis
from lanes.analysis.curvature import curvature, extreme_eigenvalues, hessian_product, quadrature

SIZES = (5, 24, 3)  # 24 hidden tanh units: 219 parameters


def small_net():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, SIZES[0])), rng.integers(0, SIZES[2], 40)
    params = {
        "w": jnp.asarray(rng.normal(size=SIZES[:2]) / 2),
        "b": jnp.zeros(SIZES[1]),
        "v": jnp.asarray(rng.normal(size=SIZES[1:]) / 4),
        "c": jnp.zeros(SIZES[2]),
    }

    def loss(params):
        h = jnp.tanh(x @ params["w"] + params["b"][None, :])
        logits = h @ params["v"] + params["c"][None, :]
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(40), y])

    return loss, params


@pytest.mark.parametrize("dense", [True, False])
def test_the_spectrum_is_that_of_the_dense_hessian_in_float64(dense, monkeypatch):
    with jax.enable_x64(True):
        loss, params = small_net()
        flat, unravel = ravel_pytree(params)
        matrix = np.asarray(jax.hessian(lambda flat: loss(unravel(flat)))(flat))
        values = np.linalg.eigvalsh(matrix)
        product = jax.jit(lambda v: hessian_product(loss, params, v))
        v = np.random.default_rng(1).normal(size=flat.size)
        np.testing.assert_allclose(product(v), matrix @ v, rtol=1e-9, atol=1e-12)
        if not dense:
            monkeypatch.setattr(analysis, "DENSE", 0)
        found = curvature(lambda v: np.asarray(product(jnp.asarray(v))), flat.size)
    assert values[0] < -1e-3  # a saddle, or near one
    np.testing.assert_allclose([found.smallest, found.largest], [values[0], values[-1]], rtol=1e-3)
    assert found.method == ("dense" if dense else "lanczos")
    assert found.flat == pytest.approx(analysis.FLAT[found.method] * np.abs(values).max(), rel=1e-3)
    assert abs(found.negative - (values < -found.flat).mean()) <= (0 if dense else 0.06)
    assert found.negative + found.positive <= 1 + 1e-9


def test_known_spectra():
    diagonal = np.concatenate([np.full(300, -1.0), np.full(500, 0.0), np.full(200, 3.0)])
    found = curvature(lambda v: diagonal * v, 1000)
    assert (found.smallest, found.largest) == pytest.approx((-1.0, 3.0), rel=1e-4)
    assert found.negative == pytest.approx(0.3, abs=0.05)
    assert found.positive == pytest.approx(0.2, abs=0.05)
    assert found.error < 0.03
    for size in (3, 600):
        zero = curvature(lambda v: 0 * v, size)
        assert (zero.largest, zero.negative, zero.positive) == (0, 0, 0)
    assert extreme_eigenvalues(lambda v: diagonal * v, 1000) == pytest.approx((3.0, -1.0), rel=1e-4)


def test_quadrature_is_exact_for_polynomials_and_ends_in_an_invariant_subspace():
    diagonal = np.linspace(-1, 2, 50)
    start = np.random.default_rng(2).normal(size=50)
    values, weights = quadrature(lambda v: diagonal * v, start, 5)
    unit = start / np.linalg.norm(start)
    for power in range(10):  # 2 m - 1 = 9
        np.testing.assert_allclose(np.sum(weights * values**power), np.sum(unit**2 * diagonal**power), rtol=1e-9)
    values, weights = quadrature(lambda v: diagonal * v, np.eye(50)[7], 5)
    np.testing.assert_allclose(values, [diagonal[7]])
    np.testing.assert_allclose(weights, [1])
