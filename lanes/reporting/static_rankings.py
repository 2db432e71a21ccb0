"""Figures for papers of the ranking: the leaderboard with intervals, differences to the best, between directories, outcomes."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lanes.reporting.comparison import Comparison
from lanes.reporting.paper_tables import bold_rows, field_words
from lanes.reporting.plotting import PALETTE
from lanes.reporting.static_style import (
    QUIET,
    StaticFigure,
    bars,
    metric_label,
    set_heading,
    set_metric,
    set_rows,
    short,
)
from lanes.results.axes import Axis
from lanes.results.baseline import against_baseline
from lanes.results.intervals import Interval
from lanes.results.leaderboard import STATUSES, Leaderboard, compared_with_best
from lanes.results.naming import change
from lanes.results.statistics import metric_words

TOP = 15  # combinations
DIFFERENCES = 30  # rows of differences between directories
# Colour and hatching of how runs ended.
ENDED = {
    "done": (PALETTE[0], ""),
    "stopped_early": (PALETTE[5], ""),
    "pruned": (PALETTE[4], "////"),
    "diverged": (PALETTE[1], "\\\\\\\\"),
    "failed": (PALETTE[3], "xxxx"),
    "pending": ("#d4d8de", ""),
}


def names_of(board: Leaderboard, rows: Iterable[int]) -> tuple[str, list[str]]:
    """What tells combinations apart: the names of the axes that vary among these rows, and their values in each.

    In a one-at-a-time sweep, no names and the one change of each.
    """
    rows = list(rows)
    if board.design is not None:
        return "", [field_words(change(board, board.design, row)) for row in rows]
    part = board.table.iloc[rows]
    axes = [axis for axis in board.axes if part[axis.name].nunique() > 1]
    heading = " · ".join(field_words(axis.name) for axis in axes)
    names = [" · ".join(_value(axis, str(at[axis.name])) for axis in axes) or "all runs" for _, at in part.iterrows()]
    return heading, names


def _value(axis: Axis, label: str) -> str:
    """A label; three digits of a number of a sampled axis."""
    if axis.sampled and axis.numbers is not None:
        return f"{axis.numbers[axis.values.index(label)]:.3g}"
    return short(label)


def constant_words(board: Leaderboard, rows: Iterable[int]) -> str:
    """What these combinations share of the axes: ` All have l2 0.`; empty if nothing."""
    if board.design is not None:
        return " Each differs from the base in one field."
    part = board.table.iloc[list(rows)]
    shared = [
        f"{field_words(axis.name)} {part[axis.name].iloc[0]}" for axis in board.axes if part[axis.name].nunique() == 1
    ]
    return f" All have {', '.join(shared)}." if shared and len(part) > 1 else ""


def leaderboard_intervals(board: Leaderboard) -> list[StaticFigure]:
    """The best combinations with their intervals."""
    if not board.has_best or len(board.table) < 2:
        return []
    rows = range(min(TOP, int(board.table[board.metric].notna().sum())))
    found = [board.interval(row, board.metric) for row in rows]
    bold = bold_rows(board)
    heading, names = names_of(board, rows)
    cut = (
        f"The {len(rows)} best of {len(board.table)} combinations"
        if len(rows) < len(board.table)
        else "All combinations"
    )
    message = f"{cut} by {metric_words(board.metric)}: mean and 95% interval over seeds. Filled: the best and all that cannot be "
    message += f"told apart from it, corrected for all pairs.{constant_words(board, rows)}"

    def draw(axes: Axes) -> None:
        for tied in (False, True):
            at = [row for row in rows if (row in bold) == tied]
            part = [found[row] for row in at]
            if at:
                fill: dict[str, Any] = {"color": PALETTE[0], "markerfacecolor": PALETTE[0] if tied else "white"}
                axes.errorbar([each.mean for each in part], at, xerr=bars(part), fmt="o", capsize=2, **fill)
        set_rows(axes, names)
        set_metric(axes, "x", [each.mean for each in found], board.lower)
        axes.set_xlabel(metric_label(board, board.metric))
        set_heading(axes, heading)

    return [StaticFigure(f"leaderboard_{board.metric}", message, 0.7 + 0.17 * len(rows), draw)]


def differences_to_best(board: Leaderboard) -> list[StaticFigure]:
    """The best minus each other combination, with what is needed to tell them apart."""
    if not board.has_best or len(board.table) < 2:
        return []
    found = compared_with_best(board)
    at = [int(row) for row in np.flatnonzero(found.compared)][:TOP]
    known = [row for row in at if np.isfinite(found.least[row])]
    if not known:
        return []
    of = int(found.compared.sum())
    heading, names = names_of(board, [0, *(row + 1 for row in known)])
    cut = f"the {len(known)} next of {of}" if len(known) < of else f"all {of}"
    message = f"{metric_words(board.metric).capitalize()} of the best combination minus that of {cut} others, paired by seed; "
    message += "bars that cross zero cannot be told apart from the best (5%, corrected for all pairs of combinations)."

    def draw(axes: Axes) -> None:
        difference, least = found.difference[known], found.least[known]
        for apart in (False, True):
            rows = np.flatnonzero(found.told_apart[known] == apart)
            if rows.size:
                fill: dict[str, Any] = {
                    "color": PALETTE[1] if apart else PALETTE[0],
                    "markerfacecolor": "white" if apart else PALETTE[0],
                }
                axes.errorbar(difference[rows], rows, xerr=least[rows], fmt="o", capsize=2, **fill)
        _set_around_zero(axes, names[1:], f"best − other: {metric_label(board, board.metric)}", heading)

    return [StaticFigure(f"differences_to_best_{board.metric}", message, 0.7 + 0.17 * len(known), draw)]


def _set_around_zero(axes: Axes, names: Sequence[str], label: str, heading: str) -> None:
    """A row for each name, a line at zero, and a label below."""
    axes.axvline(0, color=QUIET, linewidth=0.6, linestyle=":")
    set_rows(axes, names)
    axes.grid(axis="x")
    axes.set_xlabel(label, loc="right")
    set_heading(axes, heading)


def differences_to_baseline(board: Leaderboard, row: int) -> list[StaticFigure]:
    """The difference of each combination from a baseline, with simultaneous intervals."""
    found = against_baseline(board, row, board.metric)
    known = sorted(at for at, each in found.differences.items() if each.is_known)
    if not known:
        return []
    shown = known[:TOP]
    heading, names = names_of(board, [row, *shown])
    cut = f"the {len(shown)} best of {len(known)}" if len(shown) < len(known) else f"all {len(known)}"
    message = f"{metric_words(board.metric).capitalize()} of {cut} other combinations minus that of the baseline ({names[0]}), "
    message += "paired by seed, with simultaneous 95% intervals; filled: told apart from the baseline."

    def draw(axes: Axes) -> None:
        for told in (False, True):
            at = [index for index, other in enumerate(shown) if (other in found.told_apart) == told]
            part = [found.differences[shown[index]] for index in at]
            if at:
                fill: dict[str, Any] = {"color": PALETTE[0], "markerfacecolor": PALETTE[0] if told else "white"}
                axes.errorbar([each.mean for each in part], at, xerr=bars(part), fmt="o", capsize=2, **fill)
        _set_around_zero(axes, names[1:], f"other − baseline: {metric_label(board, board.metric)}", heading)

    return [StaticFigure(f"differences_to_baseline_{board.metric}", message, 0.7 + 0.17 * len(shown), draw)]


def comparison_figures(found: Comparison, board: Leaderboard) -> list[StaticFigure]:
    """The paired differences of the combinations of two directories; nothing for a single combination."""
    metric = board.metric
    table = found.combinations[found.combinations[metric].notna()].sort_values(metric, ascending=board.lower)
    if len(table) < 2:
        return []
    of = len(table)
    table = table if of <= DIFFERENCES else table.iloc[[*range(DIFFERENCES // 2), *range(-DIFFERENCES // 2, 0)]]
    columns = (table[metric], table[f"{metric} half"], table[f"{metric} n"])
    each = [Interval(float(mean), float(half), int(n)) for mean, half, n in zip(*columns, strict=True)]
    names = [" · ".join(str(at[field]) for field in found.fields) for _, at in table.iterrows()]
    cut = f" Shown are the {DIFFERENCES // 2} highest and lowest of {of}." if len(table) < of else ""
    message = f"{metric_words(metric).capitalize()}, {found.second} − {found.first}, of each combination: mean and 95% interval "
    message += f"over pairs of one seed.{cut}"

    def draw(axes: Axes) -> None:
        at = np.arange(len(each))
        axes.errorbar([one.mean for one in each], at, xerr=bars(each), fmt="o", color=PALETTE[0], capsize=2)
        label = f"{short(found.second, 16)} − {short(found.first, 16)}: {metric_label(board, metric)}"
        _set_around_zero(axes, names, label, " · ".join(map(field_words, found.fields)))

    return [StaticFigure(f"difference_{found.second}_minus_{found.first}", message, 0.7 + 0.17 * len(each), draw)]


def outcomes(board: Leaderboard) -> list[StaticFigure]:
    """How the runs ended, where they did not all end alike."""
    counts = board.runs["status"].value_counts()
    found = {name: int(counts[name]) for name in STATUSES if counts.get(name, 0)}
    if len(found) < 2:
        return []

    def draw(axes: Axes) -> None:
        at = np.arange(len(found))
        for row, (name, count) in enumerate(found.items()):
            color, hatch = ENDED[name]
            axes.barh(row, count, color=color, hatch=hatch, edgecolor="white", height=0.7)
        axes.bar_label(
            axes.barh(at, list(found.values()), alpha=0),
            labels=[f"{n:,}" for n in found.values()],
            padding=2,
            fontsize=7,
        )
        set_rows(axes, [name.replace("_", " ") for name in found])
        axes.set_xlim(0, max(found.values()) * 1.12)
        axes.set_xlabel("runs")

    message = f"How {sum(found.values()):,} runs ended."
    return [StaticFigure("outcomes", message, 0.6 + 0.19 * len(found), draw)]
