"""The sections of the report page, in reading order."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from lanes.reporting import figures, heatmaps, learning_curves
from lanes.reporting.markup import Markup, escape, figure, paragraph, table, together
from lanes.reporting.plotting import words
from lanes.results.axes import Axis, coarse_values
from lanes.results.effects import effects
from lanes.results.intervals import decimals, format_number
from lanes.results.leaderboard import Leaderboard, marginals
from lanes.results.naming import change, named

# Most of each on the page.
BOARD = 50  # rows of the leaderboard before its script shows more
PAIRS = 15  # heat maps
AXES = 12  # axes with figures of their own
VALUES = 20  # values of an axis in the table of axes
TOP = 6  # combinations with learning curves
PRUNED = "Under pruned runs is the mean of those that halving ended last, at their epoch, which no finished run compares to. "


# ---- leaderboard ---------------------------------------------------------------------------------------------------


def columns(board: Leaderboard) -> list[str]:
    """The columns of a leaderboard."""
    extra = ["gap"] if "gap" in board.table else []
    pruned = ["pruned", "pruned runs"] if with_pruned(board) else []
    return ["rank", *label_columns(board), *board.shown, *extra, "n", "diverged", *pruned]


def label_columns(board: Leaderboard) -> list[str]:
    """The columns that tell combinations apart: the axes, or the one change of a one-at-a-time sweep."""
    return [axis.name for axis in board.axes] if board.design is None else ["change"]


def labels_of(board: Leaderboard, row: int) -> list[str]:
    """A combination's values in `label_columns`."""
    if board.design is not None:
        return [change(board, board.design, row)]
    return [str(board.table.iloc[row][axis.name]) for axis in board.axes]


def with_pruned(board: Leaderboard) -> bool:
    """Whether halving pruned any run."""
    return bool(board.table["pruned"].any())


def right(board: Leaderboard) -> list[int]:
    """Which columns of a leaderboard hold numbers."""
    first = 1 + len(label_columns(board))
    return [0, *range(first, len(columns(board)))]


def row_of(board: Leaderboard, row: int) -> list[str]:
    """A combination as a row of the leaderboard."""
    at = board.table.iloc[row]
    extra = [format_number(at["gap"], board.digits[board.metric])] if "gap" in board.table else []
    values = [board.cell(row, name) for name in board.shown]
    counts = [str(at[f"{board.metric} n"]), str(at["diverged"] or "")]
    counts += [str(at["pruned"] or ""), board.early(row)] if with_pruned(board) else []
    return [str(row + 1), *labels_of(board, row), *values, *extra, *counts]


def leaderboard_data(board: Leaderboard) -> dict[str, Any]:
    """The table that the page's script sorts, searches and saves as CSV."""
    names, numbers = columns(board), right(board)
    numeric = [
        index in numbers or any(a.name == name and a.numbers for a in board.axes) for index, name in enumerate(names)
    ]
    rows = [row_of(board, row) for row in range(len(board.table))]
    return {"header": names, "rows": rows, "right": [i in numbers for i in range(len(names))], "numeric": numeric}


def whole_leaderboard(board: Leaderboard) -> Markup:
    """All combinations; the first rows are part of the page, for print and for browsers without scripts."""
    gap = f" Gap: {_gap_words(board)}." if "gap" in board.table else ""
    note = (
        "Means over seeds ± 95% interval; n is the number of finished runs averaged. Diverged, failed and pruned runs are "
        "counted but not averaged, and combinations that lost half of their runs or more rank after the others. "
        f"{PRUNED if with_pruned(board) else ''}Click a column heading to sort.{gap}"
    )
    shown = min(BOARD, len(board.table))
    tools = (
        '<div class="tools"><input type="search" class="search" placeholder="Search combinations" '
        'aria-label="Search combinations">'
        f'<span class="shown">Showing {shown} of {len(board.table)} combinations</span>'
        '<button class="more" type="button" hidden>Show 200 more</button>'
        '<button class="csv" type="button">Save as CSV</button></div>'
    )
    rows = table(columns(board), (row_of(board, row) for row in range(shown)), right(board), "wide")
    return paragraph(note, "quiet") + Markup(f'<div class="leaderboard">{tools}{rows}</div>')


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
    shown = board.axes[:AXES]
    cut = f"Showing {len(shown)} of {len(board.axes)} axes." if len(shown) < len(board.axes) else ""
    plots = together(*(figure(*figures.marginal(board, axis)) for axis in shown))
    head = ["axis", "value", *(f"best {name}" for name in board.evaluations), "n", "with", "median"]
    head += ["median gap", "diverged"]
    numbers = [index for index, name in enumerate(head) if name not in ("axis", "value", "with")]
    rows = [row for axis in shown for row in _marginal_rows(board, axis)]
    return together(
        paragraph(note, "quiet"),
        paragraph(cut, "note"),
        Markup(f'<div class="grid small">{plots}</div>'),
        table(head, rows, numbers, "wide groups"),
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
    return Markup("<h3>Effects</h3>") + paragraph(note, "quiet") + inside if rows else Markup("")


def _marginal_rows(board: Leaderboard, axis: Axis) -> list[list[Any]]:
    """The table's rows for an axis, best value first; only the first row names the axis."""
    found = marginals(board, axis)
    found = found.sort_values("best", key=lambda column: column.where(column >= 0, np.inf), kind="stable")
    digits = board.digits[board.metric]
    rows: list[list[Any]] = []
    for _, at in found.head(VALUES).iterrows():
        best = int(at["best"])
        cells: list[Any] = [board.cell(best, name) if best >= 0 else "–" for name in board.evaluations]
        cells.append(board.interval(best, board.metric).n if best >= 0 else 0)
        others = [board.table.iloc[best][other.name] for other in board.axes if other.name != axis.name and best >= 0]
        cells.append(" · ".join(map(str, others)) or "–")
        cells += [format_number(at.get(name, np.nan), digits) for name in ("median", "gap")]
        diverged = f"{at['diverged']} of {at['runs']}" if at["diverged"] else "0"
        rows.append(["" if rows else Markup(f"<b>{escape(axis.name)}</b>"), at["value"], *cells, diverged])
    if len(found) > VALUES:
        rows.append(["", f"and {len(found) - VALUES} more values", *[""] * (len(rows[0]) - 2)])
    return rows


def pairs(board: Leaderboard) -> Markup:
    """A heat map per pair of axes, the axes with the largest effects first."""
    if len(board.axes) < 2 or not board.has_best or board.design is not None:
        return Markup("")
    by_effect = sorted(board.axes, key=lambda axis: -_effect(board, axis))
    found = list(itertools.combinations(by_effect, 2))
    parts = []
    for pair in found[:PAIRS]:
        columns, rows = sorted(pair, key=lambda axis: len(coarse_values(axis)))
        spec, cut = heatmaps.heat_map(board, rows, columns)
        parts.append(figure(spec, cut, "pair"))
    note = (
        f"{words(board.metric).capitalize()}, mean over seeds; darker is better. A cell shows the best combination over "
        "all other axes, or the median over them. The colour scale is clipped far beyond the median, the numbers are not. "
        "Grey cells have no value and state the reason; empty grey cells were not planned."
    )
    bins = (
        "Sampled axes are divided into bins of equally many values." if any(axis.sampled for axis in board.axes) else ""
    )
    cut = (
        f"Showing {PAIRS} of {len(found)} pairs: those of the axes with the largest effects."
        if len(found) > PAIRS
        else ""
    )
    radio = '<label><input type="radio" name="cells" value="{}"{}> {} over the other axes</label>'
    choose = radio.format("best", " checked", "best") + radio.format("median", "", "median")
    inside = Markup(f'<div class="tools">{choose}</div><div class="grid">{together(*parts)}</div>')
    return paragraph(f"{note} {bins}", "quiet") + paragraph(cut, "note") + inside


def _effect(board: Leaderboard, axis: Axis) -> float:
    """The range, over an axis, of the best over the other axes."""
    rows = marginals(board, axis)["best"]
    values = [board.interval(int(row), board.metric).mean for row in rows if row >= 0]
    return max(values) - min(values) if values else 0.0


# ---- curves and gap -----------------------------------------------------------------------------------------


def curves(board: Leaderboard, epochs: pd.DataFrame) -> Markup:
    """Learning curves of the best combinations, and of single runs."""
    if not board.has_best:
        return Markup("")
    recorded = [
        name for name in (board.metric, "valid_accuracy", "valid_loss") if name in epochs and epochs[name].notna().any()
    ]
    names = list(dict.fromkeys([*recorded[:1], *(["batch_loss"] if "batch_loss" in epochs else [])]))
    if not names:
        return paragraph("No curves were recorded.", "quiet")
    top = min(TOP, len(board.table))
    note = f"The {top} best combinations: median over seeds, in a band from the lowest to the highest seed."
    if "batch_loss" in names:
        note += " Batch loss is the training loss averaged over an epoch's batches."
    keys = "".join(
        f'<li><i style="background:{c}"></i>{escape(n)}</li>' for c, n in learning_curves.names_of(board, top)
    )
    if shared := named(board, range(top)).shared:
        note += f" All have {shared}."
    plots = together(*(figure(learning_curves.curves(board, epochs, name, top)) for name in names))
    spec, drawn, of = learning_curves.single_runs(board, epochs, names[0])
    which = f"showing {drawn} of {of:,}, evenly spaced by rank" if drawn < of else f"all {of}"
    return together(
        paragraph(note, "quiet"),
        Markup(f'<ol class="legend">{keys}</ol><div class="two">{plots}</div>'),
        figure(spec, f"Single runs, {which}; from blue for the best-ranked combination to sand for the last."),
    )


def gap(board: Leaderboard) -> Markup:
    """The generalization gap: training against held-out data."""
    if not board.train or not board.has_best or "gap" not in board.table or not board.table["gap"].notna().any():
        return Markup("")
    by_effect = sorted(board.axes, key=lambda axis: -_gap_effect(board, axis))
    axis = next((axis for axis in by_effect if len(coarse_values(axis)) <= len(figures.COLORS)), None)
    spec, cut = figures.gap(board, axis)
    by = f", coloured by {axis.name}" if axis else ""
    note = (
        f"The gap is {_gap_words(board)}: above zero, the net does better on its training data. Each point is a "
        f"combination, mean over seeds{by}. Below, the same by axis with the median for each value, for at most "
        f"{figures.STRIP} combinations."
    )
    parts = together(*(figure(figures.gap_by(board, axis)) for axis in by_effect[:AXES]))
    return paragraph(note, "quiet") + figure(spec, cut) + Markup(f'<div class="grid small">{parts}</div>')


def _gap_effect(board: Leaderboard, axis: Axis) -> float:
    found = marginals(board, axis)["gap"].dropna()
    return float(found.max() - found.min()) if len(found) else 0.0
