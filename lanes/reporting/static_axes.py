"""Figures for papers of the swept axes: main effects, slices of sampled axes, heat maps of pairs."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lanes.reporting.paper_tables import field_words, why_empty
from lanes.reporting.plotting import PALETTE
from lanes.reporting.static_style import (
    EMPTY,
    QUIET,
    SEQUENTIAL,
    StaticFigure,
    bars,
    field_label,
    finite,
    is_log,
    metric_label,
    set_columns,
    set_heading,
    set_metric,
    set_numbers,
    set_rows,
    short,
)
from lanes.results.axes import Axis, coarse_values
from lanes.results.importance import ANOVA, importance
from lanes.results.intervals import Interval, decimals
from lanes.results.leaderboard import Leaderboard, marginals
from lanes.results.pivots import grid_of
from lanes.results.slices import slice_of
from lanes.results.statistics import metric_words

PAIRS = 15  # heat maps
CELLS = 40  # most rows, and most columns of a heat map
NUMBERED = 8  # most columns of a heat map with numbers in its cells
SHARES = 15  # axes and pairs by importance
ROWS = 30  # most values of an axis in a figure


def main_effects(board: Leaderboard) -> list[StaticFigure]:
    """For each axis that is not sampled, the best combination and the median of all with each value."""
    out = []
    for axis in board.axes:
        if axis.sampled:
            continue
        rows = marginals(board, axis)
        kept = rows[rows["best"] >= 0]
        if len(kept):
            out.append(_main_effect(board, axis, kept.head(ROWS), len(kept)))
    return out


def _main_effect(board: Leaderboard, axis: Axis, rows: pd.DataFrame, of: int) -> StaticFigure:
    best = [board.interval(int(row), board.metric) for row in rows["best"]]
    others = [row for row in rows["combinations"] if row > 1]
    empty = [value for value in coarse_values(axis) if value not in set(rows["value"])] if len(rows) == of else []
    missing = f"no value at {', '.join(empty)}" if empty else ""
    cut = f" Shown are {len(rows)} of {of} values." if len(rows) < of else f" There is {missing}." if empty else ""
    message = f"{metric_words(board.metric).capitalize()} by {field_words(axis.name)}: "
    message += "the best combination with each value, with its 95% interval over seeds"
    message += f"{', and the median of all combinations with it (open)' if others else ''}.{cut}"
    numbers = _numbers(axis, list(rows["value"]))

    def draw(axes: Axes) -> None:
        values = [each.mean for each in best] + list(rows["median"])
        if missing:
            set_heading(axes, missing)
        if numbers is not None:
            if others:
                axes.plot(numbers, rows["median"], "o--", color=QUIET, fillstyle="none", linewidth=0.7)
            axes.errorbar(numbers, [e.mean for e in best], bars(best), fmt="o-", color=PALETTE[0], capsize=2)
            set_numbers(axes, numbers)
            set_metric(axes, "y", values, board.lower)
            axes.set(xlabel=field_label(axis.name), ylabel=metric_label(board, board.metric))
            return
        at = np.arange(len(rows))
        if others:
            axes.plot(rows["median"], at, "o", color=QUIET, fillstyle="none")
        axes.errorbar([e.mean for e in best], at, xerr=bars(best), fmt="o", color=PALETTE[0], capsize=2)
        set_rows(axes, list(rows["value"]))
        set_metric(axes, "x", values, board.lower)
        axes.set(xlabel=metric_label(board, board.metric), ylabel=field_label(axis.name))

    height = 2.1 if numbers is not None else 0.62 + 0.19 * max(len(rows), 3)
    return StaticFigure(f"main_effect_{axis.name}", message, height, draw)


def _numbers(axis: Axis, values: list[str]) -> list[float] | None:
    """The numbers behind values that a linear or a log axis tells apart; None for others, and for fewer than three."""
    if axis.numbers is None or len(values) < 3:
        return None
    numbers = [axis.numbers[axis.values.index(value)] for value in values]
    steps = np.diff(np.sort(np.log(numbers) if is_log(numbers) else numbers))
    return numbers if steps.min() * 20 > steps.sum() else None


def importances(board: Leaderboard) -> list[StaticFigure]:
    """The share of the metric's variance that each axis and each pair explains; nothing in one-at-a-time sweeps."""
    if len(board.axes) < 2 or board.design is not None:
        return []
    found = importance(board)
    shown = found.shares[:SHARES]
    if not shown:
        return []
    main = [each.share if np.isfinite(each.share.mean) else each.total for each in shown]
    names = [" × ".join(map(field_words, each.axes)) for each in shown]
    cut = f" Shown are {len(shown)} of {len(found.shares)}." if len(shown) < len(found.shares) else ""
    how = "an exact functional analysis of variance" if found.method == ANOVA else f"permutation of a {found.method}"
    message = f"Share of the variance of {metric_words(board.metric)} over all combinations, by {how}, with 95% intervals over "
    message += f"seeds.{' Grey: with all sets that the field is in.' if found.method == ANOVA else ''}{cut}"

    def draw(axes: Axes) -> None:
        at = np.arange(len(shown))
        if found.method == ANOVA:
            axes.barh(at, [each.total.mean for each in shown], height=0.8, color=EMPTY)
        means = np.array([each.mean for each in main])
        axes.barh(at, means, height=0.5, color=PALETTE[0])
        axes.errorbar(means, at, xerr=bars(main), fmt="none", ecolor=QUIET, capsize=2)
        set_rows(axes, names)
        axes.grid(axis="x")
        axes.set_xlabel("share of the variance")

    return [StaticFigure(f"importance_{board.metric}", message, 0.6 + 0.18 * max(len(shown), 3), draw)]


def slices(board: Leaderboard) -> list[StaticFigure]:
    """For each sampled axis, all combinations by its value."""
    return [_slice(board, axis) for axis in board.axes if axis.sampled]


def _slice(board: Leaderboard, axis: Axis) -> StaticFigure:
    found = slice_of(board, axis)
    valued = found[found["lost"] == ""]
    x, y = valued["x"].tolist(), valued["value"].tolist()
    lost = found.loc[found["lost"] != "", "x"].tolist()
    message = (
        f"{metric_words(board.metric).capitalize()} of all combinations by {field_words(axis.name)}, the best filled."
    )
    message += f" Ticks at the bottom: the {len(lost)} combinations without a value." if lost else ""

    def draw(axes: Axes) -> None:
        axes.plot(x[1:], y[1:], "o", color=PALETTE[0], fillstyle="none", markersize=3, markeredgewidth=0.7)
        axes.plot(x[:1], y[:1], "o", color=PALETTE[1], markersize=4.5)
        set_numbers(axes, [*x, *lost])
        set_metric(axes, "y", y, board.lower)
        if lost:
            axes.plot(lost, np.zeros(len(lost)), "|", color=QUIET, transform=axes.get_xaxis_transform(), clip_on=False)
        axes.set(xlabel=field_label(axis.name), ylabel=metric_label(board, board.metric))

    return StaticFigure(f"slice_{axis.name}", message, 2.1, draw)


# ---- pairs ---------------------------------------------------------------------------------------------------------


def heat_maps(board: Leaderboard) -> list[StaticFigure]:
    """A heat map for each pair of axes, those with the largest effects first, at most `PAIRS`.

    Pairs that were only varied one at a time are left out: their main effects say the same.
    """
    ordered = sorted(board.axes, key=lambda axis: -_effect(board, axis))
    out: list[StaticFigure] = []
    for pair in itertools.combinations(ordered, 2):
        columns, rows = sorted(pair, key=_roominess)
        best, _ = grid_of(board, rows, columns)
        if int(best.notna().sum().sum()) >= sum(best.shape) and len(out) < PAIRS:
            out.append(_heat_map(board, rows, columns, best))
    return out


def _roominess(axis: Axis) -> tuple[bool, int]:
    """What makes an axis better as rows: long labels, then many values."""
    values = coarse_values(axis)
    return max(map(len, values)) > 14, len(values)


def _effect(board: Leaderboard, axis: Axis) -> float:
    values = [board.interval(int(row), board.metric).mean for row in marginals(board, axis)["best"] if row >= 0]
    return max(values) - min(values) if values else 0.0


def _heat_map(board: Leaderboard, first: Axis, second: Axis, best: pd.DataFrame) -> StaticFigure:
    best = best.iloc[:CELLS, :CELLS]
    means = board.table[board.metric].to_numpy(dtype=float)
    values = best.map(lambda row: means[int(row)] if row >= 0 else np.nan).to_numpy(dtype=float)
    others = [field_words(axis.name) for axis in board.axes if axis.name not in (first.name, second.name)]
    message = f"{metric_words(board.metric).capitalize()} by {field_words(first.name)} and {field_words(second.name)}"
    message += f", of the best combination over {', '.join(others)}" if others else ""
    message += "; darker is better, grey cells were not run."
    shape = (len(coarse_values(first)), len(coarse_values(second)))
    cut = f" Shown are {best.shape[0]} of {shape[0]} rows and {best.shape[1]} of {shape[1]} columns."
    numbered = best.shape[1] <= NUMBERED
    digits = min(decimals(board.table[f"{board.metric} half"], means), 3)

    def draw(axes: Axes) -> None:
        low, high = _color_range(values, board.lower)
        map_ = SEQUENTIAL.reversed() if board.lower else SEQUENTIAL
        axes.set_facecolor(EMPTY)
        mesh = axes.pcolormesh(values, cmap=map_, vmin=low, vmax=high, edgecolors="white", linewidth=1)
        for row, column in np.ndindex(values.shape):
            text = _cell_text(board, first, second, best, values, (row, column), digits)
            if numbered and text:
                known = np.isfinite(values[row, column])
                size = 7 if best.shape[1] <= 5 else 5.5
                style: dict[str, Any] = {"fontsize": size if known else size - 1, "color": "black" if known else QUIET}
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", **style)
        set_columns(axes, list(best.columns), list(best.index), 0.5)
        set_rows(axes, list(best.index), 0.5)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel=field_label(second.name), ylabel=field_label(first.name))
        if not numbered and np.isfinite(values).any():
            bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02, aspect=30)
            bar.set_label(metric_label(board, board.metric))
            bar.outline.set_visible(False)
        else:
            axes.set_title(metric_label(board, board.metric), loc="left", color=QUIET)

    height = min(0.95 + 0.21 * best.shape[0], 5.0)
    return StaticFigure(
        f"pair_{first.name}_by_{second.name}", message + (cut if best.shape != shape else ""), height, draw
    )


def _cell_text(
    board: Leaderboard,
    first: Axis,
    second: Axis,
    best: pd.DataFrame,
    values: np.ndarray,
    at: tuple[int, int],
    digits: int,
) -> str:
    value = values[at]
    if np.isfinite(value):
        return Interval(value, np.nan, 1).text(digits)
    if best.iat[at] == -1:
        return short(
            why_empty(board, first, second, {first.name: best.index[at[0]], second.name: best.columns[at[1]]}), 12
        )
    return ""


def _color_range(values: np.ndarray, lower: bool) -> tuple[float, float]:
    """From the best to the worst value, at most four times the distance from the best to the median.

    Otherwise one setting that learns nothing would give all others the same colour.
    """
    known = finite(values.ravel())
    if not known.size:
        return 0.0, 1.0
    best, worst = (known.min(), known.max()) if lower else (known.max(), known.min())
    reach = 4 * abs(float(np.median(known)) - best)
    if reach > 0:
        worst = min(worst, best + reach) if lower else max(worst, best - reach)
    low, high = sorted((float(best), float(worst)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
