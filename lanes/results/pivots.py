"""A metric over the values of any two axes: the numbers of a heat map and of a pivot table."""

import pandas as pd

from lanes.results.axes import Axis, coarse, coarse_values
from lanes.results.leaderboard import Leaderboard


def grid_of(board: Leaderboard, first: Axis, second: Axis) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables over the values of two axes (rows first, columns second), each cell over all other axes.

    Returns:
        The row of the best combination in `board.table` (-1 if none has a value, NaN if none was planned), and the
        median of the metric.
    """
    part = board.table.assign(rank=range(len(board.table)))
    keys = [part[axis.name].map(coarse(axis)).rename(position) for position, axis in enumerate((first, second))]
    grouped = part.groupby(keys)
    best = part[part[board.metric].notna()].groupby(keys)["rank"].min().reindex(grouped.size().index, fill_value=-1)
    shape = {"index": coarse_values(first), "columns": coarse_values(second)}
    return best.unstack().reindex(**shape), grouped[board.metric].median().unstack().reindex(**shape)
