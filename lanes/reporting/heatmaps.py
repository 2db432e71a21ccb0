"""Heat maps of pairs of swept axes."""

from typing import Any

import numpy as np
import pandas as pd

from lanes.reporting.plotting import BLUES, INK, QUIET, Figure, categories, hover, layout, safe
from lanes.results.axes import Axis, coarse, coarse_values
from lanes.results.intervals import decimals
from lanes.results.leaderboard import Leaderboard, grid_of

CELLS = 40  # most rows, and most columns
NUMBERED = 150  # most cells in a map that prints their numbers


def heat_map(board: Leaderboard, first: Axis, second: Axis) -> tuple[Figure, str]:
    """The metric over two axes, rows and columns.

    Trace 0 is the best over all other axes, trace 1 (hidden until selected) the median over them. Cells without a value
    stay grey and state the reason: diverged, failed, pruned or pending; empty grey cells were not planned.

    Returns:
        The figure, and a note on how many values it shows, empty if all.
    """
    best, median = grid_of(board, first, second)
    rows, columns = _kept(best, first), _kept(best.T, second)
    best, median = best.loc[rows, columns], median.loc[rows, columns]
    value = best.map(lambda row: board.table[board.metric].iloc[int(row)] if row >= 0 else np.nan)
    texts = best.map(lambda row: hover(board, int(row)) if pd.notna(row) else "not planned")
    medians = median.map(lambda number: f"median over the other axes: {number:.4g}")
    data = [_trace(board, value, texts, True), _trace(board, median, medians, False)]

    frame = layout(min(104 + 30 * len(rows), 760), safe(second.name), safe(first.name), plot_bgcolor="#eceef1")
    frame["annotations"] = _notes(_reasons(board, first, second).reindex(index=rows, columns=columns), value)
    frame["xaxis"] |= categories(columns) | {"showgrid": False}
    frame["yaxis"] |= categories(rows) | {"showgrid": False, "autorange": "reversed"}
    sizes = [(rows, first), (columns, second)]
    cuts = [
        f"{len(kept)} of {len(all_)} values of {axis.name}"
        for kept, axis in sizes
        if len(kept) < len(all_ := coarse_values(axis))
    ]
    return {"data": data, "layout": frame}, f"Showing {' and '.join(cuts)}: the best-ranked." if cuts else ""


def _trace(board: Leaderboard, numbers: pd.DataFrame, texts: pd.DataFrame, visible: bool) -> Figure:
    trace: Figure = {"type": "heatmap", "z": _matrix(numbers), "customdata": _matrix(texts), "visible": visible}
    trace |= {"x": [safe(name) for name in numbers.columns], "y": [safe(name) for name in numbers.index]}
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


def _notes(reasons: pd.DataFrame, value: pd.DataFrame) -> list[dict[str, Any]]:
    """Annotations that state the reason in planned cells without a value."""
    if value.size > NUMBERED:
        return []
    style = {"showarrow": False, "font": {"size": 10, "color": QUIET}}
    blank = value.isna() & reasons.notna()
    cells = [(row, column) for row in value.index for column in value.columns if blank.at[row, column]]
    return [{"x": safe(column), "y": safe(row), "text": str(reasons.at[row, column])} | style for row, column in cells]


def _kept(best: pd.DataFrame, axis: Axis) -> list[str]:
    """The values to show: all, or the `CELLS` best-ranked."""
    values = coarse_values(axis)
    if len(values) <= CELLS:
        return values
    ranked = best.where(best >= 0).min(axis=1).sort_values(kind="stable", na_position="last")
    kept = set(ranked.index[:CELLS])
    return [value for value in values if value in kept]


def _reasons(board: Leaderboard, first: Axis, second: Axis) -> pd.DataFrame:
    """For each planned cell, why it would have no value."""
    keys = [board.table[axis.name].map(coarse(axis)).rename(position) for position, axis in enumerate((first, second))]
    sums = board.table[["diverged", "failed", "pruned", "pending"]].groupby(keys).sum()
    reason = sums.idxmax(axis=1).where(sums.sum(axis=1) > 0, "no value")
    return reason.unstack()


def _matrix(frame: pd.DataFrame) -> list[list[Any]]:
    return [list(row) for row in frame.to_numpy(dtype=object)]
