"""The sections of the report page, in reading order."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from lanes.reporting import figures, heatmaps, learning_curves
from lanes.reporting.markup import Markup, escape, fact_list, figure, paragraph, table, together
from lanes.reporting.plotting import words
from lanes.results.axes import Axis, coarse_values
from lanes.results.leaderboard import EXCLUDED, STATUSES, Leaderboard, marginals, separation
from lanes.results.statistics import decimals, format_interval

# Most of each on the page.
ROWS = 200  # rows in a list of runs
BOARD = 50  # rows of the leaderboard before its script shows more
PAIRS = 15  # heat maps
AXES = 12  # axes with figures of their own
VALUES = 20  # values of an axis in the table of axes
TOP = 6  # combinations with learning curves


# ---- answer --------------------------------------------------------------------------------------------------------


def answer(board: Leaderboard) -> Markup:
    """The best combination, how clearly it leads, and the five best."""
    if not board.has_best:
        return paragraph(f"No run has a value of {board.metric}: see Outcomes.", "warn")
    best = board.table.iloc[0]
    choice = " · ".join(f"<span>{escape(axis.name)}</span> {escape(best[axis.name])}" for axis in board.axes)
    numbers = {f"{words(name)}": _value(board, 0, name) for name in board.shown} | {"n": int(best[f"{board.metric} n"])}
    if best["diverged"]:
        numbers["diverged"] = int(best["diverged"])
    box = Markup(f'<div class="answer"><p class="choice">{choice or "one combination"}</p>{fact_list(numbers)}</div>')
    rows = [_row(board, row) for row in range(min(5, len(board.table)))]
    ids = board.runs.loc[board.runs["combination"] == 0, "run_id"].astype(str).tolist()
    shown_ids = ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
    return together(
        paragraph(_criterion(board), "quiet"),
        box,
        paragraph(_lead(board)),
        *(paragraph(text, "warn") for text in _cautions(board)),
        table(_columns(board), rows, _right(board), "wide") if len(board.table) > 1 else Markup(""),
        paragraph(f"Runs of the best: {shown_ids}", "note"),
    )


def _value(board: Leaderboard, row: int, metric: str) -> Markup:
    mean, _, half = board.cell(row, metric).partition(" ± ")
    return Markup(f"{escape(mean)}{f' <small>± {escape(half)}</small>' if half else ''}")


def _criterion(board: Leaderboard) -> str:
    order = "lowest" if board.lower else "highest"
    beside = f" {words(board.test).capitalize()} is shown but was not used for ranking." if board.test else ""
    return (
        f"The combination with the {order} {words(board.metric)}, mean over seeds ± 95% interval (Student's t).{beside}"
    )


def _lead(board: Leaderboard) -> str:
    found = separation(board)
    if found is None:
        return ""
    if not found.compared:
        return "With one seed per combination there are no intervals, so the ranking is weak evidence. Add seeds (--seeds 5)."
    digits = decimals([found.runner_up.half], [found.runner_up.mean])
    text = format_interval(found.runner_up.mean, found.runner_up.half, digits)
    second = f"Best minus second, paired by seed: {text} (n = {found.runner_up.n}). " if found.runner_up.n > 1 else ""
    if not found.tied:
        return (
            second + f"The best is distinguishable from each of the other {found.compared} combinations: "
            "no 95% interval of a difference, paired by seed, includes zero."
        )
    return second + (
        f"{found.tied} of the other {found.compared} combinations cannot be distinguished from the best: "
        "the 95% interval of their difference, paired by seed, includes zero."
    )


def _cautions(board: Leaderboard) -> list[str]:
    texts = []
    if pending := int((board.runs["status"] == "pending").sum()):
        texts.append(f"{pending:,} of {len(board.runs):,} runs are still pending: the ranking may change.")
    if board.metric.startswith("test_"):
        texts.append("Ranked on the test split at your request: the best test result is therefore optimistic.")
    elif board.metric.startswith("train_"):
        texts.append("Ranked on the training split: these results have no validation split.")
    if bool(board.table["unstable"].iloc[0]):
        texts.append("In every combination, the best included, half or more of the ended runs diverged or failed.")
    if repeated := board.repeated():
        texts.append(
            f"{repeated:,} runs share combination and seed with another run: they differ in something without a column."
        )
    return texts


# ---- leaderboard ---------------------------------------------------------------------------------------------------


def _columns(board: Leaderboard) -> list[str]:
    extra = ["gap"] if "gap" in board.table else []
    return ["rank", *(axis.name for axis in board.axes), *board.shown, *extra, "n", "diverged"]


def _right(board: Leaderboard) -> list[int]:
    first = 1 + len(board.axes)
    return [0, *range(first, len(_columns(board)))]


def _row(board: Leaderboard, row: int) -> list[str]:
    at = board.table.iloc[row]
    extra = [format_interval(at["gap"], np.nan, board.digits[board.metric])] if "gap" in board.table else []
    values = [board.cell(row, name) for name in board.shown]
    counts = [str(at[f"{board.metric} n"]), str(at["diverged"] or "")]
    return [str(row + 1), *(str(at[axis.name]) for axis in board.axes), *values, *extra, *counts]


def leaderboard_data(board: Leaderboard) -> dict[str, Any]:
    """The table that the page's script sorts, searches and saves as CSV."""
    columns, right = _columns(board), _right(board)
    numeric = [
        index in right or any(a.name == name and a.numbers for a in board.axes) for index, name in enumerate(columns)
    ]
    rows = [_row(board, row) for row in range(len(board.table))]
    return {"header": columns, "rows": rows, "right": [i in right for i in range(len(columns))], "numeric": numeric}


def whole_leaderboard(board: Leaderboard) -> Markup:
    """All combinations; the first rows are part of the page, for print and for browsers without scripts."""
    gap = f" Gap: {_gap_words(board)}." if "gap" in board.table else ""
    note = (
        "Means over seeds ± 95% interval; n is the number of runs averaged. Diverged runs have no metrics: they are "
        "counted but not averaged, and combinations that lost half of their runs or more rank after the others. "
        f"Click a column heading to sort.{gap}"
    )
    shown = min(BOARD, len(board.table))
    tools = (
        '<div class="tools"><input type="search" class="search" placeholder="Search combinations" '
        'aria-label="Search combinations">'
        f'<span class="shown">Showing {shown} of {len(board.table)} combinations</span>'
        '<button class="more" type="button" hidden>Show 200 more</button>'
        '<button class="csv" type="button">Save as CSV</button></div>'
    )
    rows = table(_columns(board), (_row(board, row) for row in range(shown)), _right(board), "wide")
    return paragraph(note, "quiet") + Markup(f'<div class="leaderboard">{tools}{rows}</div>')


def _gap_words(board: Leaderboard) -> str:
    train, held = words(board.train or ""), words(board.test or board.metric)
    return f"{held} − {train}" if board.lower else f"{train} − {held}"


# ---- axes and pairs ------------------------------------------------------------------------------------------------


def axes(board: Leaderboard) -> Markup:
    """For each value of each axis, the best combination over the other axes."""
    if not board.axes or not board.has_best:
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
    right = [index for index, name in enumerate(head) if name not in ("axis", "value", "with")]
    rows = [row for axis in shown for row in _marginal_rows(board, axis)]
    return together(
        paragraph(note, "quiet"),
        paragraph(cut, "note"),
        Markup(f'<div class="grid small">{plots}</div>'),
        table(head, rows, right, "wide groups"),
    )


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
        cells += [format_interval(at.get(name, np.nan), np.nan, digits) for name in ("median", "gap")]
        diverged = f"{at['diverged']} of {at['runs']}" if at["diverged"] else "0"
        rows.append(["" if rows else Markup(f"<b>{escape(axis.name)}</b>"), at["value"], *cells, diverged])
    if len(found) > VALUES:
        rows.append(["", f"and {len(found) - VALUES} more values", *[""] * (len(rows[0]) - 2)])
    return rows


def pairs(board: Leaderboard) -> Markup:
    """A heat map per pair of axes, the axes with the largest effects first."""
    if len(board.axes) < 2 or not board.has_best:
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


# ---- curves, gap, outcomes -----------------------------------------------------------------------------------------


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


def outcomes(board: Leaderboard) -> Markup:
    """How the runs ended, and which diverged or failed."""
    found = board.runs["status"].value_counts()
    names = [*STATUSES, *sorted(set(found.index) - set(STATUSES))]
    counts = {name: int(found[name]) for name in names if name in found}
    return together(figure(figures.statuses(counts)), *(_ended_badly(board, status) for status in EXCLUDED))


def _ended_badly(board: Leaderboard, status: str) -> Markup:
    """The runs with a status, as a list that unfolds."""
    runs = board.runs[board.runs["status"] == status]
    if runs.empty:
        return Markup("")
    shown = runs.head(ROWS)
    columns = {"run": shown["run_id"]} | {axis.name: board.labels.loc[shown.index, axis.name] for axis in board.axes}
    if "seed" in shown:
        columns["seed"] = shown["seed"]
    if status == "diverged" and "diverged_step" in shown:
        columns["first non-finite step"] = shown["diverged_step"].map(
            lambda step: "–" if pd.isna(step) else f"{int(step):,}"
        )
    cut = f"Showing {len(shown)} of {len(runs):,}." if len(shown) < len(runs) else ""
    inside = table(list(columns), zip(*columns.values(), strict=True), [len(columns) - 1])
    opened = " open" if len(runs) <= 12 else ""
    title = f"{len(runs):,} {status}"
    return Markup(f"<details{opened}><summary>{title}</summary>{paragraph(cut, 'note')}{inside}</details>")
