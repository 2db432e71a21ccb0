"""Predictions held against targets, as the loss and the metrics see both: behind the output unit or before it."""

from typing import Any

import jax
import jax.numpy as jnp

from losses import OUTPUT_UNITS, kind_of, one_hot, smooth, smooth_binary
from nets.layers import is_off

Array = jax.Array


def as_compared(run: Any, prediction: Array) -> Array:
    """The prediction [B, …] as the loss and the metrics see it: through the output unit unless the loss holds it."""
    kind = kind_of(run.loss)
    return prediction if run.output is None or (kind and kind.from_logits) else run.output(prediction)


def per_example(run: Any, prediction: Array, target: Array, train: bool) -> Array:
    """The run's loss of a prediction [B, …] per example [B]: means over what a loss leaves beside the batch."""
    prediction = as_compared(run, prediction)
    if train and not is_off(run.label_smoothing):
        target = _smoothed(target, prediction, run.label_smoothing)
    return per_row(run.loss(prediction, target))


def _smoothed(target: Array, prediction: Array, alpha: Any) -> Array:
    """The target with its certainty lowered: over K classes, or between yes and no for one output or labels 0 and 1."""
    if jnp.issubdtype(target.dtype, jnp.integer):
        return smooth(one_hot(target, prediction.shape[-1]), alpha)
    return smooth_binary(target, alpha)


def threshold(run: Any) -> float:
    """Where a yes begins in what the loss sees: 0 for logits and tanh, ½ for probabilities and linear outputs."""
    kind = kind_of(run.loss)
    return 0.0 if kind is None or run.output is OUTPUT_UNITS["tanh"] else kind.threshold


def per_row(values: Array) -> Array:
    """[B, …] as [B]: the mean over everything but the batch."""
    return values if values.ndim == 1 else jnp.mean(values.reshape(values.shape[0], -1), axis=1)
