"""Learning curves: of the best combinations over their seeds, and of single runs."""

from typing import Any

import numpy as np
import pandas as pd

from lanes.axes import short_name
from lanes.leaderboard import Leaderboard
from lanes.plotting import COLORS, Figure, layout, safe, words
from lanes.statistics import lower_is_better

CURVES = 60  # thin lines in a figure of single runs


def curves(board: Leaderboard, table: pd.DataFrame, metric: str, top: int = 6) -> Figure:
    """Median over seeds by epoch of the `top` combinations, with the band from the lowest to the highest seed."""
    joined = table.merge(board.runs[_keys(table)].assign(combination=board.runs["combination"]), on=_keys(table))
    data: list[dict[str, Any]] = []
    for row in range(min(top, len(board.table))):
        part = joined[joined["combination"] == row]
        values = pd.to_numeric(part[metric], errors="coerce").replace([np.inf, -np.inf], np.nan)
        spread = values.groupby(part["epoch"]).agg(["median", "min", "max", "count"]).dropna()
        if spread.empty:
            continue
        color = COLORS[row % len(COLORS)]
        epochs, name = spread.index.tolist(), f"{row + 1}. {safe(short_name(board.axes, board.table.iloc[row]))}"
        band = {
            "type": "scatter",
            "x": epochs + epochs[::-1],
            "y": [*spread["max"], *spread["min"][::-1]],
            "fill": "toself",
        }
        band |= {
            "fillcolor": color,
            "opacity": 0.14,
            "line": {"width": 0},
            "mode": "lines",
            "hoverinfo": "skip",
            "legendgroup": name,
            "showlegend": False,
        }
        line = {
            "type": "scatter",
            "mode": "lines",
            "x": epochs,
            "y": spread["median"].tolist(),
            "name": name,
            "legendgroup": name,
        }
        line |= {"line": {"color": color, "width": 1.8}, "customdata": spread["count"].tolist()}
        line["hovertemplate"] = f"{name}<br>epoch %{{x}}: median %{{y:.4g}} of %{{customdata}}<extra></extra>"
        data += [band, line]
    return {"data": data, "layout": _frame(metric)}


def single_runs(board: Leaderboard, table: pd.DataFrame, metric: str) -> tuple[Figure, int, int]:
    """One thin line per run, coloured by the rank of its combination; how many are drawn, and of how many.

    Beyond `CURVES` runs, evenly spaced ranks are drawn.
    """
    runs = board.runs.sort_values("combination", kind="stable")
    keys = _keys(table)
    known = table[keys].drop_duplicates()
    runs = runs.merge(known, on=keys)
    picked = (
        runs.iloc[np.unique(np.linspace(0, len(runs) - 1, min(CURVES, len(runs))).astype(int))] if len(runs) else runs
    )
    by_run = dict(tuple(table.merge(picked[keys], on=keys).groupby(keys)))
    last = max(len(board.table) - 1, 1)
    data = []
    for _, run in picked.iloc[::-1].iterrows():  # the best on top
        part = by_run[tuple(run[key] for key in keys)].sort_values("epoch")
        shade = run["combination"] / last
        name = f"rank {int(run['combination']) + 1} · {safe(short_name(board.axes, board.table.iloc[int(run['combination'])]))} · {safe(run['status'])}"
        trace = {"type": "scatter", "mode": "lines", "x": part["epoch"].tolist(), "y": part[metric].tolist()}
        trace |= {"line": {"width": 1, "color": _mix("#0f4c8f", "#d9b38c", float(shade))}, "opacity": 0.75}
        data.append(trace | {"hovertemplate": f"{name}<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>"})
    return {"data": data, "layout": _frame(metric) | {"showlegend": False}}, len(picked), len(runs)


def _keys(table: pd.DataFrame) -> list[str]:
    return ["dir", "run_id"] if "dir" in table else ["run_id"]


def _frame(metric: str) -> dict[str, Any]:
    frame = layout(330, "epoch", words(metric), showlegend=True)
    frame["legend"] = {"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0, "font": {"size": 11}}
    if lower_is_better(metric):
        frame["yaxis"] |= {"type": "log", "dtick": "D2"}
    return frame


def _mix(low: str, high: str, at: float) -> str:
    pairs = [(int(low[i : i + 2], 16), int(high[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * at):02x}" for a, b in pairs)
