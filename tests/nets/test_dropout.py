"""Kinds of dropout against the moments of their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import AlphaDropout, Dropout, GaussianDropout

N = 200_000


def dropped(rate, x, train=True, shared=()):
    layer = Dropout(rate, shared)
    return layer.apply({}, x, train=train, rngs={"dropout": jax.random.key(0)})


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_gaussian_dropout_has_the_mean_and_the_variance_of_inverted_dropout(rate):
    found = np.asarray(dropped(GaussianDropout(rate), jnp.full(N, 2.0)))
    variance = 4 * rate / (1 - rate)
    np.testing.assert_allclose(found.mean(), 2.0, atol=5 * np.sqrt(variance / N))
    np.testing.assert_allclose(found.var(), variance, rtol=5 * np.sqrt(2 / N))
    standard = (found - 2.0) / np.sqrt(variance)
    np.testing.assert_allclose([(standard**3).mean(), (standard**4).mean()], [0, 3], atol=0.1)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_alpha_dropout_keeps_mean_0_and_variance_1_and_takes_two_values(rate):
    x = jax.random.normal(jax.random.key(1), (N,))
    found = np.asarray(dropped(AlphaDropout(rate), x))
    np.testing.assert_allclose([found.mean(), found.var()], [0, 1], atol=0.02)
    saturation = -1.0507009873554805 * 1.6732632423543772
    a = ((1 - rate) * (1 + rate * saturation**2)) ** -0.5
    b = -a * rate * saturation
    is_kept = np.isclose(found, a * np.asarray(x) + b, atol=1e-5)
    np.testing.assert_allclose(found[~is_kept], a * saturation + b, rtol=1e-5)
    np.testing.assert_allclose(1 - is_kept.mean(), rate, atol=0.005)


@pytest.mark.parametrize("kind", [GaussianDropout, AlphaDropout])
def test_a_kind_is_the_identity_in_evaluation_and_at_rate_0_and_draws_once_for_shared_axes(kind):
    x = jnp.arange(24.0).reshape(2, 3, 4) + 1
    np.testing.assert_array_equal(dropped(kind(0.5), x, train=False), x)
    np.testing.assert_array_equal(dropped(kind(0.0), x), x)
    np.testing.assert_array_equal(jax.jit(lambda rate: dropped(kind(rate), x))(0.0), x)  # traced
    ones = np.asarray(dropped(kind(0.5), jnp.ones((8, 3, 4)), shared=(1, 2)))
    np.testing.assert_array_equal(ones, ones[:, :1, :1] * np.ones((1, 3, 4)))
    assert len(np.unique(ones)) > 1
    assert dropped(kind(0.5), x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("kind", [GaussianDropout, AlphaDropout])
def test_gradients_are_finite_for_rates_up_to_1(kind):
    gradient = jax.grad(lambda x, rate: dropped(kind(rate), x).sum(), argnums=(0, 1))(jnp.ones(64), 0.999)
    assert all(np.isfinite(part).all() for part in gradient)
