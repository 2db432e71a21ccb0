"""The report page's figures of axes, gap, outcomes and paired differences."""

import numpy as np
import pandas as pd

from lanes.reporting.plotting import (
    COLORS,
    QUIET,
    Figure,
    categories,
    error_bars,
    hover,
    layout,
    line,
    log_axis,
    points,
    safe,
    spans,
    words,
)
from lanes.results.axes import Axis, coarse, coarse_values
from lanes.results.intervals import Interval
from lanes.results.leaderboard import Leaderboard, marginals
from lanes.results.slices import slice_of, spread_over_decades

POINTS = 1000  # combinations in a scatter
STRIP = 400  # combinations in a small scatter
ENDED = {
    "done": "#3a8a5c",
    "stopped_early": "#86b89a",
    "pruned": "#b8963e",
    "diverged": "#d1662f",
    "failed": "#a8323e",
    "pending": "#d4d8de",
}


def marginal(board: Leaderboard, axis: Axis) -> tuple[Figure, str]:
    """For each value of an axis, the best combination (filled, with interval) and the median of all (open).

    A sampled axis shows its combinations as points, those that diverged or have no value for another reason as crosses.

    Returns:
        The figure, and a note on how many combinations it shows, empty if all.
    """
    cut = ""
    frame = layout(240, safe(axis.name), words(board.metric))
    if axis.sampled:
        traces, cut, y = _slice(board, axis)
        frame["xaxis"] |= log_axis(axis.numbers or ()) if spread_over_decades(axis.numbers or ()) else {}
    else:
        rows = marginals(board, axis)
        kept = rows[rows["best"] >= 0]
        labels = [safe(value) for value in kept["value"]]
        best = [board.interval(int(row), board.metric) for row in kept["best"]]
        texts = [f"median of all: {value:.4g}" for value in kept["median"]]
        middle = points(labels, kept["median"], texts, symbol="circle-open", size=8, color=QUIET)
        top = points(labels, [cell.mean for cell in best], (hover(board, int(row)) for row in kept["best"]), size=8)
        traces = [middle, top | {"error_y": error_bars(best)}]
        y = [*(cell.mean for cell in best), *kept["median"]]
        frame["xaxis"] |= categories(rows["value"])
    frame["yaxis"] |= log_axis(y) if board.lower and spans(y) else {}
    return {"data": traces, "layout": frame}, cut


def _slice(board: Leaderboard, axis: Axis) -> tuple[list[Figure], str, list[float]]:
    """The combinations along a sampled axis, those without a value as crosses on the worst one; a note; and the values."""
    found = slice_of(board, axis)
    valued = found[found["lost"] == ""]
    shown = evenly_spaced(valued)
    cut = f"Showing {len(shown)} of {len(valued)} combinations." if len(shown) < len(valued) else ""
    texts = (hover(board, int(row)) for row in shown["row"])
    traces = [points(shown["x"], shown["value"], texts, size=6, opacity=0.55)]
    lost = evenly_spaced(found[(found["lost"] != "") & found["x"].notna()])
    if len(lost) and len(valued):
        worst = float(valued["value"].max() if board.lower else valued["value"].min())
        texts = (f"{safe(why)}<br>{safe(axis.name)} = {x:.4g}" for why, x in zip(lost["lost"], lost["x"], strict=True))
        traces.append(
            points(lost["x"], [worst] * len(lost), texts, size=7, symbol="x-thin-open", color=ENDED["diverged"])
        )
    return traces, cut, shown["value"].tolist()


def evenly_spaced(table: pd.DataFrame, limit: int = POINTS) -> pd.DataFrame:
    """All rows, or `limit` evenly spaced ones."""
    if table.empty:
        return table
    return table.iloc[np.unique(np.linspace(0, len(table) - 1, min(limit, len(table))).astype(int))]


def gap(board: Leaderboard, axis: Axis | None) -> tuple[Figure, str]:
    """The gap against the training metric, a point per combination, coloured by an axis; and a note as in `marginal`."""
    table = board.table[board.table["gap"].notna()]
    shown = evenly_spaced(table)
    bins = shown[axis.name].map(coarse(axis)) if axis else pd.Series("", index=shown.index)
    data = []
    for index, value in enumerate(coarse_values(axis) if axis else [""]):
        part = shown[bins == value]
        texts = [f"gap {at:.4g}<br>{hover(board, int(row))}" for row, at in part["gap"].items()]
        trace = points(part[board.train], part["gap"], texts, opacity=0.7, color=COLORS[index % len(COLORS)])
        data.append(trace | {"name": safe(value)})
    frame = layout(340, words(board.train or ""), "gap", showlegend=axis is not None, shapes=[_zero("y")])
    frame["legend"] = {"title": {"text": safe(axis.name) if axis else ""}, "font": {"size": 11}}
    frame["xaxis"] |= log_axis(shown[board.train]) if board.lower and spans(shown[board.train]) else {}
    cut = (
        f"Showing {len(shown)} of {len(table)} combinations, evenly spaced by rank." if len(shown) < len(table) else ""
    )
    return {"data": data, "layout": frame}, cut


def gap_by(board: Leaderboard, axis: Axis) -> Figure:
    """The gap by the values of an axis: combinations as points, medians as a line."""
    shown = evenly_spaced(board.table[board.table["gap"].notna()], STRIP)
    texts = (f"gap {at:.4g}<br>{hover(board, int(row))}" for row, at in shown["gap"].items())
    found = marginals(board, axis)
    all_points = points(map(safe, shown[axis.name].map(coarse(axis))), shown["gap"], texts, size=5, opacity=0.35)
    middle = line(map(safe, found["value"]), found["gap"], color=COLORS[1], width=1.5)
    middle |= {
        "mode": "lines+markers" if axis.numbers else "markers",
        "hovertemplate": "median gap %{y:.4g}<extra></extra>",
        "marker": {"size": 7},
    }
    frame = layout(240, safe(axis.name), "gap", shapes=[_zero("y")])
    frame["xaxis"] |= categories(found["value"])
    return {"data": [all_points, middle], "layout": frame}


def _zero(axis: str) -> Figure:
    """A dotted line at zero of an axis."""
    other = "x" if axis == "y" else "y"
    ends = {f"{axis}0": 0, f"{axis}1": 0, f"{other}ref": "paper", f"{other}0": 0, f"{other}1": 1}
    return {"type": "line", "line": {"color": QUIET, "dash": "dot", "width": 1}} | ends


def statuses(counts: dict[str, int]) -> Figure:
    """A stacked bar of how the runs ended."""
    data = []
    for name, n in counts.items():
        bar: Figure = {
            "type": "bar",
            "orientation": "h",
            "y": [""],
            "x": [n],
            "name": safe(f"{name.replace('_', ' ')} {n:,}"),
        }
        bar |= {"marker": {"color": ENDED.get(name, QUIET)}, "hovertemplate": f"{safe(name)}: {n:,}<extra></extra>"}
        data.append(bar)
    margin = {"l": 4, "r": 4, "t": 36, "b": 26}
    frame = layout(106, barmode="stack", showlegend=True, margin=margin)
    frame["legend"] = {"orientation": "h", "y": 1.05, "yanchor": "bottom", "x": 0, "traceorder": "normal"}
    frame["xaxis"] |= {"range": [0, max(sum(counts.values()), 1)], "showgrid": False}
    frame["yaxis"] |= {"visible": False}
    return {"data": data, "layout": frame}


def differences(table: pd.DataFrame, metric: str, names: list[str]) -> Figure:
    """Paired differences of combinations with their intervals, a row each; a dotted line at zero."""
    columns = (table[metric], table[f"{metric} half"], table[f"{metric} n"])
    found = [Interval(mean, half, int(n)) for mean, half, n in zip(*columns, strict=True)]
    texts = [f"{safe(name)}<br>{each.text(4)} (n = {each.n})" for name, each in zip(names, found, strict=True)]
    mean = [each.mean for each in found]
    trace = points(mean, (safe(name) for name in names), texts, size=6) | {"error_x": error_bars(found)}
    frame = layout(90 + 20 * len(names), f"difference in {words(metric)}", shapes=[_zero("x")])
    frame["yaxis"] |= categories(names) | {"range": [len(names) - 0.4, -0.6], "tickfont": {"size": 11}}
    return {"data": [trace], "layout": frame}
