"""The sections of the report page, in the order in which a reader wants them."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from lanes import figures, heatmaps, learning_curves
from lanes.axes import Axis, coarse_values
from lanes.leaderboard import STATUSES, Leaderboard, marginals, separation
from lanes.markup import Markup, escape, fact_list, figure, paragraph, table, together
from lanes.plotting import words
from lanes.statistics import decimals, format_interval

ROWS = 200  # of a table; the leaderboard's script has them all
PAIRS = 15  # heat maps
AXES = 12


# ---- answer --------------------------------------------------------------------------------------------------------


def answer(board: Leaderboard) -> Markup:
    """The best combination, how far it stands out, and the five best."""
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
        paragraph(_how(board), "quiet"),
        box,
        paragraph(_stands_out(board)),
        *(paragraph(text, "warn") for text in _cautions(board)),
        table(_columns(board), rows, _right(board), "wide") if len(board.table) > 1 else Markup(""),
        paragraph(f"Runs of the best: {shown_ids}", "note"),
    )


def _value(board: Leaderboard, row: int, metric: str) -> Markup:
    mean, _, half = board.cell(row, metric).partition(" ± ")
    return Markup(f"{escape(mean)}{f' <small>± {escape(half)}</small>' if half else ''}")


def _how(board: Leaderboard) -> str:
    order = "lowest" if board.lower else "highest"
    beside = f"; {words(board.test)} stands beside it and chose nothing" if board.test else ""
    return (
        f"The combination with the {order} {words(board.metric)}, mean over seeds ± 95% interval (Student's t){beside}."
    )


def _stands_out(board: Leaderboard) -> str:
    found = separation(board)
    if found is None:
        return ""
    if not found.compared:
        return "One seed per combination: there is no interval, so the order says little. Add seeds (--seeds 5)."
    places = decimals([found.runner_up.half], [found.runner_up.mean])
    text = format_interval(found.runner_up.mean, found.runner_up.half, places)
    second = f"Best minus second, paired by seed: {text} (n = {found.runner_up.n}). " if found.runner_up.n > 1 else ""
    if not found.tied:
        return (
            second
            + f"None of the other {found.compared} combinations is within reach: every paired 95% interval excludes zero."
        )
    return second + (
        f"{found.tied} of the other {found.compared} combinations cannot be told from the best: "
        "the 95% interval of their difference from it, paired by seed, includes zero."
    )


def _cautions(board: Leaderboard) -> list[str]:
    texts = []
    if pending := int((board.runs["status"] == "pending").sum()):
        texts.append(f"{pending:,} of {len(board.runs):,} runs are still pending: the order may change.")
    if board.metric.startswith("test_"):
        texts.append("Ranked on the test split, as asked: the best test number is then optimistic.")
    elif board.metric.startswith("train_"):
        texts.append("Ranked on the training split: these results have no validation.")
    if bool(board.table["unstable"].iloc[0]):
        texts.append("Half or more of the ended runs of the best diverged or failed, as in every other combination.")
    if repeated := board.repeated():
        texts.append(
            f"{repeated:,} runs share combination and seed with another: they differ in something that has no column."
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
    extra = [format_interval(at["gap"], np.nan, board.places(board.metric))] if "gap" in board.table else []
    values = [board.cell(row, name) for name in board.shown]
    counts = [str(at[f"{board.metric} n"]), str(at["diverged"] or "")]
    return [str(row + 1), *(str(at[axis.name]) for axis in board.axes), *values, *extra, *counts]


def leaderboard_data(board: Leaderboard) -> dict[str, Any]:
    """What the page's script sorts, searches and saves as CSV."""
    columns, right = _columns(board), _right(board)
    numeric = [
        index in right or any(a.name == name and a.numbers for a in board.axes) for index, name in enumerate(columns)
    ]
    rows = [_row(board, row) for row in range(len(board.table))]
    return {"header": columns, "rows": rows, "right": [i in right for i in range(len(columns))], "numeric": numeric}


def whole_leaderboard(board: Leaderboard) -> Markup:
    """All combinations; the first rows stand in the page itself, for print and for browsers without scripts."""
    gap = f" Gap: {_gap_words(board)}." if "gap" in board.table else ""
    note = (
        "Means over seeds ± 95% interval; n is the number of runs behind the mean. Diverged runs have no metrics: they are counted, "
        f"not averaged, and a combination that lost half its runs is ranked after the others. Click a column to sort.{gap}"
    )
    tools = (
        '<div class="tools"><input type="search" id="search" placeholder="search: relu 0.001" aria-label="search the leaderboard">'
        f'<span id="shown">Showing {min(ROWS, len(board.table))} of {len(board.table)} combinations</span>'
        '<button id="csv" type="button">Save as CSV</button></div>'
    )
    rows = [_row(board, row) for row in range(min(ROWS, len(board.table)))]
    whole = table(_columns(board), rows, _right(board), "wide").replace("<table ", '<table id="leaderboard" ', 1)
    return paragraph(note, "quiet") + Markup(tools) + Markup(whole)


def _gap_words(board: Leaderboard) -> str:
    train, held = words(board.train or ""), words(board.test or board.metric)
    return f"{held} − {train}" if board.lower else f"{train} − {held}"


# ---- axes and pairs ------------------------------------------------------------------------------------------------


def axes(board: Leaderboard) -> Markup:
    """For each value of each axis, the best over the other axes."""
    if not board.axes or not board.has_best:
        return Markup("")
    note = (
        f"For each value, the best combination over all other axes, chosen by {words(board.metric)} (filled, ± 95% interval over its seeds), "
        "and the mean over all combinations with that value (open)."
    )
    shown = board.axes[:AXES]
    cut = f"Showing {len(shown)} of {len(board.axes)} axes." if len(shown) < len(board.axes) else ""
    plots = "".join(figure(figures.marginal(board, axis)) for axis in shown)
    tables = "".join(f"<h3>{escape(axis.name)}</h3>{_marginal_table(board, axis)}" for axis in shown)
    return paragraph(note, "quiet") + paragraph(cut, "note") + Markup(f'<div class="grid small">{plots}</div>{tables}')


def _marginal_table(board: Leaderboard, axis: Axis) -> Markup:
    found = marginals(board, axis)
    found = found.sort_values("best", key=lambda column: column.where(column >= 0, np.inf), kind="stable").head(40)
    others = [other for other in board.axes if other.name != axis.name]
    head = [
        axis.name,
        *(f"best {name}" for name in board.evaluations),
        "n",
        "with",
        f"mean {board.metric}",
        "mean gap",
        "diverged",
    ]
    rows = []
    for _, at in found.iterrows():
        best = int(at["best"])
        cells = [board.cell(best, name) if best >= 0 else "–" for name in board.evaluations]
        with_ = " · ".join(str(board.table.iloc[best][other.name]) for other in others) if best >= 0 else "–"
        means = [
            format_interval(at["mean"], np.nan, board.places(board.metric)),
            format_interval(at.get("gap", np.nan), np.nan, board.places(board.metric)),
        ]
        n = int(board.table.iloc[best][f"{board.metric} n"]) if best >= 0 else 0
        rows.append(
            [
                at["value"],
                *cells,
                n,
                with_ or "–",
                *means,
                f"{at['diverged']} of {at['runs']}" if at["diverged"] else "0",
            ]
        )
    first = len(board.evaluations)
    return table(head, rows, [*range(1, first + 2), first + 3, first + 4, first + 5], "wide")


def pairs(board: Leaderboard) -> Markup:
    """A heat map per pair of axes."""
    if len(board.axes) < 2 or not board.has_best:
        return Markup("")
    by_effect = sorted(board.axes, key=lambda axis: -_effect(board, axis))
    pairs = list(itertools.combinations(by_effect, 2))
    parts = []
    for pair in pairs[:PAIRS]:
        first, second = sorted(pair, key=lambda axis: len(axis.values))
        spec, cut = (
            heatmaps.heat_map(board, second, first)
            if len(first.values) <= 8
            else heatmaps.heat_map(board, first, second)
        )
        parts.append(figure(spec, cut, "pair"))
    note = (
        f"{words(board.metric).capitalize()}, mean over seeds; darker is better. A cell is the best combination over all other axes "
        "(chosen by the same metric), or the mean over them. Grey cells have no value and say why. "
        "Sampled axes are cut into bins of equally many values."
    )
    cut = f"Showing {PAIRS} of {len(pairs)} pairs: those of the axes that matter most." if len(pairs) > PAIRS else ""
    choose = (
        '<div class="tools"><label><input type="radio" name="cells" value="best" checked> best over the other axes</label>'
        '<label><input type="radio" name="cells" value="mean"> mean over the other axes</label></div>'
    )
    return (
        paragraph(note, "quiet") + paragraph(cut, "note") + Markup(f'{choose}<div class="grid">{"".join(parts)}</div>')
    )


def _effect(board: Leaderboard, axis: Axis) -> float:
    """The range over an axis of the best over the others."""
    rows = marginals(board, axis)["best"]
    values = [board.interval(int(row), board.metric).mean for row in rows if row >= 0]
    return max(values) - min(values) if values else 0.0


# ---- curves, gap, outcomes -----------------------------------------------------------------------------------------


def curves(board: Leaderboard, epochs: pd.DataFrame) -> Markup:
    """Learning curves of the best combinations, and of single runs."""
    if epochs.empty or not board.has_best:
        return paragraph("No curves were recorded.", "quiet") if board.has_best else Markup("")
    chosen = next(
        (
            name
            for name in (board.metric, "valid_accuracy", "valid_loss")
            if name in epochs and epochs[name].notna().any()
        ),
        None,
    )
    names = list(dict.fromkeys(name for name in (chosen, "batch_loss") if name and name in epochs))
    top = min(6, len(board.table))
    note = f"The {top} best combinations: median over seeds, and the band from the lowest to the highest seed. Batch loss is the mean training loss over an epoch's batches."
    plots = "".join(figure(learning_curves.curves(board, epochs, name, top)) for name in names)
    parts = [paragraph(note, "quiet"), Markup(f'<div class="two">{plots}</div>')]
    if names:
        spec, drawn, of = learning_curves.single_runs(board, epochs, names[0])
        caption = f"Single runs, blue for the best-ranked to sand for the last: showing {drawn} of {of}, evenly spaced by rank."
        parts.append(
            figure(spec, caption if drawn < of else "All runs, blue for the best-ranked to sand for the last.")
        )
    return together(*parts)


def gap(board: Leaderboard) -> Markup:
    """Training against held-out."""
    if not board.train or not board.has_best or "gap" not in board.table:
        return Markup("")
    axis = max(board.axes, key=lambda axis: _gap_effect(board, axis), default=None)
    axis = axis if axis and len(coarse_values(axis)) <= 12 else None
    spec, cut = figures.gap(board, axis)
    by = f", coloured by {axis.name}, the axis over which the mean gap moves most" if axis else ""
    note = f"The gap is {_gap_words(board)}; positive means that the net does better on what it was trained on. A point is a combination{by}; the dotted line is no gap."
    return paragraph(note, "quiet") + figure(spec, cut)


def _gap_effect(board: Leaderboard, axis: Axis) -> float:
    found = marginals(board, axis)["gap"].dropna()
    return float(found.max() - found.min()) if len(found) else 0.0


def outcomes(board: Leaderboard) -> Markup:
    """How the runs ended; which diverged, and when."""
    found = board.runs["status"].value_counts()
    counts = {
        name: int(found[name]) for name in [*STATUSES, *sorted(set(found.index) - set(STATUSES))] if found.get(name, 0)
    }
    parts = [figure(figures.statuses(counts))]
    for status in ("diverged", "failed"):
        runs = board.runs[board.runs["status"] == status].head(ROWS)
        if runs.empty:
            continue
        steps = ["diverged_step"] if status == "diverged" and "diverged_step" in runs else []
        head = [
            "run",
            *(axis.name for axis in board.axes),
            *(["seed"] if "seed" in runs else []),
            *(["first bad step"] if steps else []),
        ]
        cells = [
            [
                run["run_id"],
                *board.labels.loc[index],
                *([run["seed"]] if "seed" in runs else []),
                *(_whole(run[name]) for name in steps),
            ]
            for index, run in runs.iterrows()
        ]
        cut = f"Showing {len(runs)} of {counts[status]}." if len(runs) < counts[status] else ""
        inside = table(head, cells, [len(head) - 1] if steps else [])
        parts.append(
            Markup(
                f"<details{' open' if len(runs) <= 12 else ''}><summary>{counts[status]} {status}</summary>{paragraph(cut, 'note')}{inside}</details>"
            )
        )
    return together(*parts)


def _whole(value: Any) -> str:
    return "–" if pd.isna(value) else f"{int(value):,}"
