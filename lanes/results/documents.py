"""The results of a sweep as plain rows and objects, for other programs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.results.axes import Axis
from lanes.results.baseline import against_baseline, find_baseline
from lanes.results.edges import Allowed, allowed_by, edges
from lanes.results.endings import ENDED_EARLY, endings
from lanes.results.following_grid import following_grid
from lanes.results.importance import Importance, importance
from lanes.results.intervals import Interval
from lanes.results.leaderboard import STATUSES, Leaderboard, ranking
from lanes.results.noise_floor import noise_floor


def results_document(
    runs: pd.DataFrame, metric: str | None = None, baseline: Sequence[str] = (), paths: Sequence[Path] = ()
) -> dict[str, Any]:
    """The leaderboards of `lanes.load`'s table, and the table itself.

    Args:
        runs: the table.
        metric: ranks the combinations.
        baseline: `FIELD=VALUE` conditions that one combination meets.
        paths: the directories of the runs, for what their fields take beyond the values tried.

    Returns `leaderboards`, one for each kind of run that the metric compares (`leaderboard_document`); `notes`, on what is
    ranked apart or left out; `runs`, one object per planned run with the columns of the table.

    Raises RequestError as `leaderboards` and `find_baseline`.
    """
    found = ranking(runs, metric)
    chosen = find_baseline(found.boards, baseline)
    documents = [
        leaderboard_document(board) | _findings(board, chosen.get(at), paths) for at, board in enumerate(found.boards)
    ]
    return {"leaderboards": documents, "notes": found.notes, "runs": rows(runs)}


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


def _findings(board: Leaderboard, row: int | None, paths: Sequence[Path]) -> dict[str, Any]:
    """`importance`, `baseline` (null without one), `edges`, `noise_floor` (null where nothing is known) and `ended_early`."""
    if row is None and board.design is not None:
        row = board.design.base
    floors = {name: noise_floor(board, name) for name in board.evaluations} if board.has_best else {}
    return {
        "importance": importance_document(importance(board)) if board.has_best else None,
        "baseline": baseline_document(board, row) if row is not None else None,
        "edges": edges_document(board, allowed_by(paths, board)),
        "noise_floor": {name: dataclasses.asdict(floor) for name, floor in floors.items() if floor is not None},
        "ended_early": [
            {"status": status, **one}
            for status in ENDED_EARLY
            for one in rows(
                endings(board, status).rename(columns={"combination": "rank"}).assign(rank=lambda t: t["rank"] + 1)
            )
        ],
    }


def importance_document(found: Importance) -> dict[str, Any]:
    """`method` (empty with a `reason` if there is none), the `shares` of axes and pairs, and `fit`, a forest's R²."""
    shares = [
        {
            "axes": list(each.axes),
            "share": _interval(each.share),
            "total": _interval(each.total),
            "by_noise": each.noise,
        }
        for each in found.shares
    ]
    rest = {"higher": _interval(found.higher), "fit": _interval(found.fit)}
    return {"method": found.method, "reason": found.reason, "shares": shares, **rest, "note": found.note}


def baseline_document(board: Leaderboard, row: int) -> dict[str, Any]:
    """The baseline's `rank` and `settings`, and by metric the `differences`: `rank`, `mean`, `half_width`, `n`, `told_apart`."""
    differences = {}
    for metric in board.evaluations:
        found = against_baseline(board, row, metric)
        differences[metric] = [
            {"rank": other + 1, **_interval(each), "told_apart": other in found.told_apart}
            for other, each in found.differences.items()
        ]
    return {"rank": row + 1, "settings": _settings(board, row), "differences": differences}


def edges_document(board: Leaderboard, allowed: Allowed | None = None) -> dict[str, Any]:
    """The `axes` whose best value stands at an edge, and the `grid` that would follow, as Python."""
    found = edges(board, allowed)
    axes = [
        {
            "axis": each.axis,
            "value": each.value,
            "end": "highest" if each.highest else "lowest",
            "tried": each.tried,
            "following": list(each.following),
            "sampled": each.sampled,
            "against_neighbour": _interval(each.inner),
        }
        for each in found
    ]
    return {"axes": axes, "grid": following_grid(board, found)}


def _interval(found: Interval) -> dict[str, Any]:
    return {"mean": found.mean, "half_width": found.half, "n": found.n}


def _settings(board: Leaderboard, row: int) -> dict[str, str | float]:
    at = board.table.iloc[row]
    return {axis.name: _value(axis, at[axis.name]) for axis in board.axes}


def _combination(board: Leaderboard, row: int) -> dict[str, Any]:
    at = board.table.iloc[row]
    of_it = board.runs["combination"] == row
    return {
        "rank": row + 1,
        "settings": _settings(board, row),
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
