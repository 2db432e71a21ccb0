"""Interquartile means with intervals from a stratified bootstrap: robust summaries of few runs.

Reference: Agarwal et al., Deep reinforcement learning at the edge of the statistical precipice, 2021
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class RobustInterval:
    """An interquartile mean with its 95% percentile interval.

    Attributes:
        mean: the interquartile mean.
        low, high: ends of the interval; NaN if no stratum has two values, or all values are equal.
        n: number of values.
    """

    mean: float
    low: float
    high: float
    n: int


def interquartile_mean(values: np.ndarray, axis: int = -1) -> Any:
    """The mean of the middle half: the lowest and the highest quarter, ⌊n / 4⌋ values each, are left out.

    It is `scipy.stats.trim_mean`, whose module takes a second to import.
    """
    cut = values.shape[axis] // 4
    sorted_ = np.moveaxis(np.sort(values, axis=axis), axis, -1)
    return sorted_[..., cut : values.shape[axis] - cut].mean(axis=-1)


def stratified_bootstrap(strata: Sequence[np.ndarray], resamples: int = RESAMPLES, seed: int = 0) -> RobustInterval:
    """The interquartile mean of all values, and its interval when each stratum is resampled by itself.

    Args:
        strata: the values of each stratum: the seeds of a combination, or of a data set.
        resamples: number of bootstrap samples.
        seed: of the resampling.
    """
    samples = [part[np.isfinite(part)] for part in (np.asarray(part, dtype=float) for part in strata)]
    samples = [part for part in samples if part.size]
    if not samples:
        return RobustInterval(np.nan, np.nan, np.nan, 0)
    together = np.concatenate(samples)
    mean = float(interquartile_mean(together))
    if np.ptp(together) == 0 or all(part.size < 2 for part in samples):
        return RobustInterval(mean, np.nan, np.nan, together.size)
    generator = np.random.default_rng(seed)
    drawn = [part[generator.integers(0, part.size, (resamples, part.size))] for part in samples]
    means = interquartile_mean(np.concatenate(drawn, axis=-1))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return RobustInterval(mean, float(low), float(high), together.size)
