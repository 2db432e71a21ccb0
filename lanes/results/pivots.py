"""A metric over the values of any two axes: the numbers of a heat map and of a pivot table."""

import dataclasses
import math

import pandas as pd

from lanes.results.axes import Axis, coarse, coarse_values
from lanes.results.intervals import Interval
from lanes.results.leaderboard import Leaderboard

NOT_PLANNED = "not planned"
NO_VALUE = ("diverged", "failed", "pruned", "pending")


@dataclasses.dataclass(frozen=True)
class Pivot:
    """Combinations over the values of two axes, or bins of sampled ones; all tables have rows of `first`, columns of `second`.

    Attributes:
        board: the leaderboard.
        first, second: the axes.
        best: the row of the best combination over the other axes in `board.table`; -1 if none has a value, NaN if none was
            planned.
        median: of the metric, over the other axes.
        reasons: why a cell has no value: how most of its runs ended, or `not planned`; empty where it has one.
    """

    board: Leaderboard
    first: Axis
    second: Axis
    best: pd.DataFrame
    median: pd.DataFrame
    reasons: pd.DataFrame

    def interval(self, first: str, second: str, metric: str) -> Interval:
        """The metric of a cell's best combination."""
        row = self.best.at[first, second]
        return self.board.interval(int(row), metric) if row >= 0 else Interval(math.nan, math.nan, 0)

    @property
    def values(self) -> pd.DataFrame:
        """The ranking metric of each cell's best combination, NaN without one."""
        means = self.board.table[self.board.metric]
        return self.best.map(lambda row: means.iloc[int(row)] if row >= 0 else math.nan)


def pivot(board: Leaderboard, first: Axis, second: Axis) -> Pivot:
    """The ranking metric over two axes, each cell over all other axes."""
    best, median = grid_of(board, first, second)
    keys = _keys(board, first, second)
    sums = board.table[list(NO_VALUE)].groupby(keys).sum()
    reason = sums.idxmax(axis=1).where(sums.sum(axis=1) > 0, "no value").unstack()
    reasons = reason.reindex_like(best).astype(object)
    reasons = reasons.where(reasons.notna(), NOT_PLANNED).mask(best >= 0, "")
    return Pivot(board, first, second, best, median, reasons)


def grid_of(board: Leaderboard, first: Axis, second: Axis) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`Pivot.best` and `Pivot.median` of two axes."""
    part = board.table.assign(rank=range(len(board.table)))
    keys = _keys(board, first, second)
    grouped = part.groupby(keys)
    best = part[part[board.metric].notna()].groupby(keys)["rank"].min().reindex(grouped.size().index, fill_value=-1)
    shape = {"index": coarse_values(first), "columns": coarse_values(second)}
    return best.unstack().reindex(**shape), grouped[board.metric].median().unstack().reindex(**shape)


def _keys(board: Leaderboard, first: Axis, second: Axis) -> list[pd.Series]:
    return [board.table[axis.name].map(coarse(axis)).rename(position) for position, axis in enumerate((first, second))]
