"""Every loss at logits and errors of ±1e4, in both precisions: values and gradients stay finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import losses
from losses.distribution import entropy_from_logits, gaussian_kl

EXTREMES = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0], [88.0, -88.0, 1e-8], [1e4, 1e4, 1e4]])


def value_and_gradient(function, first, *others):
    values, pullback = jax.vjp(lambda x: function(x, *others), first)
    return values, pullback(jnp.ones_like(values))[0]


def cases(name):
    """Predictions with targets of every kind that the loss takes, in both precisions."""
    kind = losses.LOSS_KINDS[name]
    for dtype in (jnp.float32, jnp.bfloat16):
        predictions = jnp.asarray(EXTREMES, dtype)
        if "classes" in kind.targets:
            yield from ((predictions, np.full(5, label, np.int32)) for label in range(3))
        if "binary" in kind.targets or "real" in kind.targets:
            yield from ((predictions[:, :1], np.full(5, target, dtype)) for target in (0, 1))
        if "distribution" in kind.targets:
            yield predictions, np.full((5, 3), 1 / 3, dtype)
        if "multilabel" in kind.targets:
            yield predictions, np.tile(np.array([0, 1, 1], dtype), (5, 1))


def assert_finite(*arrays):
    for array in arrays:
        assert np.isfinite(np.asarray(array, np.float32)).all()


@pytest.mark.parametrize("name", [name for name in losses.LOSSES if name != "gaussian_nll"])
def test_losses_stay_finite(name):
    pairs = list(cases(name))
    # All cases in one program, as compiling each would take minutes.
    results = jax.jit(lambda pairs: [value_and_gradient(losses.LOSSES[name], *pair) for pair in pairs])(pairs)
    for (predictions, _), (values, gradient) in zip(pairs, results):
        assert values.dtype == gradient.dtype == predictions.dtype
        assert_finite(values, gradient)
        assert (np.asarray(values, np.float32) >= 0).all()


def test_focal_stays_finite_for_every_exponent():
    pairs = list(cases("focal"))
    gradients = jax.jit(lambda gamma, pairs: [value_and_gradient(losses.Focal(gamma), *pair) for pair in pairs])
    for gamma in (0.0, 0.5, 1.0, 2.0):
        assert_finite(*jax.tree.leaves(gradients(jnp.float32(gamma), pairs)))


def test_a_confident_mistake_costs_the_margin_of_its_logits():
    logits = jnp.array([[1e4, -1e4]])
    assert losses.LOSSES["softmax_cross_entropy"](logits, jnp.array([1]))[0] == 2e4
    assert losses.LOSSES["binary_cross_entropy"](jnp.array([1e4]), jnp.array([0]))[0] == 1e4


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_output_units_and_entropies_stay_finite(dtype):
    z = jnp.asarray(EXTREMES, dtype)
    functions = {**losses.OUTPUT_UNITS, "entropy": entropy_from_logits, "kl": lambda z: gaussian_kl(z, -jnp.abs(z))}
    results = jax.jit(lambda z: {name: value_and_gradient(f, z) for name, f in functions.items()})(z)
    for values, gradient in results.values():
        assert values.dtype == gradient.dtype == dtype
        assert_finite(values, gradient)
