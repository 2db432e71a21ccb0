"""The noise floor: the smallest difference between two combinations that the seeds of a sweep can show."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from scipy import special

from lanes.results.comparisons import noise_variance
from lanes.results.leaderboard import Leaderboard

MOST_SEEDS = 10**6
HalfWidth = Callable[[float, int], float]  # of a standard deviation and a number of seeds


@dataclasses.dataclass(frozen=True)
class NoiseFloor:
    """What n seeds can show.

    A true difference of this size is found in about half of all sweeps.

    Attributes:
        seeds: n, the most frequent number of finished runs of a combination, at least 2.
        deviation: s, the standard deviation between the seeds of a combination, pooled over combinations.
        paired_deviation: s_d, the standard deviation of the difference of two combinations at one seed; NaN with one
            combination.
        unpaired: t(2n - 2) s √(2 / n), half the width of the 95% interval of the difference of two combinations.
        paired: t(n - 1) s_d / √n, the same of differences paired by seed.
        seeds_for_half, paired_seeds_for_half: the fewest seeds with half of that width.
    """

    seeds: int
    deviation: float
    paired_deviation: float
    unpaired: float
    paired: float
    seeds_for_half: int
    paired_seeds_for_half: int


def noise_floor(board: Leaderboard, metric: str) -> NoiseFloor | None:
    """The noise floor of a metric; None if no combination has two finished runs, or all seeds of each have equal values.

    Formula: s² = Σ_k (n_k - 1) s_k² / Σ_k (n_k - 1); s_d² = 2 Σ r² / ((K - 1)(n - 1)), with r the residuals beside effects of the
    K combinations and of the seeds
    """
    values = board.combinations_of(board.values_of(metric)).to_numpy(dtype=float)
    values = values[np.isfinite(values).sum(axis=1) >= 2]
    if not len(values):
        return None
    counts = np.isfinite(values).sum(axis=1)
    own = np.nanvar(values, axis=1, ddof=1)
    deviation = math.sqrt(float(np.sum((counts - 1) * own) / np.sum(counts - 1)))
    if deviation <= 1e-12 * float(np.nanmax(np.abs(values))):
        return None
    seeds = int(np.bincount(counts).argmax())
    paired_deviation = math.sqrt(2 * noise_variance(values)) if len(values) > 1 else math.nan
    unpaired, paired = unpaired_half(deviation, seeds), paired_half(paired_deviation, seeds)
    return NoiseFloor(
        seeds,
        deviation,
        paired_deviation,
        unpaired,
        paired,
        seeds_for(unpaired_half, deviation, unpaired / 2, seeds),
        seeds_for(paired_half, paired_deviation, paired / 2, seeds) if math.isfinite(paired) else 0,
    )


def unpaired_half(deviation: float, seeds: int) -> float:
    """t(2n - 2) s √(2 / n)."""
    return float(special.stdtrit(2 * seeds - 2, 0.975)) * deviation * math.sqrt(2 / seeds)


def paired_half(deviation: float, seeds: int) -> float:
    """t(n - 1) s_d / √n."""
    return float(special.stdtrit(seeds - 1, 0.975)) * deviation / math.sqrt(seeds)


def seeds_for(half: HalfWidth, deviation: float, wanted: float, fewest: int) -> int:
    """The fewest seeds, at least `fewest`, whose half width is at most `wanted`."""
    low, high = fewest, fewest
    while half(deviation, high) > wanted and high < MOST_SEEDS:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if half(deviation, middle) > wanted else (low, middle)
    return high
