"""Normalization against its formula; running statistics, and statistics recomputed over a whole set."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import MLP, NORMALIZATIONS, recomputed_statistics
from nets.normalization import EPSILON, GroupNorm, _normalized, check_norm


def build(norm, x, train=True):
    layer = NORMALIZATIONS[norm](train=train, name=None)
    return layer, layer.init(jax.random.key(0), x)


AXES = {"batch_norm": (0, 1, 2), "layer_norm": (3,)}


@pytest.mark.parametrize("norm", AXES)
def test_normalization_is_its_formula(norm):
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 3, 3, 8))
    layer, variables = build(norm, x)
    y, _ = layer.apply(variables, x, mutable=["batch_stats"])
    z = np.asarray(x, np.float64)
    mean, var = z.mean(AXES[norm], keepdims=True), z.var(AXES[norm], keepdims=True)
    np.testing.assert_allclose(y, (z - mean) / np.sqrt(var + EPSILON), rtol=1e-4, atol=1e-5)


def test_group_norm_normalises_groups_of_channels_over_space():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 3, 3, 8))
    layer = GroupNorm(groups=2)
    y = layer.apply(layer.init(jax.random.key(0), x), x)
    z = np.asarray(x, np.float64).reshape(4, 9, 2, 4)
    z = (z - z.mean((1, 3), keepdims=True)) / np.sqrt(z.var((1, 3), keepdims=True) + EPSILON)
    np.testing.assert_allclose(y, z.reshape(4, 3, 3, 8), rtol=1e-4, atol=1e-5)
    dense = jax.random.normal(jax.random.key(0), (2, 6))
    assert (
        jnp.abs(GroupNorm().apply(GroupNorm().init(jax.random.key(0), dense), dense)).min() > 0
    )  # no groups of one channel


@pytest.mark.parametrize("norm", NORMALIZATIONS)
def test_half_precision_stays_half_and_finite(norm):
    x = (100 + jax.random.normal(jax.random.key(0), (4, 8))).astype(jnp.bfloat16)
    layer, variables = build(norm, x)
    variables = jax.tree.map(lambda v: v.astype(jnp.bfloat16), variables)
    y, _ = layer.apply(variables, x, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    assert jnp.isfinite(y).all()


@pytest.mark.parametrize("shape", [(7, 5), (4, 3, 3, 2)])
def test_derivatives_of_batch_normalization_are_those_of_its_formula(shape):
    """Backwards, forwards, and twice; of the statistics as well."""
    keys = jax.random.split(jax.random.key(0), 4)
    x, weights = (2 + jax.random.normal(key, shape) for key in keys[:2])
    scale, bias = (1 + jax.random.normal(key, (1,) * (len(shape) - 1) + shape[-1:]) for key in keys[2:])

    def formula(x, scale, bias):
        axes = tuple(range(x.ndim - 1))
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        return scale * (x - mean) / jnp.sqrt(var + EPSILON) + bias, mean, var

    def number(function):
        def of(x, scale, bias):
            y, mean, var = function(x, scale, bias)
            return (weights * jnp.sin(y)).sum() + (mean**2).sum() + jnp.sin(var).sum()

        return of

    own, expected, args = number(_normalized), number(formula), (x, scale, bias)
    everywhere, close = (0, 1, 2), functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    jax.tree.map(close, jax.grad(own, everywhere)(*args), jax.grad(expected, everywhere)(*args))
    close(jax.jvp(own, args, (weights, scale, bias))[1], jax.jvp(expected, args, (weights, scale, bias))[1])
    jax.tree.map(close, jax.hessian(own, everywhere)(*args), jax.hessian(expected, everywhere)(*args))


def test_running_statistics_move_in_training_only():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (64, 5))
    layer, variables = build("batch_norm", x)
    _, changed = layer.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(changed["batch_stats"]["mean"], 0.1 * x.mean(axis=0), rtol=1e-5)
    evaluation = NORMALIZATIONS["batch_norm"](train=False, name=None)
    _, same = evaluation.apply({**variables, **changed}, x, mutable=["batch_stats"])
    np.testing.assert_array_equal(same["batch_stats"]["var"], changed["batch_stats"]["var"])
    layer.apply(variables, x)  # a training-mode pass that keeps no statistics is allowed


def test_recomputed_statistics_are_those_of_the_whole_set():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (48, 5))
    net = MLP(widths=(6,), norm="batch_norm", norm_position="before")
    variables = net.init(jax.random.key(1), x, train=False)
    statistics = recomputed_statistics(net, variables, [x[:16], x[16:32], x[32:]])["hidden_0"]["norm"]
    dense = variables["params"]["hidden_0"]["dense"]
    z = np.asarray(x, np.float64) @ np.asarray(dense["kernel"], np.float64) + np.asarray(dense["bias"])
    np.testing.assert_allclose(statistics["mean"], z.mean(0), rtol=1e-4)
    np.testing.assert_allclose(statistics["var"], z.var(0), rtol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
def test_recomputed_statistics_are_right_whatever_the_momentum_is(momentum):
    class Own(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            return nn.BatchNorm(use_running_average=not train, momentum=momentum)(x)

    x = np.float32([[3.0, 0.0], [5.0, 0.0], [10.0, 0.0]])
    variables = {"params": {"BatchNorm_0": {"scale": jnp.ones(2), "bias": jnp.zeros(2)}}}
    variables["batch_stats"] = {"BatchNorm_0": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}
    (found,) = recomputed_statistics(Own(), variables, [jnp.asarray(x)]).values()
    np.testing.assert_allclose(found["mean"], x.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found["var"], x.var(axis=0), rtol=1e-4)


def test_missing_statistics_and_unknown_names_are_refused():
    x = jnp.ones((4, 3))
    net = MLP(widths=(2,))
    variables = net.init(jax.random.key(0), x, train=False)
    with pytest.raises(ValueError, match="the net has no batch normalization"):
        recomputed_statistics(net, variables, [x])
    with pytest.raises(ValueError, match="'batchnorm' is unknown: use one of batch_norm"):
        check_norm("batchnorm")
    with pytest.raises(ValueError, match="'above' is unknown"):
        check_norm("batch_norm", "above")
