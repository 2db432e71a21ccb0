"""Metrics, which are measured but not minimized: per example (the caller takes the mean), or over a whole set.

Predictions are those that the loss sees: logits for a loss from logits, otherwise after the output unit.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from losses import shapes
from losses.distribution import entropy_from_logits
from losses.metrics_of_sets import (
    auroc,
    balanced_accuracy,
    expected_calibration_error,
    macro_f1,
    perplexity,
    r_squared,
    root_mean_squared_error,
)
from losses.regression import absolute_error, mean_absolute_error, mean_squared_error, squared_error

Array = jax.Array
OVER = ("example", "set")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric that can rank runs: a function of (prediction, target), in jax.numpy, and its direction.

    `metrics=(Metric(brier, higher_is_better=False),)` measures the mean of `brier` over examples; the bare function
    `brier` is measured too, but cannot rank runs. A metric that is no mean over examples says `over="set"`.

    Attributes:
        function: a named function: (prediction [B, …], target) -> [B] over examples, or (predictions [N, …], targets) -> one
            number over a set. Predictions are those that the loss sees: logits for a loss of logits.
        higher_is_better: whether higher is better; None if neither direction is, as for an entropy.
        proportion: whether its mean over examples is a proportion, as accuracy and error rates are: then intervals stay
            in [0, 1].
        over: "example", whose values are averaged over a split, or "set": computed once from all predictions and targets of a
            split, which each lane then holds at once.
    """

    function: Callable[..., Array]
    higher_is_better: bool | None
    proportion: bool = False
    over: str = dataclasses.field(default="example", metadata={"later": True})

    @property
    def name(self) -> str:
        """Its name in tables: that of its function."""
        return name_of_metric(self.function)

    def __call__(self, *args: Any, **options: Any) -> Array:
        """Call the function."""
        return self.function(*args, **options)

    def check(self) -> None:
        """Raises ValueError, in one line, for a function without a name or a direction other than True, False and None."""
        if isinstance(self.function, (str, Metric)) or not hasattr(self.function, "__name__"):
            raise ValueError(f"Metric of {self.function!r}: give a named function (prediction, target) -> [B]")
        if not isinstance(self.higher_is_better, (bool, type(None))):
            raise ValueError(
                f"higher_is_better={self.higher_is_better!r} of metric {self.name} must be True, False or None"
            )
        if not isinstance(self.proportion, bool):
            raise ValueError(f"proportion={self.proportion!r} of metric {self.name} must be True or False")
        if self.over not in OVER:
            raise ValueError(f"over={self.over!r} of metric {self.name} must be {' or '.join(map(repr, OVER))}")


def name_of_metric(metric: Any) -> str:
    """The name of a metric in tables: a name in METRICS as it is, a function or `Metric` by the function's name."""
    if isinstance(metric, str):
        return metric
    return metric.name if isinstance(metric, Metric) else metric.__name__


def accuracy(predictions: Array, targets: Array, *, threshold: float = 0.0) -> Array:
    """1 if the predicted label is right: argmax over [..., K] or, for a single output, prediction > threshold.

    The threshold is 0 for a logit and 0.5 after a sigmoid (`Kind.threshold`).

    Formula: 1[argmax_k z_k = y]
    Reference: introductory
    """
    predicted, true = shapes.labels("accuracy", predictions, targets, threshold)
    return (predicted == true).astype(predictions.dtype)


def top_k(predictions: Array, targets: Array, *, k: int = 5) -> Array:
    """1 if the true label is among the k highest scores; ties count against the prediction.

    Formula: 1[#{j ≠ y: z_j ≥ z_y} < k]
    Reference: Russakovsky et al., 2015
    """
    if not 1 <= k <= predictions.shape[-1]:
        raise ValueError(f"top_k: k={k} must lie between 1 and the {predictions.shape[-1]} classes: choose a smaller k")
    _, true = shapes.labels("top_k", predictions, targets)
    of_target = jnp.take_along_axis(predictions, true[..., None], axis=-1)
    rivals = jnp.sum(predictions >= of_target, axis=-1) - 1  # the label itself is always counted once
    return (rivals < k).astype(predictions.dtype)


def label_accuracy(predictions: Array, targets: Array, *, threshold: float = 0.0) -> Array:
    """Fraction of an example's K non-exclusive labels that are right: [B, K] -> [B] (1 minus the Hamming loss).

    Formula: 1/K Σ_k 1[1[z_k > threshold] = y_k]
    Reference: Tsoumakas and Katakis, 2007
    """
    predictions, targets = shapes.aligned("label_accuracy", predictions, targets)
    return shapes.average(((predictions > threshold) == (targets > 0.5)).astype(predictions.dtype))


def exact_match(predictions: Array, targets: Array, *, threshold: float = 0.0) -> Array:
    """1 if all of an example's non-exclusive labels are right: [B, K] -> [B].

    Formula: Π_k 1[1[z_k > threshold] = y_k]
    Reference: Tsoumakas and Katakis, 2007
    """
    return (label_accuracy(predictions, targets, threshold=threshold) == 1).astype(predictions.dtype)


def predictive_entropy(predictions: Array, targets: Array) -> Array:  # noqa: ARG001
    """Entropy of softmax(logits) in nats; the targets are not used.

    Formula: -Σ_k p_k log p_k
    Reference: Shannon, 1948
    """
    return entropy_from_logits(predictions)


# Metrics of a whole set. The last two follow from means over examples, so no run names them.
SET_METRICS: dict[str, Metric] = {
    "auroc": Metric(auroc, higher_is_better=True, proportion=True, over="set"),
    "balanced_accuracy": Metric(balanced_accuracy, higher_is_better=True, proportion=True, over="set"),
    "macro_f1": Metric(macro_f1, higher_is_better=True, proportion=True, over="set"),
    "expected_calibration_error": Metric(
        expected_calibration_error, higher_is_better=False, proportion=True, over="set"
    ),
    "r_squared": Metric(r_squared, higher_is_better=True, over="set"),
    "root_mean_squared_error": Metric(root_mean_squared_error, higher_is_better=False, over="set"),
    "perplexity": Metric(perplexity, higher_is_better=False, over="set"),
}

# The kinds of targets (`Kind.targets`) of those of SET_METRICS that a run may name.
SET_TARGETS: dict[str, tuple[str, ...]] = {
    "auroc": ("classes", "binary", "multilabel"),
    "balanced_accuracy": ("classes", "binary"),
    "macro_f1": ("classes", "binary", "multilabel"),
    "expected_calibration_error": ("classes", "binary"),
    "r_squared": ("real",),
}

METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, higher_is_better=True, proportion=True),
    "top_k": Metric(top_k, higher_is_better=True, proportion=True),
    "label_accuracy": Metric(label_accuracy, higher_is_better=True, proportion=True),
    "exact_match": Metric(exact_match, higher_is_better=True, proportion=True),
    "squared_error": Metric(squared_error, higher_is_better=False),
    "mean_squared_error": Metric(mean_squared_error, higher_is_better=False),
    "absolute_error": Metric(absolute_error, higher_is_better=False),
    "mean_absolute_error": Metric(mean_absolute_error, higher_is_better=False),
    "predictive_entropy": Metric(predictive_entropy, higher_is_better=None),  # a certain prediction may be wrong
    **{name: SET_METRICS[name] for name in SET_TARGETS},
}

ONLY_EVALUATED = {name: metric for name, metric in SET_METRICS.items() if name not in SET_TARGETS}


def is_over_set(metric: Any) -> bool:
    """Whether a metric, a name in METRICS, a function or a `Metric`, is computed over a whole set."""
    found = METRICS.get(metric) if isinstance(metric, str) else metric
    return isinstance(found, Metric) and found.over == "set"


def function_of(metric: Any) -> Callable[..., Array]:
    """The function of a metric: a name in METRICS, a `Metric`, or a function, which is its own."""
    return METRICS[metric].function if isinstance(metric, str) else metric
