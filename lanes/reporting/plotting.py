"""Figures that the page's script draws, and their shared parts: colours, layout, labels and hover texts.

A figure is a dictionary with `data` and `layout`, in a subset of Plotly's figure specification: `scatter` of markers or
lines with error bars, and `bar`. Axes are linear, `log` or `category`; `shapes` are straight lines. Texts are plain: the
script puts them into the page as text, whatever characters they hold, with a line for each `\n`.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from lanes.errors import printable
from lanes.results.intervals import Interval
from lanes.results.leaderboard import Leaderboard
from lanes.results.statistics import metric_words

Figure = dict[str, Any]

# Okabe and Ito, Color universal design, 2008, without its yellow, which white paper swallows; the seventh is the ink's.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
COLORS = tuple(f"var(--series-{at})" for at in range(len(PALETTE) + 1))
QUIET = "var(--quiet)"
LOG_RATIO = 30  # positive values with a larger ratio are drawn on a log axis


def layout(height: int, x: str = "", y: str = "", **more: Any) -> dict[str, Any]:
    """A plain layout with titled axes."""
    return {
        "height": height,
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}},
        "showlegend": False,
    } | more


def points(x: Iterable[Any], y: Iterable[Any], texts: Iterable[str], **marker: Any) -> Figure:
    """A trace of markers with hover texts."""
    trace = {"type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "text": list(texts)}
    return trace | {"marker": {"size": 7, "color": COLORS[0]} | marker}


def line(x: Iterable[Any], y: Iterable[Any], **style: Any) -> Figure:
    """A trace of one line."""
    return {"type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "line": style}


def error_bars(intervals: Iterable[Interval]) -> dict[str, Any]:
    """Error bars of points, to the ends of their intervals; none where there is no interval."""
    known = [(each.high - each.mean, each.mean - each.low) if each.is_known else (0.0, 0.0) for each in intervals]
    return {"array": [up for up, _ in known], "arrayminus": [down for _, down in known]}


def categories(values: Iterable[str]) -> dict[str, Any]:
    """An axis of labels in this order, whatever the order of the data."""
    return {"type": "category", "categoryorder": "array", "categoryarray": [safe(value) for value in values]}


def positions(values: Iterable[str]) -> dict[str, Any]:
    """An axis with these labels at 0, 1, 2, …: for bars beside each other, and any labels, equal ones too."""
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
    """A label, with control characters as escapes."""
    return printable(str(text))


def words(metric: str) -> str:
    """`valid_accuracy` → `validation accuracy`."""
    return safe(metric_words(metric))


def hover(board: Leaderboard, row: int) -> str:
    """The hover text of a combination."""
    if row < 0:
        return "no value"
    at = board.rows[row]
    lines = [f"{safe(axis.name)} = {safe(at[axis.name])}" for axis in board.axes]
    lines += [f"{words(metric)} {board.cell(row, metric)}" for metric in board.shown]
    counts = f"n = {at[f'{board.metric} n']}, diverged {at['diverged']}"
    early = f", pruned {at['pruned']}: {board.early(row)}" if at["pruned"] else ""
    return "\n".join([f"rank {row + 1}", *lines, counts + early])
