"""The results of a sweep as plain rows and objects, for other programs."""

from typing import Any

import pandas as pd

from lanes.results.axes import Axis
from lanes.results.leaderboard import STATUSES, Leaderboard, apart, leaderboards
from lanes.results.versions import of_present_versions


def results_document(runs: pd.DataFrame, metric: str | None = None) -> dict[str, Any]:
    """The leaderboards of `lanes.load`'s table, and the table itself.

    Returns `leaderboards`, one for each kind of run that the metric compares (`leaderboard_document`); `notes`, on what is
    ranked apart or left out; `runs`, one object per planned run with the columns of the table.

    Raises RequestError as `leaderboards`.
    """
    left_out = of_present_versions(runs)[1]
    boards = [leaderboard_document(board) for board in leaderboards(runs, metric)]
    notes = [note for note in (apart(runs, metric), left_out) if note]
    return {"leaderboards": boards, "notes": notes, "runs": rows(runs)}


def leaderboard_document(board: Leaderboard) -> dict[str, Any]:
    """A leaderboard: `name` of the runs it ranks, `metric`, `higher_is_better`, `axes` and the `combinations`, best first.

    A combination has its `rank`, the label of each axis in `settings`, the number of runs by `status`, the `run_ids`, and for
    each metric its `mean`, `half_width` of the 95% interval over seeds, and `n`.
    """
    return {
        "name": board.name,
        "metric": board.metric,
        "higher_is_better": not board.lower,
        "axes": [axis.name for axis in board.axes],
        "combinations": [_combination(board, row) for row in range(len(board.table))],
    }


def _combination(board: Leaderboard, row: int) -> dict[str, Any]:
    at = board.table.iloc[row]
    of_it = board.runs["combination"] == row
    return {
        "rank": row + 1,
        "settings": {axis.name: _value(axis, at[axis.name]) for axis in board.axes},
        "status": {status: int(at[status]) for status in STATUSES if at.get(status)},
        "run_ids": board.runs.loc[of_it, "run_id"].tolist(),
        "metrics": {
            name: {"mean": at[name], "half_width": at[f"{name} half"], "n": int(at[f"{name} n"])}
            for name in board.digits
        },
    }


def _value(axis: Axis, label: str) -> str | float:
    """The number behind a label, where all values of the axis are numbers."""
    return label if axis.numbers is None else axis.numbers[axis.values.index(label)]


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as objects."""
    return table.to_dict(orient="records")
