"""Figures of the report page other than heat maps and curves: axes, generalization gap, outcomes, paired differences."""

import math
from typing import Any

import numpy as np
import pandas as pd

from lanes.axes import Axis, coarse, coarse_values
from lanes.leaderboard import Leaderboard, marginals
from lanes.plotting import COLORS, QUIET, Figure, hover, layout, safe, wide, words
from lanes.statistics import format_interval

POINTS = 2000  # combinations in a scatter

# ---- axes ----------------------------------------------------------------------------------------------------------


def marginal(board: Leaderboard, axis: Axis) -> Figure:
    """One axis: for each value, the best combination with it (filled, with its interval) and the mean over all (open)."""
    if axis.sampled:
        return _sampled_marginal(board, axis)
    rows = marginals(board, axis)
    kept = rows[rows["best"] >= 0]
    best = [board.interval(int(row), board.metric) for row in kept["best"]]
    names = [safe(value) for value in kept["value"]]
    half = [cell.half if math.isfinite(cell.half) else 0.0 for cell in best]
    mean = {
        "type": "scatter",
        "mode": "markers",
        "x": names,
        "y": kept["mean"].tolist(),
        "name": "mean over the others",
    }
    mean |= {
        "marker": {"symbol": "circle-open", "size": 8, "color": QUIET},
        "hovertemplate": "mean over all combinations: %{y:.4g}<extra></extra>",
    }
    point = {
        "type": "scatter",
        "mode": "markers",
        "x": names,
        "y": [cell.mean for cell in best],
        "name": "best over the others",
    }
    point |= {
        "error_y": {"type": "data", "array": half, "color": COLORS[0], "thickness": 1.5, "width": 4},
        "marker": {"size": 8, "color": COLORS[0]},
    }
    point |= {"text": [hover(board, int(row)) for row in kept["best"]], "hovertemplate": "%{text}<extra></extra>"}
    frame = layout(250, safe(axis.name), words(board.metric))
    frame["xaxis"] |= {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [safe(v) for v in rows["value"]],
    }
    if wide(board, [*(cell.mean for cell in best), *kept["mean"]]):
        frame["yaxis"] |= {"type": "log"}
    return {"data": [mean, point], "layout": frame}


def _sampled_marginal(board: Leaderboard, axis: Axis) -> Figure:
    numbers = dict(zip(axis.values, axis.numbers or (), strict=True))
    table = board.table[board.table[board.metric].notna()].iloc[:POINTS]
    x = [numbers[value] for value in table[axis.name]]
    trace = {"type": "scatter", "mode": "markers", "x": x, "y": table[board.metric].tolist()}
    trace |= {
        "marker": {"size": 6, "color": COLORS[0], "opacity": 0.55},
        "text": [hover(board, int(row)) for row in table.index],
    }
    trace["hovertemplate"] = "%{text}<extra></extra>"
    frame = layout(250, safe(axis.name), words(board.metric))
    if x and min(x) > 0 and max(x) / min(x) > 30:
        frame["xaxis"] |= {"type": "log"}
    if wide(board, table[board.metric]):
        frame["yaxis"] |= {"type": "log"}
    return {"data": [trace], "layout": frame}


# ---- generalization ------------------------------------------------------------------------------------------------


def gap(board: Leaderboard, axis: Axis | None) -> tuple[Figure, str]:
    """Training against test (or validation) metric, a point per combination, coloured by an axis; and a note on cuts."""
    held = board.test or board.metric
    table = (
        board.table[board.table[held].notna() & board.table[board.train].notna()]
        if board.train
        else board.table.iloc[:0]
    )
    shown = (
        table.iloc[np.unique(np.linspace(0, len(table) - 1, min(POINTS, len(table))).astype(int))]
        if len(table)
        else table
    )
    bins = shown[axis.name].map(coarse(axis)) if axis else pd.Series("", index=shown.index)
    data: list[dict[str, Any]] = []
    for index, value in enumerate(coarse_values(axis) if axis else [""]):
        part = shown[bins == value]
        trace = {
            "type": "scatter",
            "mode": "markers",
            "x": part[board.train].tolist(),
            "y": part[held].tolist(),
            "name": safe(value),
        }
        trace |= {
            "marker": {"size": 7, "opacity": 0.7, "color": COLORS[index % len(COLORS)]},
            "text": [hover(board, int(row)) for row in part.index],
        }
        data.append(trace | {"hovertemplate": "%{text}<extra></extra>"})
    if len(shown):
        ends = [float(shown[[board.train, held]].min().min()), float(shown[[board.train, held]].max().max())]
        line = {
            "type": "scatter",
            "mode": "lines",
            "x": ends,
            "y": ends,
            "line": {"color": "#a7adb6", "width": 1, "dash": "dot"},
        }
        data.insert(0, line | {"hoverinfo": "skip", "showlegend": False})
    frame = layout(380, words(board.train or ""), words(held), showlegend=axis is not None)
    frame["legend"] = {"title": {"text": safe(axis.name) if axis else ""}, "font": {"size": 11}}
    if wide(board, shown[held]):
        frame["xaxis"] |= {"type": "log"}
        frame["yaxis"] |= {"type": "log"}
    return {"data": data, "layout": frame}, f"showing {len(shown)} of {len(table)} combinations" if len(shown) < len(
        table
    ) else ""


# ---- outcomes and comparison ---------------------------------------------------------------------------------------


def statuses(counts: dict[str, int]) -> Figure:
    """One stacked bar of how the runs ended."""
    colors = {
        "done": "#3a8a5c",
        "stopped_early": "#86b89a",
        "pruned": "#b8963e",
        "diverged": "#d1662f",
        "failed": "#a8323e",
        "pending": "#d4d8de",
    }
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": [""],
            "x": [n],
            "name": f"{name.replace('_', ' ')} {n}",
            "marker": {"color": colors.get(name, QUIET)},
        }
        | {"hovertemplate": f"{name}: {n}<extra></extra>"}
        for name, n in counts.items()
        if n
    ]
    frame = layout(110, "", "", barmode="stack", showlegend=True, margin={"l": 10, "r": 10, "t": 4, "b": 30})
    frame["legend"] = {"orientation": "h", "y": 1.2, "x": 0, "traceorder": "normal"}
    frame["yaxis"] |= {"visible": False}
    return {"data": data, "layout": frame}


def differences(table: pd.DataFrame, metric: str, names: list[str]) -> Figure:
    """Paired differences of combinations, a row each, with their intervals; zero is the dotted line."""
    half = [value if math.isfinite(value) else 0.0 for value in table[f"{metric} half"]]
    texts = [
        f"{safe(name)}<br>{format_interval(m, h, 4)}"
        for name, m, h in zip(names, table[metric], table[f"{metric} half"], strict=True)
    ]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": table[metric].tolist(),
        "y": [safe(name) for name in names],
        "text": texts,
    }
    trace |= {
        "error_x": {"type": "data", "array": half, "thickness": 1.2, "width": 3, "color": COLORS[0]},
        "marker": {"size": 6, "color": COLORS[0]},
    }
    frame = layout(90 + 20 * len(names), f"difference in {words(metric)}", "")
    frame["yaxis"] |= {"type": "category", "autorange": "reversed", "tickfont": {"size": 11}}
    frame["shapes"] = [
        {
            "type": "line",
            "x0": 0,
            "x1": 0,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": QUIET, "dash": "dot", "width": 1},
        }
    ]
    return {"data": [trace | {"hovertemplate": "%{text}<extra></extra>"}], "layout": frame}
