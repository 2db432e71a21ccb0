"""A baseline that was chosen before looking at the results, and the paired difference of every combination from it.

All differences of a board are intervals of one family: with 95% probability each of them covers its true difference, for
Student's t numbers with a common part, that of the baseline (Dunnett, A multiple comparison procedure for comparing several
treatments with a control, 1955). A baseline that was picked because it came out best or worst needs the correction for all
pairs instead (`comparisons.against_best`).
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lanes.errors import RequestError
from lanes.results import many_to_one
from lanes.results.comparisons import DEGREES, LEVEL, moderated_variances, own_variances
from lanes.results.intervals import RESOLUTION, Interval
from lanes.results.leaderboard import Leaderboard
from lanes.results.selection import matching_rows


@dataclasses.dataclass(frozen=True)
class AgainstBaseline:
    """Each combination against a baseline.

    Attributes:
        row: of the baseline in the board's table.
        metric: of the differences.
        differences: combination - baseline by row, mean over the seeds that both have, with its simultaneous interval; half is
            NaN with fewer than two common seeds.
        told_apart: the rows whose interval does not hold 0.
    """

    row: int
    metric: str
    differences: dict[int, Interval]
    told_apart: frozenset[int]

    def table(self) -> pd.DataFrame:
        """A row per combination, the lowest difference first: `row`, `difference`, `half`, `n`, `told_apart`."""
        rows = [
            {"row": row, "difference": each.mean, "half": each.half, "n": each.n, "told_apart": row in self.told_apart}
            for row, each in self.differences.items()
        ]
        frame = pd.DataFrame(rows, columns=["row", "difference", "half", "n", "told_apart"])
        return frame.sort_values("difference", kind="stable").reset_index(drop=True)


def find_baseline(boards: Sequence[Leaderboard], conditions: Sequence[str]) -> dict[int, int]:
    """The row of the combination that meets all conditions `FIELD=VALUE`, by the position of its board; {} without conditions.

    Raises RequestError if no combination meets them, or more than one of a board does.
    """
    if not conditions:
        return {}
    runs = pd.concat([board.runs.assign(board=at) for at, board in enumerate(boards)])
    for condition in conditions:
        runs = matching_rows(runs, condition, "--baseline")
    found: dict[int, int] = {}
    for at, part in runs.groupby("board"):
        rows = sorted({int(row) for row in part["combination"]})
        board = boards[int(str(at))]
        if len(rows) > 1:
            raise RequestError(
                f"--baseline {' '.join(conditions)} matches {len(rows)} combinations, which differ in {_differing(board, rows)}: "
                "add FIELD=VALUE until one is left"
            )
        found[int(str(at))] = rows[0]
    return found


def _differing(board: Leaderboard, rows: list[int]) -> str:
    part = board.table.iloc[rows]
    texts = []
    for axis in board.axes:
        values = [value for value in axis.values if value in set(part[axis.name])]
        if len(values) > 1:
            texts.append(f"{axis.name} ({', '.join(values[:6])}{', …' if len(values) > 6 else ''})")
    return " and ".join(texts[:6])


def against_baseline(board: Leaderboard, row: int, metric: str) -> AgainstBaseline:
    """The differences of all other combinations of a board from one, in a metric of its finished runs."""
    values = board.values_of(metric)
    by_seed = board.combinations_of(values).reindex(range(len(board.table))).to_numpy(dtype=float)
    others = [other for other in range(len(by_seed)) if other != row]
    difference, half, count, told = many_to_one_intervals(by_seed[[row, *others]])
    intervals = {
        other: Interval(float(difference[at]), float(half[at]), int(count[at]))
        for at, other in enumerate(others)
        if count[at]
    }
    return AgainstBaseline(row, metric, intervals, frozenset(other for at, other in enumerate(others) if told[at]))


def many_to_one_intervals(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Differences of combinations from the first, paired by seed, with simultaneous 95% intervals.

    Values are an effect of the combination plus one of the seed plus noise, whose variance may differ between combinations and
    is moderated as in `comparisons.against_best`; the baseline's is not made smaller than its own.

    Formula: dᵢ ± c √((v₀ + vᵢ) / nᵢ), with c the quantile of the largest of k Student's t numbers whose correlation is the
    smallest v₀ / (v₀ + vᵢ), of (v₀ + vᵢ)² / (v₀² / ν₀ + vᵢ² / νᵢ) degrees of freedom (Satterthwaite, An approximate distribution
    of estimates of variance components, 1946). For one comparison it is the paired t interval.

    Args:
        values: [K, S] of K combinations, the baseline first, and S seeds; NaN where a run is missing.

    Returns:
        Mean difference, half width (NaN where there are fewer than two common seeds, 0 where the values are the baseline's or
        their noise is below the resolution of the metrics), number of common seeds, and whether the interval excludes 0; each
        [K - 1].
    """
    values = np.where(np.isfinite(values), values, np.nan)
    shared = np.isfinite(values) & np.isfinite(values[0])
    count = shared.sum(axis=1)
    difference = np.where(shared, values - values[0], 0).sum(axis=1) / np.maximum(count, 1)
    difference = np.where(count > 0, difference, np.nan)
    half = np.full(len(values), np.nan)
    apart = np.where(shared, np.abs(values - values[0]), 0).max(axis=1)
    same = apart <= RESOLUTION * np.nanmax(np.abs(values), initial=0.0)  # the change changed nothing
    same[0] = False
    half[same & (count >= 2)] = 0.0
    family = np.flatnonzero((count >= 2) & ~same)
    if len(family) > 1:
        shown = np.where(shared, values, np.nan)[family]
        variance, degrees = moderated_variances(shown)
        # All differences share the baseline's noise: taken for less than it shows, it would mislead in all of them at once.
        if (own := own_variances(shown)[0]) > variance[0]:
            variance[0], degrees[0] = own, count[family[0]] - 1
        both = variance[0] + variance
        error = np.sqrt(both / count[family])
        positive = np.where(both > 0, both, 1.0)
        satterthwaite = positive**2 / np.maximum(variance[0] ** 2 / degrees[0] + variance**2 / degrees, 1e-300)
        fewest = np.minimum(satterthwaite, (len(family) - 1) * (count[family] - 1))
        steps = np.searchsorted(DEGREES, np.maximum(fewest, 1) + 1e-9, side="right") - 1
        share = float(np.min(variance[0] / positive[1:], initial=0.5))
        correlation = math.floor(share * 50) / 50
        compared = len(family) - 1
        quantiles = {
            step: many_to_one.quantile(1 - LEVEL, compared, DEGREES[step], correlation) for step in np.unique(steps)
        }
        silent = error <= RESOLUTION * np.nanmax(np.abs(values[family]))
        half[family] = np.where(silent, 0.0, np.array([quantiles[step] for step in steps]) * error)
    told = (half > 0) & (np.abs(difference) > half)
    return difference[1:], half[1:], count[1:], told[1:]
