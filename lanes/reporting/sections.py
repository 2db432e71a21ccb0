"""The sections of the report page, in reading order."""

from typing import Any

import pandas as pd

from lanes.reporting import embedded
from lanes.reporting.markup import Markup, escape, live, paragraph, table, together
from lanes.reporting.plotting import words
from lanes.results.effects import effects
from lanes.results.intervals import decimals, format_number
from lanes.results.leaderboard import Leaderboard
from lanes.results.naming import change, named

# Most of each on the page.
BOARD = 50  # rows of the leaderboard before its script shows more
BEST = 20  # combinations in the figure of the best
AXES = 12  # axes with effects
VALUES = 20  # values of an axis with effects
TOP = 7  # combinations with learning curves, as in the page's script
PRUNED = "Under pruned runs is the mean of those that halving ended last, at their epoch, which no finished run compares to. "


# ---- leaderboard ---------------------------------------------------------------------------------------------------


def columns(board: Leaderboard) -> list[str]:
    """The columns of a leaderboard."""
    extra = ["gap"] if "gap" in board.table else []
    pruned = ["pruned", "pruned runs"] if board.has_pruned else []
    return ["rank", *label_columns(board), *board.shown, *extra, "n", "diverged", *pruned]


def label_columns(board: Leaderboard) -> list[str]:
    """The columns that tell combinations apart: the axes, or the one change of a one-at-a-time sweep."""
    return [axis.name for axis in board.axes] if board.design is None else ["change"]


def labels_of(board: Leaderboard, row: int) -> list[str]:
    """A combination's values in `label_columns`."""
    if board.design is not None:
        return [change(board, board.design, row)]
    return [str(board.rows[row][axis.name]) for axis in board.axes]


def right(board: Leaderboard) -> list[int]:
    """Which columns of a leaderboard hold numbers."""
    first = 1 + len(label_columns(board))
    return [0, *range(first, len(columns(board)))]


def row_of(board: Leaderboard, row: int) -> list[str]:
    """A combination as a row of the leaderboard."""
    at = board.rows[row]
    extra = [format_number(at["gap"], board.digits[board.metric])] if "gap" in board.table else []
    values = [board.cell(row, name) for name in board.shown]
    counts = [str(at[f"{board.metric} n"]), str(at["diverged"] or "")]
    counts += [str(at["pruned"] or ""), board.early(row)] if board.has_pruned else []
    return [str(row + 1), *labels_of(board, row), *values, *extra, *counts]


def whole_leaderboard(board: Leaderboard) -> Markup:
    """All combinations; the first rows are part of the page, for print and for browsers without scripts."""
    gap = f" Gap: {_gap_words(board)}." if "gap" in board.table else ""
    note = (
        "Means over seeds ± 95% interval; n is the number of finished runs averaged. Diverged, failed and pruned runs are "
        "counted but not averaged, and combinations that lost half of their runs or more rank after the others. "
        f"{PRUNED if board.has_pruned else ''}A click on a column heading sorts; a click on a row shows its runs and the "
        f"commands that repeat, evaluate and restore them.{gap}"
    )
    shown = min(BOARD, len(board.table))
    rows = table(columns(board), (row_of(board, row) for row in range(shown)), right(board), "wide")
    return paragraph(note, "quiet") + live("leaderboard", inside=rows)


def _gap_words(board: Leaderboard) -> str:
    train, held = words(board.train or ""), words(board.test or board.metric)
    return f"{held} − {train}" if board.lower else f"{train} − {held}"


# ---- axes and pairs ------------------------------------------------------------------------------------------------


def axes(board: Leaderboard) -> Markup:
    """For each value of each axis, the best combination over the other axes."""
    if not board.axes or not board.has_best or board.design is not None:
        return Markup("")
    note = (
        f"For each value: the best combination over all other axes by {words(board.metric)} (filled, with the 95% "
        "interval over its seeds), and the median of all combinations with that value (open)."
    )
    plots = together(*(live("marginal", 240, axis=position) for position in range(len(board.axes))))
    return together(
        paragraph(note, "quiet"),
        Markup(f'<div class="grid small">{plots}</div>'),
        live("marginals"),
        _effects(board),
    )


def _effects(board: Leaderboard) -> Markup:
    """The main effects of the axes from matched pairs; empty without a pair."""
    seeds = board.runs["seed"] if "seed" in board.runs else pd.Series(0, index=board.runs.index)
    rows: list[list[Any]] = []
    for axis in board.axes[:AXES]:
        if axis.sampled:
            continue
        found = effects(board.values, board.labels, seeds, axis)
        digits = decimals([each.difference.half for each in found], [each.difference.mean for each in found])
        for position, each in enumerate(found[:VALUES]):
            text = each.difference.text(digits)
            named = "" if position else Markup(f"<b>{escape(axis.name)}</b>")
            signed = f"+{text}" if each.difference.mean > 0 else text
            rows.append([named, f"{each.value} − {each.reference}", signed, each.difference.n, f"{each.pairs:,}"])
    note = (
        "Effects from matched pairs: two runs that differ in this axis only and share the seed. Differences are averaged within "
        "a seed; ± is the 95% interval over seeds, not corrected for the number of effects. Medians and best combinations above "
        "compare unlike other axes where some combinations are missing; pairs do not."
    )
    head = ["axis", "difference", words(board.metric), "n (seeds)", "pairs of runs"]
    inside = table(head, rows, [2, 3, 4], "groups")
    return (
        Markup("<h3>Effects</h3>") + paragraph(note, "quiet") + live("effects", inside=inside) if rows else Markup("")
    )


def pairs(board: Leaderboard) -> Markup:
    """The heat map of any two axes, and all axes at once as parallel coordinates."""
    if len(board.axes) < 2 or not board.has_best or board.design is not None:
        return Markup("")
    note = (
        f"{words(board.metric).capitalize()}, mean over seeds; the bluer the better. A cell shows the best combination over "
        "all other axes, or the median over them. The colour scale is clipped far beyond the median, the numbers are not. "
        "Grey cells have no value and state the reason; empty cells were not planned."
    )
    bins = (
        "Sampled axes are divided into bins of equally many values." if any(axis.sampled for axis in board.axes) else ""
    )
    lines = (
        "Each line is a combination, from blue for the best-ranked to sand for the last; dashed lines have no "
        "value. A click on a value keeps its runs, a click on a line shows its runs."
    )
    return together(
        paragraph(f"{note} {bins}", "quiet"),
        live("pairs", 300),
        Markup("<h3>Parallel coordinates</h3>"),
        paragraph(lines, "quiet"),
        live("parallel", 340),
    )


# ---- curves and gap -----------------------------------------------------------------------------------------


def curves(board: Leaderboard, epochs: pd.DataFrame) -> Markup:
    """Learning curves of the best combinations, and of single runs."""
    if not board.has_best or epochs.empty:
        return Markup("")
    note = (
        "The best combinations: median over seeds, in a band from the lowest to the highest seed. Batch loss is the training "
        "loss averaged over an epoch's batches. Values are drawn to four digits."
    )
    if shared := named(board, range(min(TOP, len(board.table)))).shared:
        note += f" All have {shared}."
    return paragraph(f"{note} {embedded.left_out(board, epochs)}", "quiet") + live("curves", 640)


def gap(board: Leaderboard) -> Markup:
    """The generalization gap: training against held-out data."""
    if not board.train or not board.has_best or "gap" not in board.table or not board.table["gap"].notna().any():
        return Markup("")
    note = (
        f"The gap is {_gap_words(board)}: above zero, the net does better on its training data. Each point is a "
        f"combination, mean over seeds, coloured by the axis that changes it most. Below, the same by axis with the median "
        "for each value."
    )
    parts = together(*(live("gap_by", 240, position=position) for position in range(len(board.axes))))
    return paragraph(note, "quiet") + live("gap", 340) + Markup(f'<div class="grid small">{parts}</div>')
