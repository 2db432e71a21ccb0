"""Checks and alignment of the shapes of predictions and targets, shared by losses and metrics."""

import jax
import jax.numpy as jnp

Array = jax.Array


def mismatch(name: str, predictions: Array, targets: Array, rule: str) -> ValueError:
    """The one-line error for shapes that do not match."""
    return ValueError(f"{name}: predictions {predictions.shape} do not fit targets {targets.shape}: {rule}")


def is_integer(targets: Array) -> bool:
    """Whether targets are labels (integers or booleans), by dtype and never by value."""
    return not jnp.issubdtype(targets.dtype, jnp.floating)


def is_single(predictions: Array, targets: Array) -> bool:
    """Whether each example has one output unit: predictions [...] or [..., 1] for targets [...]."""
    if predictions.ndim == 0 or predictions.shape[-1:] == (1,):
        return True
    return predictions.shape == targets.shape and predictions.ndim == 1


def aligned(name: str, predictions: Array, targets: Array) -> tuple[Array, Array]:
    """Predictions, and targets converted to their shape and dtype.

    Integer labels [...] become one-hot for predictions [..., K]; targets [...] become [..., 1] for a single output
    unit. Nothing else is broadcast: [B, 1] against [B] would silently compare every pair of examples.

    Raises ValueError with both shapes if they still differ.
    """
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if not jnp.issubdtype(predictions.dtype, jnp.floating):
        raise ValueError(f"{name}: predictions are {predictions.dtype}: they must be floating point")
    if predictions.ndim == targets.ndim + 1 and predictions.shape[:-1] == targets.shape:
        if predictions.shape[-1] == 1:
            targets = targets[..., None]
        elif is_integer(targets):
            targets = jax.nn.one_hot(targets, predictions.shape[-1], dtype=predictions.dtype)
    if predictions.shape != targets.shape:
        raise mismatch(name, predictions, targets, "give equal shapes, or integer labels without the class axis")
    return predictions, targets.astype(predictions.dtype)


def labels(name: str, predictions: Array, targets: Array, threshold: float = 0.0) -> tuple[Array, Array]:
    """Predicted and true labels, both int32 in the shape [...] of the examples.

    With a single output unit the label is 1[prediction > threshold], otherwise the argmax over the last axis.
    """
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if is_single(predictions, targets):
        predictions, targets = aligned(name, predictions, targets)
        if predictions.ndim > 1:
            predictions, targets = predictions[..., 0], targets[..., 0]
        return (predictions > threshold).astype(jnp.int32), (targets > 0.5).astype(jnp.int32)
    predicted = jnp.argmax(predictions, axis=-1).astype(jnp.int32)
    if is_integer(targets) and targets.shape == predicted.shape:
        return predicted, targets.astype(jnp.int32)
    _, targets = aligned(name, predictions, targets)
    return predicted, jnp.argmax(targets, axis=-1).astype(jnp.int32)


def weighted(weights: Array, values: Array) -> Array:
    """weights · values with 0 · ∞ = 0, in the gradient as well: a masked logit has no part in a loss that gives it no weight."""
    return weights * jnp.where(weights == 0, 0, values)


def rows(values: Array) -> Array:
    """[B, ...] -> [B, K]. On a CPU, sums over an image's axes, of which the last may have length 1, take seven times as long."""
    return values.reshape(len(values), -1)


def total(values: Array) -> Array:
    """Sum over everything but the first axis: [B, ...] -> [B]."""
    return jnp.sum(values, axis=tuple(range(1, values.ndim)))


def average(values: Array) -> Array:
    """Mean over everything but the first axis: [B, ...] -> [B]."""
    return jnp.mean(values, axis=tuple(range(1, values.ndim)))
