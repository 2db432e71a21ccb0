"""The report page's figures that are made with it: paired differences. The others its script makes from the runs."""

import pandas as pd

from lanes.reporting.plotting import QUIET, Figure, categories, error_bars, layout, points, safe, words
from lanes.results.intervals import Interval


def differences(table: pd.DataFrame, metric: str, names: list[str]) -> Figure:
    """Paired differences of combinations with their intervals, a row each; a dotted line at zero."""
    columns = (table[metric], table[f"{metric} half"], table[f"{metric} n"])
    found = [Interval(mean, half, int(n)) for mean, half, n in zip(*columns, strict=True)]
    texts = [f"{safe(name)}\n{each.text(4)} (n = {each.n})" for name, each in zip(names, found, strict=True)]
    mean = [each.mean for each in found]
    trace = points(mean, (safe(name) for name in names), texts, size=6) | {"error_x": error_bars(found)}
    frame = layout(90 + 20 * len(names), f"difference in {words(metric)}", shapes=[_zero("x")])
    frame["yaxis"] |= categories(names) | {"autorange": "reversed"}
    return {"data": [trace], "layout": frame}


def _zero(axis: str) -> Figure:
    """A dotted line at zero of an axis."""
    other = "x" if axis == "y" else "y"
    ends = {f"{axis}0": 0, f"{axis}1": 0, f"{other}ref": "paper", f"{other}0": 0, f"{other}1": 1}
    return {"type": "line", "line": {"color": QUIET, "dash": "dot", "width": 1}} | ends
