"""Learning curves of the best combinations over their seeds, and of single runs."""

from typing import Any

import numpy as np
import pandas as pd

from lanes.reporting.plotting import COLORS, Figure, layout, line, log_axis, safe, words
from lanes.results.curve_bands import bands, keys_of, run_curves
from lanes.results.leaderboard import Leaderboard
from lanes.results.naming import named
from lanes.results.statistics import direction

CURVES = 60  # most lines in a figure of single runs
FIRST, LAST = (15, 76, 143), (217, 179, 140)  # colours of the first and the last rank


def names_of(board: Leaderboard, top: int) -> list[tuple[str, str]]:
    """Colours and names of the best `top` combinations, for a legend: by what differs between them."""
    rows = range(min(top, len(board.table)))
    names = named(board, rows)
    return [(COLORS[row % len(COLORS)], f"{row + 1}. {names[row]}") for row in rows]


def curves(board: Leaderboard, table: pd.DataFrame, metric: str, top: int) -> Figure:
    """The `top` combinations by epoch: the median over seeds, in a band from the lowest to the highest seed.

    A combination with a single epoch is a marker.
    """
    found = bands(board, table, metric, range(top))
    data: list[dict[str, Any]] = []
    for row, (color, name) in enumerate(names_of(board, top)):
        part = found[found["row"] == row]
        epochs = part["epoch"].tolist()
        band = line(epochs + epochs[::-1], [*part["high"], *part["low"][::-1]], width=0)
        band |= {"fill": "toself", "fillcolor": color, "opacity": 0.14, "hoverinfo": "skip"}
        middle = line(epochs, part["median"], color=color, width=1.8) | {"customdata": part["n"].tolist()}
        if part["alone"].any():
            middle |= _marked(color, 8)
        text = f"{safe(name)}<br>epoch %{{x}}: median %{{y:.4g}} of %{{customdata}} seeds<extra></extra>"
        data += [band, middle | {"hovertemplate": text}]
    return {"data": data, "layout": _frame(board, metric, data)}


def single_runs(board: Leaderboard, table: pd.DataFrame, metric: str) -> tuple[Figure, int, int]:
    """One thin line per run, coloured by the rank of its combination; a run with a single epoch is a marker.

    Returns:
        The figure, the number of runs drawn (at most `CURVES`, evenly spaced by rank), and the number of all runs.
    """
    keys = keys_of(table)
    runs = board.runs.sort_values("combination", kind="stable").merge(table[keys].drop_duplicates(), on=keys)
    spaced = np.unique(np.linspace(0, max(len(runs) - 1, 0), min(CURVES, len(runs))).astype(int))
    picked = runs.iloc[spaced]
    by_run = run_curves(picked, table, metric)
    names = named(board, sorted({int(row) for row in picked["combination"]}))
    last = max(len(board.table) - 1, 1)
    data = []
    for _, run in picked.iloc[::-1].iterrows():  # the best on top
        part = by_run.get(tuple(str(run[key]) for key in keys))
        if part is None:
            continue
        rank = int(run["combination"])
        name = f"rank {rank + 1} · {names[rank]} · {run['status']}"
        color = _shade(rank / last)
        trace = line(part["epoch"], part["value"], width=1, color=color) | {"opacity": 0.75}
        trace |= _marked(color, 5) if len(part) == 1 else {}
        data.append(trace | {"hovertemplate": f"{safe(name)}<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>"})
    return {"data": data, "layout": _frame(board, metric, data)}, len(data), len(runs)


def _marked(color: str, size: int) -> dict[str, Any]:
    """Markers instead of a line, which a single point does not make."""
    return {"mode": "markers", "marker": {"color": color, "size": size}}


def _frame(board: Leaderboard, metric: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    frame = layout(300, "epoch", words(metric))
    if direction(board.runs, metric) is False:
        frame["yaxis"] |= log_axis(value for trace in data for value in trace["y"] if pd.notna(value))
    return frame


def _shade(at: float) -> str:
    return "rgb(" + ",".join(str(round(a + (b - a) * at)) for a, b in zip(FIRST, LAST, strict=True)) + ")"
