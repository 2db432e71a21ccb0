"""Metrics, which are measured but not minimized: per example (the caller takes the mean), or of a whole set.

Predictions are those that the loss sees: logits for a loss from logits, otherwise after the output unit.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from losses import shapes
from losses.distribution import entropy_from_logits
from losses.regression import absolute_error, mean_absolute_error, mean_squared_error, squared_error

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric that can rank runs: a function (prediction [B, …], target) -> [B] and its direction.

    `metrics=(Metric(brier, higher_is_better=False),)` measures `brier`; the bare function `brier` is measured too, but
    cannot rank runs.

    Attributes:
        function: a named function.
        higher_is_better: whether higher is better; None if neither direction is, as for an entropy.
        proportion: whether its mean over examples is a proportion, as accuracy and error rates are: then intervals stay
            in [0, 1].
    """

    function: Callable[..., Array]
    higher_is_better: bool | None
    proportion: bool = False

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


def auroc(scores: Array, labels: Array) -> Array:
    """Area under the ROC curve of scores [N] for labels [N] in {0, 1}; ties count half.

    NaN if only one class is present.

    Formula: P(s⁺ > s⁻) + ½ P(s⁺ = s⁻) = (Σ ranks⁺ - n⁺(n⁺ + 1)/2) / (n⁺ n⁻)
    Reference: Hanley and McNeil, 1982
    """
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"auroc: scores {scores.shape} and labels {labels.shape} must both be [N]: flatten them")
    wide = jnp.promote_types(scores.dtype, jnp.float32)
    order = jnp.sort(scores)
    below = jnp.searchsorted(order, scores, side="left")
    up_to = jnp.searchsorted(order, scores, side="right")
    ranks = (below + up_to + 1).astype(wide) / 2  # average rank of tied scores
    positive = (labels > 0).astype(wide)
    positives = jnp.sum(positive)
    negatives = labels.size - positives
    # The mean rank, since a sum of 10⁵ ranks exceeds the 24 bits of float32.
    mean_rank = jnp.sum(ranks * (positive / jnp.maximum(positives, 1)))
    area = (mean_rank - (positives + 1) / 2) / jnp.maximum(negatives, 1)
    return jnp.where((positives > 0) & (negatives > 0), area, jnp.nan)


def perplexity(nats: Array) -> Array:
    """Number of equally likely outcomes with the same mean cross-entropy; from losses [...] in nats.

    Formula: e^(mean L)
    Reference: Jelinek et al., 1977
    """
    return jnp.exp(jnp.mean(nats))


def root_mean_squared_error(predictions: Array, targets: Array) -> Array:
    """RMSE over a whole set: root of the mean square over examples and outputs.

    Formula: √(1/N Σ (ŷ - y)²)
    Reference: Gauss, 1809
    """
    return jnp.sqrt(jnp.mean(mean_squared_error(predictions, targets)))


def r_squared(predictions: Array, targets: Array) -> Array:
    """Fraction of the targets' variance that is explained, over a whole set [N, ...]; 0 for predicting the mean.

    Formula: 1 - Σ (y - ŷ)² / Σ (y - ȳ)²
    Reference: Wright, 1921
    """
    predictions, targets = shapes.aligned("r_squared", predictions, targets)
    spread = jnp.sum((targets - jnp.mean(targets, axis=0, keepdims=True)) ** 2)
    return 1 - jnp.sum((targets - predictions) ** 2) / spread


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
}

# Metrics of a whole set, which are not the mean of their values per batch.
SET_METRICS: dict[str, Metric] = {
    "auroc": Metric(auroc, higher_is_better=True, proportion=True),
    "perplexity": Metric(perplexity, higher_is_better=False),
    "root_mean_squared_error": Metric(root_mean_squared_error, higher_is_better=False),
    "r_squared": Metric(r_squared, higher_is_better=True),
}
