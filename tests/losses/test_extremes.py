"""Every loss at logits and errors of ±1e4, in both precisions: no NaN, no infinity, in value and gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import losses
from losses.distribution import entropy_from_logits, gaussian_kl

EXTREMES = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0], [88.0, -88.0, 1e-8], [1e4, 1e4, 1e4]])


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradient(function, first, *others):
    values, pullback = jax.vjp(lambda x: function(x, *others), first)
    return values, pullback(jnp.ones_like(values))[0]


def cases(name, dtype):
    kind, predictions = losses.LOSS_KINDS[name], jnp.asarray(EXTREMES, dtype)
    if "classes" in kind.targets:
        yield from ((predictions, jnp.full(5, label)) for label in range(2))
    if "binary" in kind.targets or "real" in kind.targets:
        yield from ((predictions[:, :1], jnp.full(5, target, dtype)) for target in (0, 1))
    if "distribution" in kind.targets:
        yield predictions, jnp.full((5, 3), 1 / 3, dtype)
    if "multilabel" in kind.targets:
        yield predictions, jnp.asarray(np.tile([0, 1, 1], (5, 1)), dtype)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", losses.LOSSES)
def test_finite(name, dtype):
    loss = losses.LOSSES[name]
    for predictions, targets in cases(name, dtype):
        values, gradient = value_and_gradient(loss, predictions, targets)
        assert values.dtype == gradient.dtype == dtype
        assert np.isfinite(np.float32(values)).all()
        assert (np.float32(values) >= 0).all()
        assert np.isfinite(np.float32(gradient)).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_is_finite_for_every_exponent(gamma, dtype):
    loss = losses.Focal(gamma)
    for predictions, targets in cases("focal", dtype):
        _, gradient = value_and_gradient(loss, predictions, targets)
        assert np.isfinite(np.float32(gradient)).all()


def test_confident_and_wrong_costs_the_logit():
    logits = jnp.array([[1e4, -1e4]])
    assert losses.LOSSES["softmax_cross_entropy"](logits, jnp.array([1]))[0] == 2e4
    assert losses.LOSSES["binary_cross_entropy"](jnp.array([1e4]), jnp.array([0]))[0] == 1e4


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", losses.OUTPUT_UNITS)
def test_output_units(name, dtype):
    z = jnp.asarray(EXTREMES, dtype)
    values, gradient = value_and_gradient(losses.OUTPUT_UNITS[name], z)
    assert values.dtype == gradient.dtype == dtype
    assert np.isfinite(np.float32(values)).all()
    assert np.isfinite(np.float32(gradient)).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_entropies(dtype):
    z = jnp.asarray(EXTREMES, dtype)
    for function, arguments in ((entropy_from_logits, (z,)), (gaussian_kl, (z, -jnp.abs(z)))):
        values, gradient = value_and_gradient(function, *arguments)
        assert np.isfinite(np.float32(values)).all()
        assert np.isfinite(np.float32(gradient)).all()
