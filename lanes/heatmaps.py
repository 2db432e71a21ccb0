"""Heat maps of pairs of swept axes."""

from typing import Any

import numpy as np
import pandas as pd

from lanes.axes import Axis, coarse, coarse_values
from lanes.leaderboard import Leaderboard, grid_of
from lanes.plotting import BLUES, QUIET, Figure, hover, layout, safe
from lanes.statistics import decimals

CELLS = 40  # rows and columns of a heat map


def heat_map(board: Leaderboard, first: Axis, second: Axis) -> tuple[Figure, str]:
    """A pair of axes: trace 0 is the best over all other axes, trace 1 (hidden) the mean over them; and a note on cuts.

    Cells without a value stay grey and say why: diverged, pending, or nothing where the pair was not planned.
    """
    best, mean = grid_of(board, first, second)
    rows, columns = _kept(best, first), _kept(best.T, second)
    best, mean = best.loc[rows, columns], mean.loc[rows, columns]
    value = best.map(lambda row: board.table[board.metric].iloc[int(row)] if row >= 0 else np.nan)
    why = _reasons(board, first, second).reindex(index=rows, columns=columns)
    texts = best.map(lambda row: hover(board, int(row)) if pd.notna(row) else "not planned")
    x, y = [safe(name) for name in columns], [safe(name) for name in rows]
    places = min(decimals(board.table[f"{board.metric} half"], board.table[board.metric]), 3)
    few = best.size <= 150
    traces = []
    for index, numbers in enumerate((value, mean)):
        text = numbers.map(lambda v: f"{v:.{places}f}" if abs(v) < 1e4 else f"{v:.2g}").where(numbers.notna(), "")
        trace = {
            "type": "heatmap",
            "x": x,
            "y": y,
            "z": _matrix(numbers),
            "colorscale": BLUES,
            "reversescale": board.lower,
        }
        trace |= {
            "xgap": 2,
            "ygap": 2,
            "visible": index == 0,
            "colorbar": {"thickness": 10, "outlinewidth": 0, "len": 0.9},
        }
        trace |= {
            "customdata": _matrix(texts if index == 0 else numbers.map(lambda v: f"mean over the other axes: {v:.4g}"))
        }
        trace |= {"hovertemplate": "%{customdata}<extra></extra>"} | (
            {"text": _matrix(text), "texttemplate": "%{text}"} if few else {}
        )
        traces.append(trace)
    blank = [(r, c) for r in range(len(rows)) for c in range(len(columns)) if pd.isna(value.iloc[r, c])]
    notes = [
        {"x": x[c], "y": y[r], "text": str(why.iloc[r, c]), "showarrow": False, "font": {"size": 10, "color": QUIET}}
        for r, c in blank
        if few and pd.notna(why.iloc[r, c])
    ]
    frame = layout(
        min(110 + 30 * len(rows), 760), safe(second.name), safe(first.name), annotations=notes, plot_bgcolor="#eceef1"
    )
    frame["xaxis"] |= {"type": "category", "showgrid": False}
    frame["yaxis"] |= {"type": "category", "showgrid": False, "autorange": "reversed"}
    cuts = [
        f"{len(kept)} of {len(coarse_values(axis))} values of {axis.name}"
        for kept, axis in ((rows, first), (columns, second))
        if len(kept) < len(coarse_values(axis))
    ]
    return {"data": traces, "layout": frame}, f"showing {' and '.join(cuts)}, the best-ranked" if cuts else ""


def _kept(best: pd.DataFrame, axis: Axis) -> list[str]:
    """The values to show: all, or the best-ranked so many."""
    values = coarse_values(axis)
    if len(values) <= CELLS:
        return values
    ranked = best.where(best >= 0).min(axis=1).sort_values(kind="stable", na_position="last")
    kept = set(ranked.index[:CELLS])
    return [value for value in values if value in kept]


def _reasons(board: Leaderboard, first: Axis, second: Axis) -> pd.DataFrame:
    """Why a cell has no value."""
    keys = [board.table[axis.name].map(coarse(axis)).rename(position) for position, axis in enumerate((first, second))]
    sums = board.table[["diverged", "failed", "pending"]].groupby(keys).sum()
    reason = sums.idxmax(axis=1).where(sums.sum(axis=1) > 0, "no value")
    return reason.unstack()


def _matrix(frame: pd.DataFrame) -> list[list[Any]]:
    return [list(row) for row in frame.to_numpy(dtype=object)]
