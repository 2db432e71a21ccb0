"""Activation statistics against NumPy, and the activations that are found in nets of several libraries."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lanes.analysis.activations import BINS, activation_statistics
from lanes.analysis.layers import layers, marked
from nets import MLP, Maxout, PReLU, Recurrent, softmax
from nets.activations import PerLayer

X = jax.random.normal(jax.random.key(0), (20, 3))


def dense(x, leaf):
    return np.asarray(x @ np.asarray(leaf["kernel"]) + np.asarray(leaf["bias"]))


def of_net(net, x=X, **rngs):
    keys = {"params": jax.random.key(1), "dropout": jax.random.key(2), **rngs}
    variables = net.init(keys, x, train=False)
    return lambda params, x: net.apply({**variables, "params": params}, x, train=False), variables["params"]


def test_statistics_are_those_of_numpy():
    net, params = of_net(MLP(widths=(6, 5), activation=PerLayer(jnp.tanh)))
    scaled = jax.tree.map(lambda leaf: 4 * leaf, params)
    found = jax.jit(lambda params: activation_statistics(net, params, X))(scaled)
    h = np.tanh(dense(np.asarray(X), scaled["hidden_0"]["dense"]))
    g = np.tanh(dense(h, scaled["hidden_1"]["dense"]))
    for name, values, depth in (("hidden_0", h, 1), ("hidden_1", g, 2), ("output", dense(g, scaled["output"]), 3)):
        own = found[name]
        assert (own.depth, own.units) == (depth, values.shape[1])
        np.testing.assert_allclose(
            [own.mean, own.std, own.smallest, own.largest],
            [values.mean(), values.std(), values.min(), values.max()],
            rtol=1e-4,
            atol=1e-6,
        )
        assert own.counts.sum() == values.size
        assert own.counts.shape == (BINS,)
    assert found["hidden_0"].saturated == pytest.approx((1 - h**2 < 0.01).mean(), abs=1e-6)
    assert 0 < found["hidden_0"].saturated < 1
    assert np.isnan(found["output"].saturated)


def test_dead_units_are_zero_or_at_the_flat_end_for_all_examples():
    def net(params, x):
        return jax.nn.relu(x + params["shift"]), jnp.tanh(x + params["shift"])

    shift = jnp.array([[-9.0, 0.0, 9.0]])
    found, _ = layers(net, {"shift": shift}, X)
    relu, tanh = (activation_statistics(lambda p, x, at=at: net(p, x)[at], {"shift": shift}, X) for at in (0, 1))
    assert set(found) == {"relu", "tanh"}
    assert relu["relu"].dead == pytest.approx(1 / 3)  # never positive
    assert relu["relu"].zero == relu["relu"].saturated
    assert tanh["tanh"].dead == pytest.approx(2 / 3)  # 1 or -1 for all
    assert tanh["tanh"].zero == 0


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (jax.nn.relu, lambda z: z > 0),
        (jax.nn.gelu, None),
        (jax.nn.silu, lambda z: (s := 1 / (1 + np.exp(-z))) * (1 + z * (1 - s))),
        (jnp.tanh, lambda z: 1 - np.tanh(z) ** 2),
        (lambda z: jnp.where(z > 0, z, 0.3 * jnp.sin(z)), lambda z: np.where(z > 0, 1, 0.3 * np.cos(z))),
        (lambda z: jnp.maximum(z, 0), lambda z: z > 0),
        (lambda z: z * jnp.clip(z / 6 + 0.5, 0, 1), None),
    ],
    ids=["relu", "gelu", "silu", "tanh", "own", "maximum", "hard_swish"],
)
def test_a_function_inside_a_net_is_found_with_its_derivative(function, slope):
    def net(params, x):
        return function(x @ params["w"] + params["b"]) @ params["w"].T

    params = {"w": jax.random.normal(jax.random.key(3), (3, 4)), "b": jnp.ones((1, 4))}
    found, output = layers(net, params, X)
    z = X @ params["w"] + params["b"]
    (only,) = found.values()
    np.testing.assert_allclose(only.h, function(z), rtol=1e-6)
    np.testing.assert_allclose(output, net(params, X), rtol=1e-5, atol=1e-6)
    expected = jax.vmap(jax.vmap(jax.grad(function)))(z)
    np.testing.assert_allclose(only.slope, expected, rtol=1e-4, atol=1e-5)
    if slope is not None:
        np.testing.assert_allclose(only.slope, slope(np.asarray(z)), rtol=1e-4, atol=1e-5)


def test_normalization_and_softmax_are_no_activations():
    class Attending(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            del train
            h = nn.LayerNorm()(nn.Dense(4)(x))
            h = nn.GroupNorm(num_groups=2)(h)
            h = nn.softmax(h @ h.T) @ h
            return nn.log_softmax(nn.Dense(2)(nn.BatchNorm(use_running_average=True)(nn.gelu(h))))

    net, params = of_net(Attending())
    assert list(layers(net, params, X)[0]) == ["tanh"]  # gelu's last operation that is not linear


@pytest.mark.parametrize(
    "activation", [PReLU(per_channel=True), Maxout(3), softmax], ids=["prelu", "maxout", "softmax"]
)
def test_a_marked_activation_is_found_whatever_it_computes(activation):
    plain = MLP(widths=(6,), activation=PerLayer(activation))
    net, params = of_net(plain)
    seen, same = of_net(plain.clone(activation=PerLayer(marked(activation))))
    jax.tree.map(np.testing.assert_array_equal, params, same)
    found, output = layers(seen, params, X)
    np.testing.assert_allclose(output, net(params, X), rtol=1e-6)
    assert list(found) == ["hidden_0"]
    assert found["hidden_0"].h.shape == (20, 6)
    assert (found["hidden_0"].slope is None) == (not isinstance(activation, PReLU))


def test_loops_over_time_and_over_layers():
    series = jax.random.normal(jax.random.key(4), (5, 7, 2))
    net, params = of_net(Recurrent(cell="rnn", widths=(3,), bidirectional=True), series)
    found, output = layers(net, params, series)
    assert list(found) == ["layer_0_forward", "layer_0_backward"]
    assert found["layer_0_forward"].h.shape == (7, 5, 3)
    np.testing.assert_allclose(output, net(params, series), rtol=1e-5)

    def deep(params, x):
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, params["w"])[0]

    w = jax.random.normal(jax.random.key(5), (4, 3, 3))
    found, _ = layers(deep, {"w": w}, X)
    assert list(found) == [f"tanh[{turn}]" for turn in range(4)]
    np.testing.assert_allclose(found["tanh[1]"].h, np.tanh(np.tanh(X @ w[0]) @ w[1]), rtol=1e-5)


def test_nets_of_nnx_and_equinox():
    class Own(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x):
            return self.second(nnx.relu(self.first(x)))

    graph, params = nnx.split(Own(nnx.Rngs(0)))
    found, _ = layers(lambda params, x: nnx.merge(graph, params)(x), params, X)
    assert list(found) == ["relu"]
    eqx = pytest.importorskip("equinox", reason="the extra `equinox` is not installed")
    model = eqx.nn.MLP(3, 2, 4, 2, activation=jax.nn.silu, key=jax.random.key(0))
    arrays, static = eqx.partition(model, eqx.is_array)
    found, _ = layers(lambda params, x: jax.vmap(eqx.combine(params, static))(x), arrays, X)
    assert list(found) == ["silu", "silu 2"]
    assert found["silu"].h.shape == (20, 4)
