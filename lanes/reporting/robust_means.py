"""The page's section of interquartile means, on request: robust to single runs that fail or excel."""

from typing import Any

import numpy as np
import pandas as pd

from lanes.reporting.markup import Markup, escape, paragraph, table
from lanes.reporting.plotting import words
from lanes.results.intervals import format_number
from lanes.results.leaderboard import Leaderboard
from lanes.results.robust import RobustInterval, stratified_bootstrap

SHOWN = 20  # rows of combinations


def interquartile_means(board: Leaderboard) -> Markup:
    """Interquartile means of the combinations and of each value of the axes, with bootstrap intervals."""
    if not board.has_best:
        return Markup("")
    values, combination = board.values, board.runs["combination"]
    rows: list[list[Any]] = []
    for axis in board.axes:
        for position, value in enumerate(() if axis.sampled else axis.values):
            with_value = values[board.labels[axis.name] == value]
            found = stratified_bootstrap(_strata(with_value, combination))
            rows.append(["" if position else Markup(f"<b>{escape(axis.name)}</b>"), value, *_cells(board, found)])
    ranked = [(row, stratified_bootstrap([values[combination == row].to_numpy()])) for row in range(len(board.table))]
    ranked = sorted((each for each in ranked if each[1].n), key=lambda each: each[1].mean * (1 if board.lower else -1))
    best = [
        [*(board.table.iloc[row][axis.name] for axis in board.axes), *_cells(board, found), row + 1]
        for row, found in ranked[:SHOWN]
    ]
    note = (
        f"Interquartile means of {words(board.metric)}: the mean of the middle half of the finished runs, in brackets its 95% "
        "percentile bootstrap interval. For a value of an axis the runs of each combination are resampled by themselves "
        "(Agarwal et al., 2021). With few seeds the bootstrap's intervals are too short."
    )
    head = ["interquartile mean", "interval", "n"]
    cut = f"Showing {SHOWN} of {len(ranked)} combinations." if len(ranked) > SHOWN else ""
    parts = [paragraph(note, "quiet")]
    if rows:
        parts.append(table(["axis", "value", *head], rows, [2, 3, 4], "groups"))
    names = [axis.name for axis in board.axes]
    numbers = range(len(names), len(names) + 4)
    parts += [paragraph(cut, "note"), table([*names, *head, "rank by mean"], best, numbers, "wide")]
    return Markup("".join(parts))


def _strata(values: pd.Series, combination: pd.Series) -> list[np.ndarray]:
    return [part.to_numpy() for _, part in values.groupby(combination)]


def _cells(board: Leaderboard, found: RobustInterval) -> list[Any]:
    digits = max(board.digits[board.metric], 2)
    interval = f"[{found.low:.{digits}f}, {found.high:.{digits}f}]" if np.isfinite(found.low) else "–"
    return [format_number(found.mean, digits), interval, found.n]
