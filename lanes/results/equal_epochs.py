"""Combinations at an epoch that all their runs reached, where halving pruned some: the only fair comparison of all seeds."""

import dataclasses

import pandas as pd

from lanes.results.intervals import Interval, finite_table, grouped_intervals
from lanes.results.leaderboard import EXCLUDED, Leaderboard


@dataclasses.dataclass(frozen=True)
class AtEpoch:
    """The ranking metric at an equal epoch.

    Attributes:
        epoch: the last that every run reached which neither diverged nor failed.
        intervals: mean and interval of the best value up to that epoch, by row of the board's table, best first.
    """

    epoch: int
    intervals: dict[int, Interval]


def at_equal_epoch(board: Leaderboard, curves: pd.DataFrame) -> AtEpoch | None:
    """The combinations at the first rung; None if no run was pruned, or the metric is not in the curves.

    Args:
        board: the leaderboard.
        curves: `lanes.load_curves`, with a column `dir` if the runs have one.
    """
    runs = board.runs[board.runs["status"].notna() & ~board.runs["status"].isin((*EXCLUDED, "pending"))]
    if not (runs["status"] == "pruned").any() or board.metric not in curves or "epochs_done" not in runs:
        return None
    epoch = int(pd.to_numeric(runs["epochs_done"]).min())
    keys = ["dir", "run_id"] if "dir" in curves and "dir" in runs else ["run_id"]
    seen = curves[curves["epoch"] <= epoch]
    seen = seen.assign(value=finite_table(seen[[board.metric]])[board.metric])
    by_run = seen.groupby(keys)["value"].agg("min" if board.lower else "max").reset_index()
    joined = runs[[*keys, "combination"]].merge(by_run, on=keys, how="left")
    if joined["value"].isna().all():
        return None
    table = grouped_intervals(joined[["value"]], joined["combination"]).dropna(subset=["value"])
    table = table.sort_values("value", ascending=board.lower, kind="stable")
    proportion = board.metric in board.proportions
    found = {
        int(row): Interval(float(at["value"]), float(at["value half"]), int(at["value n"]), proportion)
        for row, at in table.iterrows()
    }
    return AtEpoch(epoch, found)
