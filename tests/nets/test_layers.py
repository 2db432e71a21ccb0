"""Dropout with traced rates, and the order of operations in a hidden layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import Dropout, HiddenDense, Maxout, PerLayer, PReLU


def drop(rate, x, seed=0, train=True):
    return Dropout(rate).apply({}, x, train=train, rngs={"dropout": jax.random.key(seed)})


def test_dropout_keeps_the_mean_and_drops_at_its_rate():
    x = jnp.ones((100, 1000))
    y = drop(0.3, x)
    np.testing.assert_allclose((y == 0).mean(), 0.3, atol=0.005)
    np.testing.assert_allclose(y.mean(), 1, atol=0.01)
    np.testing.assert_allclose(y.max(), 1 / 0.7, rtol=1e-6)


def test_dropout_is_the_identity_in_evaluation_and_at_rate_zero():
    x = jax.random.normal(jax.random.key(0), (4, 5))
    np.testing.assert_array_equal(drop(0.5, x, train=False), x)
    np.testing.assert_array_equal(Dropout(0.0).apply({}, x, train=True), x)  # without a stream of randomness
    np.testing.assert_array_equal(jax.jit(drop)(jnp.float32(0), x), x)


def test_dropout_takes_a_traced_rate_and_compiles_once():
    x = jnp.ones((50, 50))
    traced = jax.jit(lambda rate, x: drop(rate, x))
    for rate in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(traced(jnp.float32(rate), x), drop(rate, x), rtol=1e-6)
    assert traced._cache_size() == 1


def test_dropout_of_everything_has_finite_gradients():
    slopes = jax.grad(lambda x, rate: drop(rate, x).sum())(jnp.ones((3, 3)), jnp.float32(1))
    np.testing.assert_array_equal(slopes, np.zeros((3, 3), np.float32))


def test_dropout_that_is_skipped_draws_nothing_and_derives_no_key():
    x, key, drops = jnp.ones((3, 4)), jax.random.key(0), jnp.bool_(True)

    def skipping(rate, drops):
        return Dropout(rate).apply({}, x, drops, rngs={"dropout": key}, method="skipping")

    outside = {equation.primitive.name for equation in jax.make_jaxpr(skipping)(0.5, drops).jaxpr.eqns}
    assert "cond" in outside
    assert not {"random_fold_in", "random_bits", "shift_left", "xor"} & outside
    np.testing.assert_array_equal(skipping(0.5, drops), drop(0.5, x))
    np.testing.assert_array_equal(skipping(0.0, ~drops), x)


def test_dropout_shared_over_space_drops_whole_channels():
    y = Dropout(0.5, shared=(1, 2)).apply({}, jnp.ones((2, 4, 4, 8)), train=True, rngs={"dropout": jax.random.key(0)})
    assert ((y == 0).all(axis=(1, 2)) | (y == 2).all(axis=(1, 2))).all()


def test_hidden_layer_follows_its_formula_and_sows_before_dropout():
    x = jax.random.normal(jax.random.key(0), (3, 4))
    layer = HiddenDense(5, bias=0.5, dropout=0.5)
    variables = layer.init(jax.random.key(1), x, train=False)
    y, sown = layer.apply(variables, x, train=True, rngs={"dropout": jax.random.key(2)}, mutable=["intermediates"])
    params = variables["params"]["dense"]
    expected = np.maximum(np.asarray(x) @ np.asarray(params["kernel"]) + 0.5, 0)
    (hidden,) = sown["intermediates"]["hidden"]
    np.testing.assert_allclose(hidden, expected, rtol=1e-5, atol=1e-6)
    assert ((y == 0) | (np.abs(np.asarray(y) - 2 * expected) < 1e-5)).all()


@pytest.mark.parametrize(("position", "smallest"), [("before", 0.0), ("after", -10.0)])
def test_normalization_before_and_after_the_activation(position, smallest):
    x = jax.random.normal(jax.random.key(0), (8, 4))
    layer = HiddenDense(6, norm="layer_norm", norm_position=position)
    y = layer.apply(layer.init(jax.random.key(1), x, train=False), x, train=False)
    assert y.min() >= smallest
    assert bool(y.min() < 0) == (position == "after")  # after the rectifier, values are centred again


def test_maxout_widens_its_layer_and_prelu_belongs_to_its_layer():
    x = jnp.ones((2, 3))
    maxout = HiddenDense(4, PerLayer(Maxout(pieces=3)))
    variables = maxout.init(jax.random.key(0), x, train=False)
    assert variables["params"]["dense"]["kernel"].shape == (3, 12)
    assert maxout.apply(variables, x, train=False).shape == (2, 4)
    prelu = HiddenDense(4, PerLayer(PReLU())).init(jax.random.key(0), x, train=False)
    assert any("slope" in layer for layer in prelu["params"].values())
