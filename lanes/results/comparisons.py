"""Comparisons of combinations, paired by seed: which can be told apart from the best, corrected for all of them.

Seeds are the unit of replication: runs of one seed share their draws, so differences are averaged within a seed first.
"""

import dataclasses
import functools

import numpy as np
import pandas as pd
from scipy import special

from lanes.results.intervals import RESOLUTION, Interval, mean_interval
from lanes.results.studentized_range import quantile

LEVEL = 0.05
DEGREES = (*range(1, 11), 12, 15, 20, 25, 30, 40, 60, 90, 120, 240, 1000)  # for which quantiles are computed


def paired_difference(first: pd.Series, second: pd.Series) -> Interval:
    """Mean and interval of second - first over the index keys at which both are finite.

    Raises ValueError for a duplicate key: its pair would be ambiguous.
    """
    both = _pairs(first, second)
    return mean_interval(both["second"] - both["first"], _size(both))


def clustered_difference(first: pd.Series, second: pd.Series, seed: str) -> tuple[Interval, int]:
    """Mean difference second - first over matched pairs, with an interval over seeds; and the number of pairs.

    The mean over seeds of the mean difference within a seed. For equally many pairs in each seed the interval is that of
    the least-squares fit to all pairs with a covariance clustered by seed (Liang and Zeger, 1986), with Student's t of as
    many degrees of freedom as seeds less one.

    Args:
        first, second: values by matched key; one level of the index is the seed. Only keys with both count.
        seed: name of that level.

    Raises ValueError for a duplicate key.
    """
    both = _pairs(first, second)
    difference = (both["second"] - both["first"]).dropna()
    difference = difference[np.isfinite(difference)]
    by_seed = difference.groupby(level=seed).mean() if len(difference) else difference
    return mean_interval(by_seed, _size(both)), len(difference)


def _pairs(first: pd.Series, second: pd.Series) -> pd.DataFrame:
    for series in (first, second):
        if not series.index.is_unique:
            raise ValueError("pairs need unique keys: two runs have the same key")
    return pd.concat({"first": first, "second": second}, axis=1, join="inner").astype(float)


def _size(both: pd.DataFrame) -> float:
    largest = both.abs().replace(np.inf, np.nan).max().max() if len(both) else np.nan
    return float(np.nan_to_num(largest))


# ---- the best against the others ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class AgainstBest:
    """Each combination against the best, a row each in rank order without the best.

    Attributes:
        difference: best - other, mean over the seeds that both have.
        compared: whether both have at least two seeds in common.
        told_apart: whether the difference is significant at 5% for all pairs of combinations together.
        least: the smallest absolute difference that would be told apart, NaN where not compared.
    """

    difference: np.ndarray
    compared: np.ndarray
    told_apart: np.ndarray
    least: np.ndarray


def against_best(values: np.ndarray) -> AgainstBest:
    """Which combinations can be told apart from the best.

    The best is selected from the same runs, so the error is controlled for all pairs of the K combinations: Tukey's
    studentized range, for values [combination, seed] that are an effect of the combination plus one of the seed plus noise.
    The variance of the noise may differ between combinations; each is shrunk towards their common one by as much as the
    variances resemble each other (Smyth, 2004), which makes few seeds suffice; one far beyond the others stays as it is.
    Combinations whose noise is below the resolution of the metrics are never told apart: nothing is known of it.

    If all K are equal, some combination is told apart in at most 5% of sweeps.

    Reference: Tukey, The problem of multiple comparisons, 1953; Smyth, Linear
    models and empirical Bayes methods, 2004

    Args:
        values: [K, S] of K combinations with the best first, and S seeds; NaN where a run is missing.
    """
    values = np.asarray(values, dtype=float)
    values = np.where(np.isfinite(values), values, np.nan)
    shared = np.isfinite(values) & np.isfinite(values[0])
    count = shared.sum(axis=1)
    compared = count >= 2
    both = np.where(shared, values[0] - values, 0).sum(axis=1)
    difference = np.where(count, both / np.maximum(count, 1), np.nan)
    least = np.full(len(values), np.nan)
    family = np.flatnonzero(compared)
    if len(family) > 1:
        variance, degrees = moderated_variances(np.where(shared, values, np.nan)[family])
        error = (variance[0] + variance) / count[family]
        fewest = np.minimum(np.minimum(degrees[0], degrees), (len(family) - 1) * (count[family] - 1))
        steps = np.searchsorted(DEGREES, np.maximum(fewest, 1) + 1e-9, side="right") - 1
        quantiles = {step: studentized_range(len(family), DEGREES[step]) for step in np.unique(steps)}
        critical = np.array([quantiles[step] for step in steps])  # of the next smaller tabulated degrees
        least[family] = critical * np.sqrt(error / 2)
        silent = np.sqrt(error) <= RESOLUTION * np.nanmax(np.abs(values[family]))
        least[family[silent]] = np.inf
    told = compared & (np.abs(difference) > least)
    return AgainstBest(difference[1:], compared[1:], told[1:], least[1:])


def noise_variance(values: np.ndarray) -> float:
    """The variance of the noise of values [K, S] beside additive effects of K combinations and S seeds; NaN where unknown.

    Formula: Σ r² / ((K - 1)(S - 1)), with r the residuals of the least-squares fit of both effects; NaN where missing, and a
    combination of n values then has (K - 1)(n - 1) / K degrees of freedom
    """
    values = values[np.isfinite(values).sum(axis=1) >= 2]
    rows = len(values)
    if rows < 2:
        return float("nan")
    degrees = float((np.isfinite(values).sum(axis=1) - 1).sum()) * (rows - 1) / rows
    return float(np.nansum(_residuals(values) ** 2) / degrees)


def moderated_variances(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variance [K] of each row's noise beside additive effects of rows and columns, and its degrees of freedom [K].

    Formula: s̃² = (d₀ s₀² + d s²) / (d₀ + d), with d₀ and s₀² from the mean and variance of log s² over the rows
    Reference: Smyth, 2004

    Args:
        values: [K, S], K at least 2, each row with two values or more; NaN where missing.
    """
    rows = len(values)
    count = np.isfinite(values).sum(axis=1)
    own = count - 1.0
    variance = own_variances(values)
    pooled = float(np.sum(own * variance) / np.sum(own))
    total = (rows - 1) * max(float(count.max()) - 1, 1.0)
    if pooled <= 0:
        return variance, np.full(rows, total)
    floored = np.maximum(variance, 1e-5 * np.median(variance[variance > 0]))
    usual = np.ones(rows, dtype=bool)
    for _ in range(rows):  # rows whose noise is far beyond that of the others are left to themselves
        prior, common = _prior(floored[usual], own[usual])
        beyond = special.fdtrc(own, prior, floored / common) < LEVEL / rows
        if not (beyond & usual).any():
            break
        usual &= ~beyond
    if np.isinf(prior):
        moderated, degrees = np.full(rows, float(np.average(variance[usual], weights=own[usual]))), np.full(rows, total)
    else:
        moderated, degrees = (prior * common + own * variance) / (prior + own), np.minimum(prior + own, total)
    return np.where(usual, moderated, variance), np.where(usual, degrees, own)


def own_variances(values: np.ndarray) -> np.ndarray:
    """The variance [K] of each row's noise from its own values alone, beside additive effects of rows and columns [K, S]."""
    rows = len(values)
    degrees = (np.isfinite(values).sum(axis=1) - 1.0) * (rows - 1) / rows
    return np.nansum(_residuals(values) ** 2, axis=1) / degrees


def _prior(variance: np.ndarray, own: np.ndarray) -> tuple[float, float]:
    """d₀ and s₀² from variances [K] of d degrees of freedom [K]; d₀ is ∞ if chance alone makes equal ones as unlike."""
    if len(variance) < 2:
        return np.inf, float(variance.mean())
    logs = np.log(variance) - special.digamma(own / 2) + np.log(own / 2)
    beyond = float(logs.var(ddof=1) - special.polygamma(1, own / 2).mean())
    if beyond <= 0:
        return np.inf, float(np.average(variance, weights=own))
    prior = 2 * _inverse_trigamma(beyond)
    return prior, float(np.exp(logs.mean() + special.digamma(prior / 2) - np.log(prior / 2)))


def _residuals(values: np.ndarray, rounds: int = 100) -> np.ndarray:
    """Values [K, S] less the effects of rows and columns, fitted by alternating means where some are missing."""
    rest = values - np.nanmean(values, axis=1, keepdims=True)
    for _ in range(rounds if np.isnan(values).any() else 1):
        filled = np.isfinite(rest).any(axis=0)
        rest[:, filled] = rest[:, filled] - np.nanmean(rest[:, filled], axis=0, keepdims=True)
        rest = rest - np.nanmean(rest, axis=1, keepdims=True)
    return rest


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value, by Newton's method on 1 / trigamma, which is convex."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = special.polygamma(1, x)
        step = trigamma * (1 - trigamma / value) / special.polygamma(2, x)
        x += step
        if abs(step) < 1e-8 * x:
            break
    return float(x)


@functools.lru_cache(maxsize=1024)
def studentized_range(groups: int, degrees: int) -> float:
    """The 95% quantile of the studentized range of K means with this many degrees of freedom."""
    if groups == 2:
        return float(np.sqrt(2) * special.stdtrit(degrees, 1 - LEVEL / 2))
    return quantile(1 - LEVEL, groups, degrees)
