"""The Gaussian likelihood against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from losses import LOSSES, GaussianNLL

RANDOM = np.random.default_rng(0)
MEAN, RAW, Y = (RANDOM.normal(size=(5, 3)).astype(np.float32) for _ in range(3))


@pytest.mark.parametrize("variance", ["log", "softplus"])
def test_gaussian_nll_is_scipys(variance):
    raw = np.concatenate([RAW[:4], np.full((1, 3), -20, np.float32)])
    deviation = np.sqrt(np.exp(raw) if variance == "log" else np.log1p(np.exp(raw.astype(float))))
    loss = GaussianNLL(variance)
    expected = -norm.logpdf(Y, MEAN, deviation).sum(1)
    both = jnp.concatenate([jnp.asarray(MEAN), jnp.asarray(raw)], axis=1)
    np.testing.assert_allclose(loss(both, jnp.asarray(Y)), expected, rtol=2e-5)
    inverse = loss.predictions(jnp.asarray(MEAN), jnp.asarray(np.square(deviation), jnp.float32))
    np.testing.assert_allclose(inverse[:4], both[:4], rtol=1e-4, atol=1e-5)


def test_one_target_and_steps():
    single = LOSSES["gaussian_nll"](jnp.asarray([[0.5, 0.0]]), jnp.asarray([1.0]))
    np.testing.assert_allclose(single, -norm.logpdf([1.0], 0.5, 1.0), rtol=1e-6)
    steps = LOSSES["gaussian_nll"](jnp.zeros((2, 4, 6)), jnp.ones((2, 4, 3)))
    np.testing.assert_allclose(steps, np.full(2, -12 * norm.logpdf(1.0)), rtol=1e-6)


def test_its_gradients_are_those_of_the_formula():
    """∂L/∂μ = (μ - y)/σ², ∂L/∂v = ½ (1 - (y - μ)²/σ²), finite where the variance is tiny."""
    at = jnp.asarray([[0.3, -1.0]])
    mean, raw = jax.jit(jax.grad(lambda p: LOSSES["gaussian_nll"](p, jnp.asarray([[1.0]]))[0]))(at)[0]
    np.testing.assert_allclose(mean, -0.7 * np.exp(1.0), rtol=1e-6)
    np.testing.assert_allclose(raw, 0.5 * (1 - 0.49 * np.exp(1.0)), rtol=1e-5)
    soft = jax.jit(jax.grad(lambda p: GaussianNLL("softplus")(p, jnp.asarray([[0.3]]))[0]))(jnp.asarray([[0.3, -60.0]]))
    np.testing.assert_allclose(soft, [[0.0, 0.5]], atol=1e-6)


@pytest.mark.parametrize("variance", ["log", "softplus"])
def test_extreme_predictions_stay_finite(variance):
    """A target hit exactly at any variance, far errors at usual ones, and any error at huge ones."""
    at = jnp.asarray([[0.0, -1e4], [0.0, 1e4], [1e4, 0.0], [1e4, 1e4]])
    values, gradients = jax.jit(jax.value_and_grad(lambda p: jnp.sum(GaussianNLL(variance)(p, jnp.zeros((4, 1))))))(at)
    assert np.isfinite(values)
    assert np.isfinite(np.asarray(gradients)).all()


def test_other_shapes_are_refused():
    for predictions, targets in (((4, 3), (4, 3)), ((4, 2), (4, 2)), ((4, 6), (4, 2)), ((), ())):
        with pytest.raises(ValueError, match="two"):
            LOSSES["gaussian_nll"](jnp.zeros(predictions), jnp.zeros(targets))
    with pytest.raises(ValueError, match="log, softplus"):
        GaussianNLL("exp").check()
