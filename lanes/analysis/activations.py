"""Statistics of a net's hidden activations: mean, standard deviation, dead units, histogram."""

from typing import Any, NamedTuple

import numpy as np

BINS = 40


class ActivationStatistics(NamedTuple):
    """Of one layer's activations h [N, …, C] on N examples.

    Attributes:
        units: C.
        mean, std, smallest, largest: over all numbers.
        zero: share of the numbers that are 0.
        dead: share of the C units that are 0 at all positions of all examples.
    """

    units: int
    mean: float
    std: float
    smallest: float
    largest: float
    zero: float
    dead: float


def statistics(h: Any) -> ActivationStatistics:
    """The statistics of activations [N, …, C]."""
    values = np.asarray(h, np.float64)
    columns = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values[:, None]
    return ActivationStatistics(
        units=columns.shape[1],
        mean=float(columns.mean()),
        std=float(columns.std()),
        smallest=float(columns.min()),
        largest=float(columns.max()),
        zero=float((columns == 0).mean()),
        dead=float((columns == 0).all(axis=0).mean()),
    )


def histogram(h: Any, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """(edges [bins + 1], share of the finite numbers in each bin [bins]) between the smallest and the largest."""
    values = np.asarray(h, np.float64).ravel()
    values = values[np.isfinite(values)]
    counts, edges = np.histogram(values, bins=bins)
    return edges, counts / max(1, values.size)
