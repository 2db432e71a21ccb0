"""Losses at logits of -inf and ±1e30 against float64: infinite only where the target gives a masked class weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_expit, logsumexp, rel_entr, xlogy

import losses
from losses.distribution import cross_entropy, entropy_from_logits, kl_divergence

INF = np.inf
LOGITS = np.array(
    [[1, -INF, 0.5], [-INF, 2, -1], [0.3, -INF, -INF], [1e30, -1e30, 0], [1, -1e30, 0.5], [1, -3e38, 0.5]], np.float32
)
SINGLE = np.array([[-INF], [INF], [1e30], [-1e30], [3e38], [-3e38], [0.5]], np.float32)


def value_and_gradient(loss, z, y):
    values, pullback = jax.vjp(lambda z: loss(z, y), jnp.asarray(z))
    return np.asarray(values), np.asarray(pullback(jnp.ones_like(values))[0])


def softmax_terms(z):
    """Logarithms of the probabilities, and the probabilities, in float64."""
    log_p = z.astype(np.float64) - logsumexp(z.astype(np.float64), axis=-1, keepdims=True)
    return log_p, np.exp(log_p)


def expected(name, z, y):
    """Values and gradients for rows of weights y, in float64."""
    log_p, p = softmax_terms(z)
    with np.errstate(invalid="ignore"):
        if name == "hinge":
            gaps = np.where(y == 1, 0, np.maximum(0, z.astype(np.float64) - z[y == 1][:, None] + 1))
            gaps = np.where(np.isneginf(z), 0, gaps)
            active = (gaps > 0).astype(np.float64)
            return gaps.sum(-1), active - y * active.sum(-1, keepdims=True)
        if name == "focal":
            slope = y * ((1 - p) ** 2 - 2 * (1 - p) * np.where(p > 0, xlogy(p, p), 0))
            terms = np.where(y > 0, y * (1 - p) ** 2 * log_p, 0)
            return -terms.sum(-1), p * slope.sum(-1, keepdims=True) - slope
        terms = np.where(y > 0, y * log_p, 0)
    entropy = xlogy(y, y).sum(-1) if name == "kl_divergence" else 0
    return entropy - terms.sum(-1), p * y.sum(-1, keepdims=True) - y


@pytest.mark.parametrize(
    "name", ["softmax_cross_entropy", "negative_log_likelihood", "kl_divergence", "focal", "hinge"]
)
@pytest.mark.parametrize("label", [0, 1, 2])
def test_masked_classes(name, label):
    y = np.tile(np.eye(3)[label], (len(LOGITS), 1))
    value, gradient = expected(name, LOGITS, y)
    for targets in (np.full(len(LOGITS), label, np.int32), y.astype(np.float32)):
        values, gradients = value_and_gradient(losses.LOSSES[name], LOGITS, jnp.asarray(targets))
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(values, value.astype(np.float32), rtol=2e-6, atol=1e-7)
        finite = np.isfinite(value)
        np.testing.assert_allclose(gradients[finite], gradient[finite], rtol=2e-5, atol=1e-6)


def test_targets_that_are_distributions():
    y = np.where(np.isfinite(LOGITS), 1.0, 0.0)
    y /= y.sum(-1, keepdims=True)
    for name in ("softmax_cross_entropy", "kl_divergence"):
        value, gradient = expected(name, LOGITS[:3], y[:3])
        values, gradients = value_and_gradient(losses.LOSSES[name], LOGITS[:3], jnp.asarray(y[:3], jnp.float32))
        np.testing.assert_allclose(values, value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradients, gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "sigmoid_cross_entropy", "negative_log_likelihood", "focal"])
@pytest.mark.parametrize("label", [0, 1])
def test_a_single_logit(name, label):
    z = SINGLE.astype(np.float64)
    sign = 1 if label else -1
    value = -log_expit(sign * z)[:, 0] * (expit(-sign * z)[:, 0] ** 2 if name == "focal" else 1)
    values, gradients = value_and_gradient(losses.LOSSES[name], SINGLE, jnp.full(len(SINGLE), label, jnp.float32))
    np.testing.assert_allclose(values, value.astype(np.float32), rtol=2e-6, atol=1e-7)
    assert np.isfinite(gradients).all()
    if name != "focal":
        np.testing.assert_allclose(gradients, expit(z) - label, atol=1e-6)


def test_entropies_and_divergences():
    _, p = softmax_terms(LOGITS)
    values, gradients = value_and_gradient(lambda z, _: entropy_from_logits(z), LOGITS, None)
    np.testing.assert_allclose(values, -xlogy(p, p).sum(-1), rtol=1e-6, atol=1e-7)
    assert np.isfinite(gradients).all()
    entropies = losses.METRICS["predictive_entropy"](jnp.asarray(LOGITS), jnp.zeros(len(LOGITS), jnp.int32))
    np.testing.assert_array_equal(entropies, values)
    first, second = np.array([[0.5, 0.5, 0.0]]), np.array([[0.2, 0.8, 0.0]])
    kl, slope = value_and_gradient(lambda q, p: kl_divergence(p, q), second.astype(np.float32), jnp.asarray(first))
    np.testing.assert_allclose(kl, rel_entr(first, second).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(slope, [[-2.5, -0.625, 0]], rtol=1e-6)
    _, slope = value_and_gradient(lambda q, p: cross_entropy(p, q), second.astype(np.float32), jnp.asarray(first))
    np.testing.assert_allclose(slope, [[-2.5, -0.625, 0]], rtol=1e-6)


# The slopes of `lp` and, by the variance, of `gaussian_nll` are squares of the error.
LARGE = [
    name for name, kind in losses.LOSS_KINDS.items() if "real" in kind.targets and name not in ("lp", "gaussian_nll")
]


@pytest.mark.parametrize("name", LARGE)
def test_gradients_of_large_errors_are_finite(name):
    z = np.array([[1e30, -1e30, 0.5], [3e18, 1, 2]], np.float32)
    values, gradients = value_and_gradient(losses.LOSSES[name], z, jnp.zeros_like(z))
    assert np.isfinite(gradients).all()
    assert not np.isnan(values).any()
    if name == "root_mean_squared_error":
        exact = np.sqrt((z.astype(np.float64) ** 2).mean(-1))
        np.testing.assert_allclose(values, exact, rtol=1e-6)
        np.testing.assert_allclose(gradients, z / (3 * exact[:, None]), rtol=1e-5, atol=1e-12)
