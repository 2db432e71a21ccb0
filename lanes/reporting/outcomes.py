"""The page's section of how the runs ended: diverged, failed, pruned and stopped early, where, why, and what to do."""

import pandas as pd

from lanes.reporting.markup import Markup, live, paragraph, table, together
from lanes.results.endings import ENDED_EARLY, endings
from lanes.results.leaderboard import Leaderboard
from lanes.results.naming import named

ROWS = 200  # runs in a list
OPEN = 12  # a list of no more runs is unfolded
UNFOLDED = ("diverged", "failed")


def outcomes(board: Leaderboard) -> Markup:
    """How the runs ended, and a list for each way of not training to the last epoch."""
    counts = board.runs["status"].value_counts()
    return live("outcomes", 90) + together(*(_ended(board, status) for status in ENDED_EARLY if counts.get(status)))


def _ended(board: Leaderboard, status: str) -> Markup:
    """The runs with a status, as a list that unfolds."""
    runs = endings(board, status)
    shown = runs.head(ROWS)
    names = named(board, sorted(set(shown["combination"])))
    columns: dict[str, object] = {"run": shown["run_id"]}
    if len(board.table) > 1:
        columns["combination"] = shown["combination"].map(lambda row: names[row] or names.shared)
    columns |= {"seed": shown["seed"], "epoch": shown["epoch"].map(_count)}
    if status == "diverged":
        columns["first non-finite step"] = shown["step"].map(_count)
    for name in ("reason", "remedy"):
        if status == "diverged" and name == "reason":
            continue  # it is the same for all, and the heading says it
        columns[name] = shown[name]
    cut = f"Showing {len(shown)} of {len(runs):,}." if len(shown) < len(runs) else ""
    shared = f"All have {names.shared}." if names.shared and len(board.table) > 1 and len(shown) > 1 else ""
    numbers = [at for at, name in enumerate(columns) if name in ("seed", "epoch", "first non-finite step")]
    inside = table(list(columns), zip(*columns.values(), strict=True), numbers)
    opened = " open" if status in UNFOLDED and len(runs) <= OPEN else ""
    title = f"{len(runs):,} {status.replace('_', ' ')}"
    title += f": {_what(status)}" if _what(status) else ""
    return Markup(
        f"<details{opened}><summary>{title}</summary>{paragraph(cut, 'note')}{paragraph(shared, 'note')}{inside}</details>"
    )


def _what(status: str) -> str:
    if status == "diverged":
        return "a loss or an update was not finite; rolled back to the beginning of the epoch, and in no mean"
    return {"pruned": "by halving; in no mean of finished runs", "failed": "in no mean"}.get(status, "")


def _count(value: object) -> str:
    return "–" if pd.isna(value) else f"{int(float(str(value))):,}"
