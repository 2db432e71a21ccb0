"""Whether probabilities are what they say: reliability diagram, calibration error and Brier score of a classifier."""

from typing import NamedTuple

import numpy as np

Array = np.ndarray
BINS = 15


class Reliability(NamedTuple):
    """A reliability diagram: one entry for each bin ((b - 1)/B, b/B] of confidence, NaN for the means of an empty bin.

    Attributes:
        low, high: the bin's ends.
        examples: number of examples in it.
        confidence: mean probability of the predicted class.
        accuracy: share of its examples that are right.
    """

    low: Array
    high: Array
    examples: Array
    confidence: Array
    accuracy: Array


def reliability(probabilities: Array, targets: Array, bins: int = BINS) -> Reliability:
    """How often a classifier is right, by how sure it is.

    Args:
        probabilities: [N, K]; of two classes both.
        targets: classes [N].
        bins: number B of bins of equal width.

    Reference: DeGroot and Fienberg, 1983; Guo, Pleiss, Sun and Weinberger, 2017
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    # In the precision of the probabilities, so that a bin is the one that `losses.expected_calibration_error` takes.
    at = np.clip(np.ceil(confidence * np.asarray(bins, confidence.dtype)).astype(int) - 1, 0, bins - 1)
    examples = np.bincount(at, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = (np.bincount(at, values.astype(np.float64), bins) / examples for values in (confidence, right))
        return Reliability(np.arange(bins) / bins, np.arange(1, bins + 1) / bins, examples, *means)


def calibration_error(diagram: Reliability) -> float:
    """The expected calibration error: the gap between accuracy and confidence, weighted by the examples of a bin.

    Formula: Σ_b n_b/N |accuracy_b - confidence_b|
    Reference: Guo, Pleiss, Sun and Weinberger, 2017
    """
    filled = diagram.examples > 0
    gaps = np.abs(diagram.accuracy - diagram.confidence)[filled]
    return float(np.sum(gaps * diagram.examples[filled]) / np.sum(diagram.examples))


def largest_gap(diagram: Reliability) -> float:
    """The largest gap between accuracy and confidence of a bin (maximum calibration error).

    Reference: Naeini, Cooper and Hauskrecht, 2015
    """
    return float(np.nanmax(np.abs(diagram.accuracy - diagram.confidence)))


def brier(probabilities: Array, targets: Array) -> float:
    """Brier score: from 0 to 2 for more than two classes; for two, where both errors are equal, half of that.

    Args:
        probabilities: [N, K]; of two classes both.
        targets: classes [N].

    Formula: 1/N Σ_n Σ_k (p_nk - 1[y_n = k])²; for K = 2 1/N Σ_n (p_n1 - y_n)²
    Reference: Brier, 1950
    """
    rows, classes = probabilities.shape
    errors = probabilities.astype(np.float64)
    errors[np.arange(rows), targets] -= 1
    total = float(np.mean(np.sum(errors**2, axis=1)))
    return total / 2 if classes == 2 else total
