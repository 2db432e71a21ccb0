"""Learning curves of the best combinations over their seeds, and of single runs."""

from typing import Any

import numpy as np
import pandas as pd

from lanes.reporting.plotting import COLORS, Figure, layout, line, log_axis, safe, words
from lanes.results.axes import short_name
from lanes.results.leaderboard import Leaderboard
from lanes.results.statistics import direction

CURVES = 60  # most lines in a figure of single runs
FIRST, LAST = (15, 76, 143), (217, 179, 140)  # colours of the first and the last rank


def names_of(board: Leaderboard, top: int) -> list[tuple[str, str]]:
    """Colours and names of the best `top` combinations, for a legend."""
    rows = range(min(top, len(board.table)))
    return [(COLORS[row % len(COLORS)], f"{row + 1}. {short_name(board.axes, board.table.iloc[row])}") for row in rows]


def curves(board: Leaderboard, table: pd.DataFrame, metric: str, top: int) -> Figure:
    """The `top` combinations by epoch: the median over seeds, in a band from the lowest to the highest seed."""
    keys = _keys(table)
    best = board.runs.loc[board.runs["combination"] < top, [*keys, "combination"]]
    joined = table.merge(best, on=keys)
    joined[metric] = pd.to_numeric(joined[metric], errors="coerce").replace([np.inf, -np.inf], np.nan)
    data: list[dict[str, Any]] = []
    for row, (color, name) in enumerate(names_of(board, top)):
        part = joined[joined["combination"] == row]
        spread = part.groupby("epoch")[metric].agg(["median", "min", "max", "count"]).dropna()
        epochs = spread.index.tolist()
        band = line(epochs + epochs[::-1], [*spread["max"], *spread["min"][::-1]], width=0)
        band |= {"fill": "toself", "fillcolor": color, "opacity": 0.14, "hoverinfo": "skip"}
        middle = line(epochs, spread["median"], color=color, width=1.8) | {"customdata": spread["count"].tolist()}
        text = f"{safe(name)}<br>epoch %{{x}}: median %{{y:.4g}} of %{{customdata}} seeds<extra></extra>"
        data += [band, middle | {"hovertemplate": text}]
    return {"data": data, "layout": _frame(board, metric, data)}


def single_runs(board: Leaderboard, table: pd.DataFrame, metric: str) -> tuple[Figure, int, int]:
    """One thin line per run, coloured by the rank of its combination.

    Returns:
        The figure, the number of runs drawn (at most `CURVES`, evenly spaced by rank), and the number of all runs.
    """
    keys = _keys(table)
    runs = board.runs.sort_values("combination", kind="stable").merge(table[keys].drop_duplicates(), on=keys)
    spaced = np.unique(np.linspace(0, max(len(runs) - 1, 0), min(CURVES, len(runs))).astype(int))
    picked = runs.iloc[spaced]
    by_run = dict(tuple(table.merge(picked[keys], on=keys).groupby(keys)))
    last = max(len(board.table) - 1, 1)
    data = []
    for _, run in picked.iloc[::-1].iterrows():  # the best on top
        part = by_run[tuple(run[key] for key in keys)].sort_values("epoch")
        rank = int(run["combination"])
        name = f"rank {rank + 1} · {short_name(board.axes, board.table.iloc[rank])} · {run['status']}"
        trace = line(part["epoch"], part[metric], width=1, color=_shade(rank / last)) | {"opacity": 0.75}
        data.append(trace | {"hovertemplate": f"{safe(name)}<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>"})
    return {"data": data, "layout": _frame(board, metric, data)}, len(picked), len(runs)


def _keys(table: pd.DataFrame) -> list[str]:
    return ["dir", "run_id"] if "dir" in table else ["run_id"]


def _frame(board: Leaderboard, metric: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    frame = layout(300, "epoch", words(metric))
    if direction(board.runs, metric) is False:
        frame["yaxis"] |= log_axis(value for trace in data for value in trace["y"] if pd.notna(value))
    return frame


def _shade(at: float) -> str:
    return "rgb(" + ",".join(str(round(a + (b - a) * at)) for a, b in zip(FIRST, LAST, strict=True)) + ")"
