"""Which axes matter: the share of the metric's variance that each axis and each pair of axes explains."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lanes.results import anova, forest
from lanes.results.axes import Axis
from lanes.results.comparisons import noise_variance
from lanes.results.designs import as_array, is_grid, joined
from lanes.results.intervals import RESOLUTION, Interval, half_width, mean_interval
from lanes.results.leaderboard import Leaderboard

ANOVA, FOREST = "functional ANOVA", "random forest"
FEWEST = 20  # combinations with a value that a forest is fitted to
MOST_AXES = 12  # of which a forest gives pairs
MOST_RUNS = 1000  # of one seed that a forest is fitted to


@dataclasses.dataclass(frozen=True)
class Share:
    """The share of the variance of one axis, or of a pair beyond its axes.

    Attributes:
        axes: names.
        share: of the variance over all combinations, with its interval over seeds; for an axis its effect alone, NaN where a
            random forest cannot tell it from what the axis does together with others.
        total: for an axis with all pairs and larger sets that it has a part in; NaN for a pair.
        noise: the share that the noise of seeds alone would give; NaN where it is not known.
    """

    axes: tuple[str, ...]
    share: Interval
    total: Interval
    noise: float


@dataclasses.dataclass(frozen=True)
class Importance:
    """The importance of a board's axes.

    Attributes:
        method: `functional ANOVA` (exact, of a complete grid) or `random forest`; empty if there is none.
        reason: why there is none.
        shares: axes, then pairs, each with the largest first.
        higher: the share of all sets of three axes or more; NaN from a forest.
        fit: R² of the forest on runs that it has not seen; NaN from an ANOVA.
        note: what the numbers do not cover; empty if nothing.
    """

    method: str
    reason: str
    shares: tuple[Share, ...] = ()
    higher: Interval = Interval(math.nan, math.nan, 0)
    fit: Interval = Interval(math.nan, math.nan, 0)
    note: str = ""

    def of(self, *axes: str) -> Share:
        """The share of an axis or a pair, in any order. Raises KeyError if it has none."""
        for found in self.shares:
            if set(found.axes) == set(axes):
                return found
        raise KeyError(axes)

    def table(self) -> pd.DataFrame:
        """A row per axis and pair: `axes` joined by ` × `, `share`, `share half`, `total`, `total half`, `n` seeds, `noise`."""
        rows = [
            {
                "axes": " × ".join(found.axes),
                "share": found.share.mean,
                "share half": found.share.half,
                "total": found.total.mean,
                "total half": found.total.half,
                "n": max(found.share.n, found.total.n),
                "noise": found.noise,
            }
            for found in self.shares
        ]
        return pd.DataFrame(rows, columns=["axes", "share", "share half", "total", "total half", "n", "noise"])


def importance(board: Leaderboard) -> Importance:
    """The importance of the swept axes for the ranking metric.

    A complete grid is decomposed exactly (`anova`), on the seeds for which every combination has a value; intervals are the
    jackknife's over seeds. Axes that were changed one at a time count as one, named `(l2, dropout)`. Otherwise a random forest
    is fitted to each seed's runs (`forest`), and intervals are Student's over seeds.
    """
    if len(board.axes) < 2:
        return Importance("", "one axis explains all" if board.axes else "nothing was varied")
    if board.design is not None:
        return Importance("", "each combination differs from the base in one field: see what each change does")
    by_seed = board.combinations_of(board.values).reindex(range(len(board.table)))
    axes, table = joined(board.axes, board.table)
    if len(axes) > 1 and is_grid(axes, table):
        whole = by_seed.loc[:, by_seed.notna().all()]
        if whole.shape[1] or by_seed.notna().any(axis=1).all():
            return _exact(board, axes, as_array(axes, table), whole, by_seed)
    return _fitted(board, by_seed)


def _exact(
    board: Leaderboard, axes: Sequence[Axis], places: np.ndarray, whole: pd.DataFrame, by_seed: pd.DataFrame
) -> Importance:
    """By functional ANOVA of the means over the seeds that have all combinations; `places` are their rows in a grid of `axes`."""
    if whole.shape[1]:
        values, left = whole.to_numpy(dtype=float), by_seed.shape[1] - whole.shape[1]
        note = f"{left} of {by_seed.shape[1]} seeds lack a combination and are left out." if left else ""
    else:
        values = by_seed.mean(axis=1).to_numpy()[:, None]
        note = "No seed has all combinations: these are the means over the seeds that each has, without an interval."
    if merged := sorted({axis.name for axis in axes} - {axis.name for axis in board.axes}):
        note = f"{' and '.join(merged)}: varied one at a time, so one axis here. {note}".strip()
    count = values.shape[1]
    means = [
        values.mean(axis=1),
        *(np.delete(values, seed, axis=1).mean(axis=1) for seed in range(count if count > 1 else 0)),
    ]
    grids = np.stack(means)[:, places]
    parts, total = anova.variances(grids), anova.totals(grids)
    variance = parts.pop(())
    if variance[0] <= (RESOLUTION * np.abs(means[0]).max()) ** 2:
        return Importance("", "all combinations have the same value")
    noise = noise_variance(values) / count if count > 1 else math.nan

    def interval(part: np.ndarray) -> Interval:
        share = part / np.where(variance > 0, variance, np.nan)
        half = half_width(np.array(anova.jackknife_deviation(float(share[0]), share[1:])), np.array(count))
        return Interval(float(share[0]), float(half), count, proportion=True)

    names, nothing = [axis.name for axis in axes], Interval(math.nan, math.nan, 0)
    shares = []
    for term, part in parts.items():
        by_noise = noise * anova.degrees(places.shape, term) / places.size / float(variance[0])
        whole_share = interval(total[term]) if len(term) == 1 else nothing
        shares.append(Share(tuple(names[at] for at in term), interval(part), whole_share, by_noise))
    rest = np.maximum(variance - sum(parts.values()), 0.0)
    return Importance(ANOVA, "", _sorted(shares), interval(rest), note=note)


def _fitted(board: Leaderboard, by_seed: pd.DataFrame) -> Importance:
    """By permutation of a random forest, seed by seed; over the means of combinations where no seed has enough of them."""
    enough = by_seed.loc[:, by_seed.notna().sum() >= FEWEST]
    note = ""
    if not enough.shape[1]:
        enough = by_seed.mean(axis=1).to_frame()
        if enough.notna().to_numpy().sum() < FEWEST:
            return Importance("", f"no complete grid, and fewer than {FEWEST} combinations with a value")
        note = f"No seed has {FEWEST} combinations with a value: these are their means over seeds, without an interval."
    elif left := by_seed.shape[1] - enough.shape[1]:
        note = (
            f"{left} of {by_seed.shape[1]} seeds have fewer than {FEWEST} combinations with a value and are left out."
        )
    names = [axis.name for axis in board.axes]
    columns = [_column(board, axis) for axis in board.axes[:MOST_AXES]]
    found: list[tuple[dict[tuple[int, ...], float], float]] = []
    for at in range(enough.shape[1]):
        values = enough.iloc[:, at].to_numpy(dtype=float)
        rows = np.flatnonzero(np.isfinite(values))
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST_RUNS, len(rows))).astype(int))]
        if np.ptp(values[rows]) > RESOLUTION * np.abs(values[rows]).max():
            found.append(forest.permutation_shares([column[rows] for column in columns], values[rows]))
    if not found:
        return Importance("", "all combinations have the same value")
    if len(columns) < len(names):
        note = f"{note} Only of the first {MOST_AXES} of {len(names)} axes.".strip()
    if enough.notna().sum().max() > MOST_RUNS:
        note = f"{note} Fitted to {MOST_RUNS:,} combinations, evenly spaced by rank.".strip()
    nothing = Interval(math.nan, math.nan, 0)
    shares = []
    for term in itertools.chain(*(itertools.combinations(range(len(columns)), size) for size in (1, 2))):
        share = _proportion(mean_interval([parts[term] for parts, _ in found]))
        alone, total = (nothing, share) if len(term) == 1 else (share, nothing)
        shares.append(Share(tuple(names[at] for at in term), alone, total, math.nan))
    fit = mean_interval([fit for _, fit in found])
    if fit.mean <= 0:
        return Importance(
            "", "a random forest of the axes explains nothing of combinations that it has not seen", fit=fit
        )
    return Importance(FOREST, "", _sorted(shares), fit=fit, note=note)


def _proportion(found: Interval) -> Interval:
    return dataclasses.replace(found, proportion=True)


def _sorted(shares: list[Share]) -> tuple[Share, ...]:
    def size(found: Share) -> float:
        return found.share.mean if math.isfinite(found.share.mean) else found.total.mean

    return tuple(sorted(shares, key=lambda found: (len(found.axes), -size(found))))


def _column(board: Leaderboard, axis: Axis) -> np.ndarray:
    """The axis's values by combination: numbers where it has numbers (NaN where a combination lacks it), otherwise labels."""
    labels = board.table[axis.name]
    if axis.numbers is not None:
        return labels.map(dict(zip(axis.values, axis.numbers, strict=True))).to_numpy(dtype=float)
    raw = board.runs.get(axis.name)
    if raw is not None and pd.api.types.is_numeric_dtype(raw) and not pd.api.types.is_bool_dtype(raw):
        first = raw.astype(float).groupby(board.runs["combination"]).first()
        return first.reindex(range(len(board.table))).to_numpy(dtype=float, na_value=np.nan)
    return labels.astype(str).to_numpy(dtype=object)
