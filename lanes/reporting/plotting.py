"""Shared parts of the report's figures: colours, layout, labels and hover texts.

Figures are plain plotly specifications, dictionaries with `data` and `layout`. Labels come from users, and plotly
interprets some HTML in text, so every label goes through `safe`.
"""

import html
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from lanes.results.intervals import Interval
from lanes.results.leaderboard import Leaderboard

Figure = dict[str, Any]

COLORS = ("#1f5fa8", "#d1662f", "#3a8a5c", "#8a5fb0", "#b8963e", "#5f6b78", "#c0487a", "#3c9db5")
BLUES = [[0.0, "#f6f9fc"], [0.5, "#c3daee"], [1.0, "#6ea6d8"]]  # light enough for dark numbers in every cell
INK, QUIET, LINE, EDGE = "#1c1f24", "#69717c", "#e4e7eb", "#c4c9d0"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
LOG_RATIO = 30  # positive values with a larger ratio are drawn on a log axis


def layout(height: int, x: str = "", y: str = "", **more: Any) -> dict[str, Any]:
    """A plain layout with titled axes; plotly's buttons appear in the top margin."""
    axis = {"gridcolor": LINE, "zeroline": False, "linecolor": EDGE, "ticks": "outside", "tickcolor": EDGE}
    title = {"font": {"size": 12, "color": QUIET}, "standoff": 10}
    return {
        "height": height,
        "margin": {"l": 60, "r": 16, "t": 30, "b": 44},
        "font": {"family": FONT, "size": 12, "color": INK},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": EDGE, "font": {"size": 12, "color": INK}, "align": "left"},
        "xaxis": axis | {"automargin": True, "title": title | {"text": x}},
        "yaxis": axis | {"automargin": True, "title": title | {"text": y}},
        "showlegend": False,
    } | more


def points(x: Iterable[Any], y: Iterable[Any], texts: Iterable[str], **marker: Any) -> Figure:
    """A trace of markers with hover texts."""
    trace = {"type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "text": list(texts)}
    return trace | {"marker": {"size": 7, "color": COLORS[0]} | marker, "hovertemplate": "%{text}<extra></extra>"}


def line(x: Iterable[Any], y: Iterable[Any], **style: Any) -> Figure:
    """A trace of one line."""
    return {"type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "line": style}


def error_bars(intervals: Iterable[Interval]) -> dict[str, Any]:
    """Error bars of points, to the ends of their intervals; none where there is no interval."""
    known = [(each.high - each.mean, each.mean - each.low) if each.is_known else (0.0, 0.0) for each in intervals]
    bars = {"type": "data", "array": [up for up, _ in known], "color": COLORS[0], "thickness": 1.5, "width": 4}
    return bars | {"symmetric": False, "arrayminus": [down for _, down in known]}


def categories(values: Iterable[str]) -> dict[str, Any]:
    """An axis of labels in this order, whatever the order of the data."""
    return {"type": "category", "categoryorder": "array", "categoryarray": [safe(value) for value in values]}


def positions(values: Iterable[str]) -> dict[str, Any]:
    """An axis with these labels at 0, 1, 2, …: plotly takes a category that reads as a number for a place on the axis."""
    labels = [safe(value) for value in values]
    ends = [-0.5, len(labels) - 0.5]
    return {"type": "linear", "tickvals": list(range(len(labels))), "ticktext": labels, "range": ends}


def log_axis(values: Iterable[float]) -> dict[str, Any]:
    """A log axis with ticks at 1, 2 and 5, or at powers of ten over more than three decades, labelled in full."""
    array = _finite(values)
    array = array[array > 0]
    if not array.size:
        return {}
    low, high = math.floor(math.log10(array.min())), math.ceil(math.log10(array.max()))
    steps = (1, 2, 5) if high - low <= 3 else (1,)
    ticks = [step * 10.0**power for power in range(low, high + 1) for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def spans(values: Iterable[float]) -> bool:
    """Whether values are positive with a ratio above `LOG_RATIO`, so that a linear axis would crush them."""
    array = _finite(values)
    return bool(array.size and array.min() > 0 and array.max() / array.min() > LOG_RATIO)


def _finite(values: Iterable[float]) -> np.ndarray:
    array = np.asarray(list(values), dtype=float)
    return array[np.isfinite(array)]


def safe(text: object) -> str:
    """A label escaped for plotly, which interprets HTML."""
    return html.escape(str(text), quote=False)


def words(metric: str) -> str:
    """`valid_accuracy` → `validation accuracy`."""
    return safe(metric.replace("valid_", "validation_").replace("_", " "))


def hover(board: Leaderboard, row: int) -> str:
    """The hover text of a combination."""
    if row < 0:
        return "no value"
    at = board.table.iloc[row]
    lines = [f"{safe(axis.name)} = {safe(at[axis.name])}" for axis in board.axes]
    lines += [f"{words(metric)} {board.cell(row, metric)}" for metric in board.shown]
    counts = f"n = {at[f'{board.metric} n']}, diverged {at['diverged']}"
    early = f", pruned {at['pruned']}: {board.early(row)}" if at["pruned"] else ""
    return "<br>".join([f"<b>rank {row + 1}</b>", *lines, counts + early])
