"""Entropies and divergences against SciPy and numerical integration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy
from scipy.stats import norm

from losses import distribution

P = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
Q = np.array([[0.1, 0.6, 0.3], [0.25, 0.5, 0.25]])


def test_discrete_measures_against_scipy():
    with jax.enable_x64(True):
        p, q = jnp.asarray(P), jnp.asarray(Q)
        np.testing.assert_allclose(distribution.entropy(p), scipy_entropy(P, axis=-1), atol=1e-14)
        np.testing.assert_allclose(distribution.kl_divergence(p, q), scipy_entropy(P, Q, axis=-1), rtol=1e-12)
        crossed = distribution.cross_entropy(p, q)
        np.testing.assert_allclose(crossed, distribution.entropy(p) + distribution.kl_divergence(p, q), rtol=1e-12)
        from_logits = distribution.kl_from_logits(jnp.log(q) + 7, p)
        np.testing.assert_allclose(from_logits, scipy_entropy(P, Q, axis=-1), rtol=1e-12)
        np.testing.assert_allclose(distribution.entropy_from_logits(jnp.log(q)), scipy_entropy(Q, axis=-1), rtol=1e-12)


def test_divergence_is_zero_if_equal_and_infinite_if_impossible():
    np.testing.assert_allclose(distribution.kl_divergence(jnp.asarray(P), jnp.asarray(P)), 0)
    assert jnp.isinf(distribution.kl_divergence(jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0])))
    assert bool(jnp.all(distribution.kl_divergence(jnp.asarray(P), jnp.asarray(Q)) > 0))


def test_nats_and_bits_differ_by_log_two():
    assert distribution.bits(distribution.entropy(jnp.full(8, 1 / 8))) == pytest.approx(3, rel=1e-6)
    assert distribution.bits(np.log(2)) == pytest.approx(1)


def test_gaussian_divergence_equals_the_integral():
    mean, log_variance = 0.7, -0.4
    x = np.linspace(-12, 12, 200_001)
    density = norm.pdf(x, mean, np.exp(log_variance / 2))
    ratio = norm.logpdf(x, mean, np.exp(log_variance / 2)) - norm.logpdf(x)
    expected = np.trapezoid(density * ratio, x)
    value = distribution.gaussian_kl(jnp.array([[mean, 0.0]]), jnp.array([[log_variance, 0.0]]))
    np.testing.assert_allclose(value, [expected], rtol=1e-5)


def test_shapes_must_match():
    for function in (distribution.cross_entropy, distribution.kl_divergence, distribution.gaussian_kl):
        with pytest.raises(ValueError, match=r"\(2, 3\) and \(3,\)"):
            function(jnp.asarray(P), jnp.asarray(Q[0]))
