"""Comparing predictions with targets as the loss and the metrics see them: before or after the output unit."""

from typing import Any

import jax
import jax.numpy as jnp

from losses import OUTPUT_UNITS, kind_of, one_hot, smooth, smooth_binary
from nets.layers import is_off

Array = jax.Array


def metrics_of(task: Any, run: Any) -> tuple[str, ...]:
    """The names of the metrics that a run's task brings; none where the outputs are not the task's."""
    return () if getattr(run, "outputs", None) is not None else task.metrics


def as_compared(run: Any, prediction: Array) -> Array:
    """The prediction [B, …] as the loss and the metrics see it: after the output unit, unless the loss applies it itself."""
    kind = kind_of(run.loss)
    return prediction if run.output is None or (kind and kind.from_logits) else run.output(prediction)


def per_example(run: Any, prediction: Array, target: Array, train: bool) -> Array:
    """The run's loss per example [B] of a prediction [B, …]: the mean over any dimensions that the loss leaves."""
    prediction = as_compared(run, prediction)
    if not train or is_off(run.label_smoothing):
        return per_row(run.loss(prediction, target))
    smoothed = _smoothed(run, target, prediction)
    if "label_smoothing" not in getattr(run, "neutral", ()):
        return per_row(run.loss(prediction, smoothed))
    # Where the smoothing is 0, the loss of the target itself; the inner `where` keeps the other's gradient out.
    smooths = run.label_smoothing > 0
    held = jnp.where(smooths, prediction, jnp.full_like(prediction, 0.5))
    return jnp.where(smooths, per_row(run.loss(held, smoothed)), per_row(run.loss(prediction, target)))


def _smoothed(run: Any, target: Array, prediction: Array) -> Array:
    """The target with label smoothing α: over K classes (also where they are mixed), or between 0 and 1 for binary targets."""
    if jnp.issubdtype(target.dtype, jnp.integer):
        return smooth(one_hot(target, prediction.shape[-1]), run.label_smoothing)
    kind = kind_of(run.loss)
    exclusive = kind is not None and "classes" in kind.targets and target.shape[-1] > 1
    return (smooth if exclusive else smooth_binary)(target, run.label_smoothing)


def threshold(run: Any) -> float:
    """The prediction, as the loss sees it, above which the label is 1.

    0 for logits, tanh and user-defined losses; ½ for probabilities and linear outputs.
    """
    kind = kind_of(run.loss)
    return 0.0 if kind is None or run.output is OUTPUT_UNITS["tanh"] else kind.threshold


def per_row(values: Array) -> Array:
    """The mean [B] of values [B, …] over all dimensions but the batch."""
    return values if values.ndim == 1 else jnp.mean(values.reshape(values.shape[0], -1), axis=1)
