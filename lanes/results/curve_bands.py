"""Learning curves of combinations: the median over seeds, the lowest and the highest seed, and how many seeds there are."""

from collections.abc import Sequence

import pandas as pd

from lanes.results.intervals import finite_table
from lanes.results.leaderboard import Leaderboard


def bands(board: Leaderboard, curves: pd.DataFrame, metric: str, rows: Sequence[int]) -> pd.DataFrame:
    """A row per combination and epoch with a finite value: `row`, `epoch`, `median`, `low`, `high`, `n`, `alone`.

    `n` counts the seeds at that epoch: it falls where runs stop, diverge or are pruned, and the median is then that of others.
    `alone` is true where a line through the epochs would draw nothing: the combination has a single one.

    Args:
        board: the leaderboard.
        curves: `lanes.load_curves`, with a column `dir` if the runs have one.
        metric: a column of `curves`.
        rows: of the board's table.
    """
    keys = keys_of(curves)
    wanted = board.runs.loc[board.runs["combination"].isin(list(rows)), [*keys, "combination"]]
    joined = curves.merge(wanted, on=keys)
    joined = joined.assign(value=finite_table(joined[[metric]])[metric]).dropna(subset=["value"])
    grouped = joined.groupby(["combination", "epoch"])["value"].agg(["median", "min", "max", "count"]).reset_index()
    columns = {"combination": "row", "min": "low", "max": "high", "count": "n"}
    table = grouped.rename(columns=columns)
    return table.assign(alone=table.groupby("row")["epoch"].transform("size") == 1)


def run_curves(runs: pd.DataFrame, curves: pd.DataFrame, metric: str) -> dict[tuple[str, ...], pd.DataFrame]:
    """The epochs of each run that have a finite value, in order: tables of `epoch` and `value`, by `keys_of`.

    Epochs without an evaluation are left out, so that a line joins those with one.
    """
    keys = keys_of(curves)
    joined = curves.merge(runs[keys], on=keys)
    joined = joined.assign(value=finite_table(joined[[metric]])[metric]).dropna(subset=["value"])
    return {
        tuple(map(str, key)): part.sort_values("epoch")[["epoch", "value"]]
        for key, part in joined.groupby(keys, sort=False)
    }


def keys_of(curves: pd.DataFrame) -> list[str]:
    """The columns that identify a run of the curves."""
    return ["dir", "run_id"] if "dir" in curves else ["run_id"]
