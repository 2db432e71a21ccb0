"""Slices of a sweep along one axis: every combination by its value there, for plots of random searches."""

import math

import pandas as pd

from lanes.results.axes import Axis
from lanes.results.leaderboard import Leaderboard

LOG_RATIO = 30  # positive values with a larger ratio are spread evenly on a log scale
LOST = ("diverged", "failed", "pruned", "pending")


def slice_of(board: Leaderboard, axis: Axis) -> pd.DataFrame:
    """A row per combination that has the axis: `row` of the leaderboard, `x`, the metric's `value`, `half` and `n`, and `lost`.

    `lost` says how most of the runs of a combination without a value ended, so that a plot can show where the search was lost
    (diverged rates at the right end); it is empty where there is a value.

    Args:
        board: the leaderboard.
        axis: one with numbers.
    """
    numbers = dict(zip(axis.values, axis.numbers or (), strict=True))
    table = board.table
    counts = table[list(LOST)]
    lost = counts.idxmax(axis=1).where(counts.sum(axis=1) > 0, "no value").mask(table[board.metric].notna(), "")
    return pd.DataFrame(
        {
            "row": range(len(table)),
            "x": table[axis.name].map(numbers).astype(float),
            "value": table[board.metric].astype(float),
            "half": table[f"{board.metric} half"].astype(float),
            "n": table[f"{board.metric} n"].astype(int),
            "lost": lost,
        }
    )


def spread_over_decades(numbers: tuple[float, ...]) -> bool:
    """Whether numbers are positive with a ratio above `LOG_RATIO`: they are shown, and searched, on a log scale."""
    finite = [number for number in numbers if math.isfinite(number)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > LOG_RATIO
