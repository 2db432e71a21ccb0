"""Metrics of a whole set: of all its predictions [N, …] and targets at once, not the mean of a value per example.

A set in which a metric has no value, as the area under the curve of a single class, gives NaN.
"""

import jax
import jax.numpy as jnp

from losses import shapes
from losses.regression import mean_squared_error

Array = jax.Array
BINS = 15


def auroc(predictions: Array, targets: Array, *, from_logits: bool = True) -> Array:
    """Area under the ROC curve, ties counted half: the probability that a positive example scores above a negative one.

    One score [N] or [N, 1] for targets 0 and 1; the difference of two scores [N, 2]; for more classes [N, K] the mean
    over classes of each class's probability against the rest; for targets [N, K] of 0 and 1 the mean over the labels.
    NaN if a class, or everything but a class, is absent. Exact up to 10⁷ examples.

    Args:
        predictions: as above; steps [N, T, …] count as examples.
        targets: classes, or 0 and 1.
        from_logits: whether the scores of more than two classes are logits, which are then compared as log-probabilities.

    Formula: P(s⁺ > s⁻) + ½ P(s⁺ = s⁻) = (Σ ranks⁺ - n⁺(n⁺ + 1)/2) / (n⁺ n⁻)
    Reference: Hanley and McNeil, 1982; one class against the rest: Provost and Domingos, 2000
    """
    predictions, targets = _rows("auroc", predictions, targets)
    if predictions.ndim == 1:
        return _area(predictions, targets > 0.5)
    if not shapes.is_integer(targets):
        return jnp.mean(jax.vmap(_area, in_axes=1)(predictions, targets > 0.5))
    if predictions.shape[1] == 2:
        return _area(predictions[:, 1] - predictions[:, 0], targets == 1)
    scores = jax.nn.log_softmax(predictions) if from_logits else predictions
    return jnp.mean(jax.vmap(_area, in_axes=1)(scores, targets[:, None] == jnp.arange(predictions.shape[1])[None, :]))


def balanced_accuracy(predictions: Array, targets: Array, *, threshold: float = 0.0) -> Array:
    """The mean over the classes that occur of the share of their examples that are right.

    Formula: 1/K Σ_k P(ŷ = k | y = k)
    Reference: Brodersen et al., 2010
    """
    right, _, true = _counts("balanced_accuracy", predictions, targets, threshold)
    return jnp.sum(right / jnp.maximum(true, 1)) / jnp.sum((true > 0).astype(jnp.float32))


def macro_f1(predictions: Array, targets: Array, *, threshold: float = 0.0) -> Array:
    """F1 score, the mean over the classes that occur or are predicted; for targets [N, K] of 0 and 1, over the labels.

    A class that is never right counts 0.

    Formula: 1/K Σ_k 2 P_k R_k / (P_k + R_k)
    Reference: van Rijsbergen, 1979
    """
    predictions, targets = _rows("macro_f1", predictions, targets)
    if predictions.ndim == 2 and not shapes.is_integer(targets):
        guessed, true = predictions > threshold, targets > 0.5
        right, guesses, occurs = (jnp.sum(part.astype(jnp.float32), axis=0) for part in (guessed & true, guessed, true))
        return jnp.mean(2 * right / jnp.maximum(guesses + occurs, 1)) * _known(predictions)
    right, guesses, occurs = _counts("macro_f1", predictions, targets, threshold)
    return jnp.sum(2 * right / jnp.maximum(guesses + occurs, 1)) / jnp.sum((guesses + occurs > 0).astype(jnp.float32))


def expected_calibration_error(predictions: Array, targets: Array, *, from_logits: bool = True) -> Array:
    """How far confidence is from accuracy: the gap in each of 15 equal bins of confidence, weighted by its examples.

    Confidence is the probability of the predicted class, for a single output that of the likelier of 0 and 1.

    Args:
        predictions: [N, K], or [N], [N, 1] for targets 0 and 1.
        targets: classes, or 0 and 1.
        from_logits: whether predictions are logits; otherwise they are probabilities.

    Formula: Σ_b n_b/N |accuracy_b - confidence_b|, bins ((b - 1)/15, b/15]
    Reference: Guo et al., 2017
    """
    predictions, targets = _rows("expected_calibration_error", predictions, targets)
    if predictions.ndim == 1:
        of_one = jax.nn.sigmoid(predictions) if from_logits else predictions
        chances = jnp.stack([1 - of_one, of_one], axis=1)
        targets = (targets > 0.5).astype(jnp.int32)
    else:
        chances = jax.nn.softmax(predictions) if from_logits else predictions
    guessed, true = shapes.labels("expected_calibration_error", chances, targets)
    confidence = jnp.max(chances, axis=1)
    at = jnp.clip(jnp.ceil(confidence * BINS).astype(jnp.int32) - 1, 0, BINS - 1)
    gaps = jnp.zeros(BINS, chances.dtype).at[at].add((guessed == true).astype(chances.dtype) - confidence)
    return jnp.where(jnp.all(jnp.isfinite(confidence)), jnp.sum(jnp.abs(gaps)) / len(confidence), jnp.nan)


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

    Variances of several outputs are added up. NaN if all targets are equal.

    Formula: 1 - Σ (y - ŷ)² / Σ (y - ȳ)²
    Reference: Wright, 1921
    """
    predictions, targets = shapes.aligned("r_squared", predictions, targets)
    spread = jnp.sum((targets - jnp.mean(targets, axis=0, keepdims=True)) ** 2)
    varies = jnp.any(targets != targets[:1])
    error = jnp.sum((targets - predictions) ** 2)
    return jnp.where(varies, 1 - error / jnp.where(varies, spread, 1), jnp.nan)


def _rows(name: str, predictions: Array, targets: Array) -> tuple[Array, Array]:
    """Scores [N] or [N, K], and integer classes [N] or targets of 0 and 1 in the scores' shape; steps count as examples."""
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if not jnp.issubdtype(predictions.dtype, jnp.floating):
        raise ValueError(f"{name}: predictions are {predictions.dtype}: they must be floating point")
    predictions = predictions.astype(jnp.promote_types(predictions.dtype, jnp.float32))
    if shapes.is_single(predictions, targets):
        predictions, targets = shapes.aligned(name, predictions, targets)
        return predictions.reshape(-1), targets.reshape(-1)
    if shapes.is_integer(targets) and targets.shape == predictions.shape[:-1]:
        return predictions.reshape(-1, predictions.shape[-1]), targets.reshape(-1).astype(jnp.int32)
    if targets.shape != predictions.shape:
        raise shapes.mismatch(name, predictions, targets, "give classes [N] for scores [N, K], or equal shapes")
    return tuple(part.reshape(-1, part.shape[-1]) for part in (predictions, targets))  # type: ignore[return-value]


def _counts(name: str, predictions: Array, targets: Array, threshold: float) -> tuple[Array, Array, Array]:
    """For each class how many examples are right, how many are predicted, and how many there are."""
    predictions, targets = _rows(name, predictions, targets)
    if predictions.ndim == 2 and not shapes.is_integer(targets):
        raise shapes.mismatch(name, predictions, targets, "labels that exclude each other are integers")
    guessed, true = shapes.labels(name, predictions, targets, threshold)
    count = max(2, predictions.shape[-1]) if predictions.ndim == 2 else 2
    one = jnp.ones((), jnp.float32)
    zeros = jnp.zeros(count, jnp.float32)
    right = zeros.at[true].add(jnp.where(guessed == true, one, 0))
    return right * _known(predictions), zeros.at[guessed].add(one), zeros.at[true].add(one)


def _known(predictions: Array) -> Array:
    """1; NaN if a prediction is not a number."""
    return jnp.where(jnp.any(jnp.isnan(predictions)), jnp.nan, jnp.ones((), jnp.float32))


def _area(scores: Array, positive: Array) -> Array:
    """The area under the ROC curve of scores [N] for booleans [N]."""
    order = jnp.sort(jnp.where(positive, jnp.inf, scores))
    negatives = jnp.sum(~positive)
    below = jnp.searchsorted(order, scores, side="left")
    up_to = jnp.searchsorted(order, scores, side="right")
    wins = jnp.where(positive, (jnp.minimum(below, negatives) + jnp.minimum(up_to, negatives)).astype(jnp.uint32), 0)
    # Sums of the four bytes are exact, where a sum of 10⁵ numbers up to 10⁵ exceeds the 24 bits of float32.
    parts = [jnp.sum((wins >> (8 * i)) & 255).astype(jnp.float32) * 2.0 ** (8 * i) for i in range(4)]
    pairs = jnp.sum(positive).astype(jnp.float32) * negatives.astype(jnp.float32)
    known = (pairs > 0) & ~jnp.any(jnp.isnan(scores))
    return jnp.where(known, sum(parts, jnp.float32(0)) / jnp.where(known, 2 * pairs, 1), jnp.nan)
