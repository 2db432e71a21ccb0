"""Heat maps of pairs of swept axes."""

from typing import Any

import numpy as np
import pandas as pd

from lanes.reporting.plotting import BLUES, INK, QUIET, Figure, hover, layout, positions, safe
from lanes.results.axes import Axis, coarse_values
from lanes.results.intervals import decimals
from lanes.results.leaderboard import Leaderboard
from lanes.results.pivots import NOT_PLANNED, pivot

CELLS = 40  # most rows, and most columns
NUMBERED = 150  # most cells in a map that prints their numbers


def heat_map(board: Leaderboard, first: Axis, second: Axis) -> tuple[Figure, str]:
    """The metric over two axes, rows and columns.

    Trace 0 is the best over all other axes, trace 1 (hidden until selected) the median over them. Cells without a value
    stay grey and state the reason: diverged, failed, pruned or pending; empty grey cells were not planned.

    Returns:
        The figure, and a note on how many values it shows, empty if all.
    """
    found = pivot(board, first, second)
    rows, columns = _kept(found.best, first), _kept(found.best.T, second)
    best, median, value = (table.loc[rows, columns] for table in (found.best, found.median, found.values))
    reasons = found.reasons.loc[rows, columns]
    texts = best.map(lambda row: hover(board, int(row)) if row >= 0 else "").where(reasons == "", reasons)
    medians = median.map(lambda number: f"median over the other axes: {number:.4g}").where(reasons == "", reasons)
    data = [_trace(board, value, texts, True), _trace(board, median, medians, False)]

    frame = layout(min(104 + 30 * len(rows), 760), safe(second.name), safe(first.name), plot_bgcolor="#eceef1")
    frame["annotations"] = _notes(reasons)
    frame["xaxis"] |= positions(columns) | {"showgrid": False}
    frame["yaxis"] |= positions(rows) | {"showgrid": False, "range": [len(rows) - 0.5, -0.5]}
    sizes = [(rows, first), (columns, second)]
    cuts = [
        f"{len(kept)} of {len(all_)} values of {axis.name}"
        for kept, axis in sizes
        if len(kept) < len(all_ := coarse_values(axis))
    ]
    return {"data": data, "layout": frame}, f"Showing {' and '.join(cuts)}: the best-ranked." if cuts else ""


def _trace(board: Leaderboard, numbers: pd.DataFrame, texts: pd.DataFrame, visible: bool) -> Figure:
    trace: Figure = {"type": "heatmap", "z": _matrix(numbers), "customdata": _matrix(texts), "visible": visible}
    trace |= {"x": list(range(numbers.shape[1])), "y": list(range(numbers.shape[0]))}
    trace |= {
        "colorscale": BLUES,
        "reversescale": board.lower,
        "xgap": 2,
        "ygap": 2,
        "showscale": numbers.size > NUMBERED,
    }
    trace |= {"colorbar": {"thickness": 10, "outlinewidth": 0}, "hovertemplate": "%{customdata}<extra></extra>"}
    trace |= _color_range(numbers.to_numpy(dtype=float), board.lower)
    if numbers.size <= NUMBERED:
        digits = min(decimals(board.table[f"{board.metric} half"], board.table[board.metric]), 3)
        shown = numbers.map(lambda v: f"{v:.{digits}f}" if abs(v) < 1e4 else f"{v:.2g}").where(numbers.notna(), "")
        trace |= {"text": _matrix(shown), "texttemplate": "%{text}", "textfont": {"color": INK}}
    return trace


def _color_range(values: np.ndarray, lower: bool) -> dict[str, float]:
    """From the best to the worst value, at most four times the distance from the best to the median.

    Otherwise one initializer that learns nothing would give all others the same colour.
    """
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return {}
    best, worst = (finite.min(), finite.max()) if lower else (finite.max(), finite.min())
    reach = 4 * abs(float(np.median(finite)) - best)
    if reach > 0:
        worst = min(worst, best + reach) if lower else max(worst, best - reach)
    return {"zmin": float(min(best, worst)), "zmax": float(max(best, worst))}


def _notes(reasons: pd.DataFrame) -> list[dict[str, Any]]:
    """Annotations that state the reason in planned cells without a value."""
    if reasons.size > NUMBERED:
        return []
    style = {"showarrow": False, "font": {"size": 10, "color": QUIET}}
    cells = np.argwhere(~reasons.isin(["", NOT_PLANNED]).to_numpy())
    return [{"x": int(x), "y": int(y), "text": safe(reasons.iat[y, x])} | style for y, x in cells]


def _kept(best: pd.DataFrame, axis: Axis) -> list[str]:
    """The values to show: all, or the `CELLS` best-ranked."""
    values = coarse_values(axis)
    if len(values) <= CELLS:
        return values
    ranked = best.where(best >= 0).min(axis=1).sort_values(kind="stable", na_position="last")
    kept = set(ranked.index[:CELLS])
    return [value for value in values if value in kept]


def _matrix(frame: pd.DataFrame) -> list[list[Any]]:
    return [list(row) for row in frame.to_numpy(dtype=object)]
