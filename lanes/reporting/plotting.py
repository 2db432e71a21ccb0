"""Figures that the page's script draws, and their shared parts: colours, layout, labels and hover texts.

A figure is a dictionary with `data` and `layout`, in a subset of Plotly's figure specification: `scatter` of markers or
lines with error bars, and `bar`. Axes are linear, `log` or `category`; `shapes` are straight lines. Texts are plain: the
script puts them into the page as text, whatever characters they hold, with a line for each `\n`.
"""

from collections.abc import Iterable
from typing import Any

from lanes.errors import printable
from lanes.results.intervals import Interval
from lanes.results.statistics import metric_words

Figure = dict[str, Any]

# Okabe and Ito, Color universal design, 2008, without its yellow, which white paper swallows; the seventh is the ink's.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
COLORS = tuple(f"var(--series-{at})" for at in range(len(PALETTE) + 1))
QUIET = "var(--quiet)"


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


def safe(text: object) -> str:
    """A label, with control characters as escapes."""
    return printable(str(text))


def words(metric: str) -> str:
    """`valid_accuracy` → `validation accuracy`."""
    return safe(metric_words(metric))
