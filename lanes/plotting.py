"""What the report's figures share: colours, layout, labels and hover texts.

Figures are plain plotly specifications, dicts with `data` and `layout`. Labels come from users, and plotly reads a little
HTML in text: every label goes through `safe`.
"""

import html
from typing import Any

import numpy as np

from lanes.leaderboard import Leaderboard

Figure = dict[str, Any]

COLORS = ("#1f5fa8", "#d1662f", "#3a8a5c", "#8a5fb0", "#b8963e", "#5f6b78", "#c0487a", "#3c9db5")
BLUES = [[0.0, "#f4f7fb"], [0.25, "#cfe0f0"], [0.5, "#8fb8dc"], [0.75, "#4182bd"], [1.0, "#0f3f78"]]
INK, QUIET, LINE = "#1c1f24", "#69717c", "#e4e7eb"


def layout(height: int, x: str = "", y: str = "", **more: Any) -> dict[str, Any]:
    axis = {
        "gridcolor": LINE,
        "zeroline": False,
        "linecolor": "#c4c9d0",
        "ticks": "outside",
        "tickcolor": "#c4c9d0",
        "automargin": True,
    }
    font = {
        "family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
        "size": 12,
        "color": INK,
    }
    return {
        "height": height,
        "margin": {"l": 60, "r": 20, "t": 16, "b": 48},
        "font": font,
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": "#c4c9d0",
            "font": {"size": 12, "color": INK},
            "align": "left",
        },
        "xaxis": axis | {"title": {"text": x, "font": {"size": 12, "color": QUIET}}},
        "yaxis": axis | {"title": {"text": y, "font": {"size": 12, "color": QUIET}}},
        "showlegend": False,
    } | more


def safe(text: object) -> str:
    return html.escape(str(text), quote=False)


def words(metric: str) -> str:
    """`valid_accuracy` → `validation accuracy`."""
    return safe(metric.replace("valid_", "validation_").replace("_", " "))


def hover(board: Leaderboard, row: int) -> str:
    if row < 0:
        return "no value"
    at = board.table.iloc[row]
    lines = [f"{safe(axis.name)} = {safe(at[axis.name])}" for axis in board.axes]
    lines += [f"{words(metric)} {board.cell(row, metric)}" for metric in board.shown]
    return "<br>".join([f"<b>rank {row + 1}</b>", *lines, f"n = {at[f'{board.metric} n']}, diverged {at['diverged']}"])


def wide(board: Leaderboard, values: Any) -> bool:
    """A loss whose values span more than a factor of 30 is drawn on a log axis."""
    array = np.asarray(list(values), dtype=float)
    array = array[np.isfinite(array)]
    return bool(board.lower and array.size and array.min() > 0 and array.max() / array.min() > 30)
