"""Comparing predictions with targets as the loss and the metrics see them: before or after the output unit."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from losses import OUTPUT_UNITS, kind_of, name_of, one_hot, smooth, smooth_binary
from losses.metrics import SET_METRICS, function_of, is_over_set, name_of_metric
from nets import Outputs
from nets.layers import is_off

Array = jax.Array

THRESHOLDED = (
    *("accuracy", "label_accuracy", "exact_match"),
    *("balanced_accuracy", "macro_f1"),
)  # metrics that take the threshold between 0 and 1
OF_PROBABILITIES = ("auroc", "expected_calibration_error")  # metrics that take whether predictions are logits


@runtime_checkable
class Compares(Protocol):
    """A task whose predictions and targets metrics over a set compare."""

    def compared(self, run: Any, outputs: Outputs, view: Any) -> tuple[Array, Array]:
        """Predictions and targets [B, …] of a batch, as metrics see them."""
        ...


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

    0 for logits, tanh and user-defined losses; ½ for probabilities and linear outputs. A rule that compares the net's own
    outputs with the targets has a boundary of its own.
    """
    own = getattr(run.rule, "boundary", None)
    if own is not None and run.output in (None, OUTPUT_UNITS["identity"]):
        return float(own)
    kind = kind_of(run.loss)
    return 0.0 if kind is None or run.output is OUTPUT_UNITS["tanh"] else kind.threshold


def per_row(values: Array) -> Array:
    """The mean [B] of values [B, …] over all dimensions but the batch."""
    return values if values.ndim == 1 else jnp.mean(values.reshape(values.shape[0], -1), axis=1)


def options_of(run: Any, metric: str) -> dict[str, Any]:
    """What a metric of METRICS must know of a run to read its predictions."""
    if metric in THRESHOLDED:
        return {"threshold": threshold(run)}
    return {"from_logits": are_logits(run)} if metric in OF_PROBABILITIES else {}


def are_logits(run: Any) -> bool:
    """Whether predictions, as the loss sees them, are logits; of a loss of the user's own, without an output unit."""
    kind = kind_of(run.loss)
    return run.output is None if kind is None else kind.from_logits


def no_probabilities(run: Any) -> str | None:
    """Why a run's predictions stand for no probabilities, in one line; None if they do."""
    kind = kind_of(run.loss)
    squashed = run.output in (OUTPUT_UNITS["softmax"], OUTPUT_UNITS["sigmoid"])
    if squashed or kind is None or (kind.from_logits and kind.units != ("identity",)):
        return None
    return (
        f"a net's outputs are no probabilities under loss {name_of(run.loss)}: use softmax_cross_entropy, or another "
        "cross-entropy"
    )


def over_set(run: Any, predictions: Array, targets: Array) -> dict[str, Array]:
    """The run's metrics over a set, from all its predictions [N, …], as the loss sees them, and targets [N, …]."""
    out: dict[str, Array] = {}
    for metric in run.metrics:
        if is_over_set(metric):
            name = name_of_metric(metric)
            options = options_of(run, name) if name in SET_METRICS and isinstance(metric, str) else {}
            value = jnp.asarray(function_of(metric)(predictions, targets, **options))
            if value.shape:
                raise ValueError(
                    f"metric {name} over a set returns an array of shape {value.shape}: it must return one number"
                )
            out[name] = value.astype(jnp.float32)
    return out
