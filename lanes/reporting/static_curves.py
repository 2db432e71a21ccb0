"""Figures for papers of learning curves and of the generalization gap."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lanes.reporting.paper_tables import field_words
from lanes.reporting.plotting import PALETTE
from lanes.reporting.static_rankings import names_of
from lanes.reporting.static_style import (
    DASHES,
    QUIET,
    StaticFigure,
    field_label,
    metric_label,
    set_columns,
    set_metric,
    set_rows,
    short,
)
from lanes.results.axes import Axis, coarse, coarse_values
from lanes.results.curve_bands import bands, keys_of, run_curves
from lanes.results.leaderboard import Leaderboard, marginals
from lanes.results.statistics import direction, metric_words

TOP = 5  # combinations with learning curves
CURVES = 60  # runs in a figure of single runs
GROUPS = 6  # values that colours and markers tell apart
MARKERS = ("o", "s", "^", "D", "v", "P")
POINTS = 2000  # combinations in a scatter
CURVE_RATIO = 10  # curves of losses with a larger ratio are drawn on a log axis


def learning_curves(board: Leaderboard, curves: pd.DataFrame) -> list[StaticFigure]:
    """The best combinations by epoch, for the ranking metric and the batch loss; single runs for the first of them."""
    if not board.has_best:
        return []
    names = [name for name in (board.metric, "valid_accuracy", "valid_loss") if _recorded(curves, name)][:1]
    names += ["batch_loss"] if _recorded(curves, "batch_loss") else []
    found = [_learning_curves(board, curves, name) for name in dict.fromkeys(names)]
    return found + [_single_runs(board, curves, name) for name in names[:1]]


def _recorded(curves: pd.DataFrame, name: str) -> bool:
    return name in curves and bool(curves[name].notna().any())


def _learning_curves(board: Leaderboard, curves: pd.DataFrame, metric: str) -> StaticFigure:
    top = min(TOP, len(board.table))
    found = bands(board, curves, metric, range(top))
    which = f"the {top} best combinations" if len(board.table) > top else "all combinations"
    message = (
        f"{metric_words(metric).capitalize()} by epoch of {which}: the median over seeds, in a band from the lowest "
    )
    message += "to the highest seed."
    heading, names = names_of(board, range(top))

    def draw(axes: Axes) -> None:
        for row in range(top):
            part = found[found["row"] == row]
            style: dict[str, Any] = {"color": PALETTE[row], "linestyle": DASHES[row], "label": short(names[row], 44)}
            axes.plot(part["epoch"], part["median"], marker="o" if part["alone"].any() else "", **style)
            axes.fill_between(part["epoch"], part["low"], part["high"], color=PALETTE[row], alpha=0.15, linewidth=0)
        set_metric(
            axes,
            "y",
            found[["low", "median", "high"]].to_numpy().ravel(),
            direction(board.runs, metric) is False,
            CURVE_RATIO,
        )
        _epochs(axes)
        axes.set_ylabel(metric_label(board, metric))
        if len(board.table) > 1:
            axes.figure.legend(
                loc="outside lower left",
                title=short(heading, 48) if heading else None,
                alignment="left",
                title_fontsize=7,
            )

    return StaticFigure(f"learning_curves_{metric}", message, 2.1 + 0.14 * (top + 1), draw)


def _single_runs(board: Leaderboard, curves: pd.DataFrame, metric: str) -> StaticFigure:
    keys = keys_of(curves)
    runs = board.runs.sort_values("combination", kind="stable").merge(curves[keys].drop_duplicates(), on=keys)
    spaced = np.unique(np.linspace(0, max(len(runs) - 1, 0), min(CURVES, len(runs))).astype(int))
    picked = runs.iloc[spaced]
    by_run = run_curves(picked, curves, metric)
    last = max(len(board.table) - 1, 1)
    which = f"{len(picked)} of {len(runs):,} runs, evenly spaced by rank" if len(picked) < len(runs) else "all runs"
    message = f"{metric_words(metric).capitalize()} by epoch of {which}: from blue for the best combination to orange for the "
    message += "last."

    def draw(axes: Axes) -> None:
        values: list[float] = []
        for _, run in picked.iloc[::-1].iterrows():  # the best on top
            part = by_run.get(tuple(str(run[key]) for key in keys))
            if part is None:
                continue
            values += list(part["value"])
            at = float(run["combination"]) / last
            color = [(1 - at) * a + at * b for a, b in zip((0, 0.447, 0.698), (0.902, 0.624, 0.0))]
            axes.plot(
                part["epoch"],
                part["value"],
                color=color,
                linewidth=0.6,
                alpha=0.8,
                marker="o" if len(part) == 1 else "",
            )
        set_metric(axes, "y", values, direction(board.runs, metric) is False, CURVE_RATIO)
        _epochs(axes)
        axes.set_ylabel(metric_label(board, metric))

    return StaticFigure(f"single_runs_{metric}", message, 2.1, draw)


def _epochs(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epoch")


# ---- the gap -------------------------------------------------------------------------------------------------------


def gaps(board: Leaderboard) -> list[StaticFigure]:
    """The gap between training and held-out data: against the training metric, and by each axis."""
    if not board.train or "gap" not in board.table or not board.table["gap"].notna().any():
        return []
    table = board.table[board.table["gap"].notna()]
    table = table.iloc[np.unique(np.linspace(0, len(table) - 1, min(POINTS, len(table))).astype(int))]
    return [_gap(board, table), *(_gap_by(board, table, axis) for axis in board.axes)]


def gap_words(board: Leaderboard) -> str:
    """`train accuracy − test accuracy`: what the gap is."""
    train, held = metric_words(board.train or ""), metric_words(board.test or board.metric)
    return f"{held} − {train}" if board.lower else f"{train} − {held}"


def _gap(board: Leaderboard, table: pd.DataFrame) -> StaticFigure:
    few = [axis for axis in board.axes if len(coarse_values(axis)) <= GROUPS]
    axis = max(few, key=lambda each: _spread(board, each), default=None)
    message = (
        f"Generalization gap ({gap_words(board)}) against {metric_words(board.train or '')}, a point per combination"
    )
    message += f", by {field_words(axis.name)}." if axis else "."

    def draw(axes: Axes) -> None:
        groups = table[axis.name].map(coarse(axis)) if axis else pd.Series("", index=table.index)
        for at, value in enumerate(coarse_values(axis) if axis else [""]):
            part = table[groups == value]
            style: dict[str, Any] = {
                "color": PALETTE[at],
                "marker": MARKERS[at],
                "linestyle": "",
                "alpha": 0.8,
                "markersize": 3,
            }
            axes.plot(part[board.train], part["gap"], label=short(value, 24), **style)
        axes.axhline(0, color=QUIET, linewidth=0.6, linestyle=":")
        set_metric(axes, "x", table[board.train], board.lower)
        axes.grid(axis="y")
        axes.set(xlabel=metric_label(board, str(board.train)), ylabel="generalization gap")
        if axis:
            columns = 2 if len(coarse_values(axis)) > 1 else 1
            axes.figure.legend(
                loc="outside lower left",
                title=field_label(axis.name),
                ncols=columns,
                alignment="left",
                title_fontsize=7,
            )

    rows = -(-len(coarse_values(axis)) // 2) + 1 if axis else 0
    return StaticFigure(f"gap_by_{board.train}", message, 2.1 + 0.14 * rows, draw)


def _spread(board: Leaderboard, axis: Axis) -> float:
    found = marginals(board, axis)["gap"].dropna()
    return float(found.max() - found.min()) if len(found) else 0.0


def _gap_by(board: Leaderboard, table: pd.DataFrame, axis: Axis) -> StaticFigure:
    found = marginals(board, axis)
    message = f"Generalization gap ({gap_words(board)}) by {field_words(axis.name)}: all combinations, and the median of each "
    message += "value."

    values = coarse_values(axis)
    place = {value: at for at, value in enumerate(values)}
    at = table[axis.name].map(coarse(axis)).map(place).to_numpy()
    upright = max(map(len, values)) * len(values) <= 30

    def draw(axes: Axes) -> None:
        middle, ticks = (at, table["gap"]), (range(len(values)), found["gap"])
        if not upright:
            middle, ticks = middle[::-1], ticks[::-1]
        axes.plot(*middle, "o", color=PALETTE[5], markersize=2.5, alpha=0.6, markeredgewidth=0)
        axes.plot(*ticks, "_" if upright else "|", color=PALETTE[1], markersize=11, markeredgewidth=1.6)
        (axes.axhline if upright else axes.axvline)(0, color=QUIET, linewidth=0.6, linestyle=":")
        axes.grid(axis="y" if upright else "x")
        if upright:
            set_columns(axes, values)
            axes.set(xlabel=field_label(axis.name), ylabel="generalization gap")
        else:
            set_rows(axes, values)
            axes.set(ylabel=field_label(axis.name), xlabel="generalization gap")

    return StaticFigure(f"gap_by_{axis.name}", message, 2.0 if upright else 0.62 + 0.19 * len(values), draw)
