"""The grid that would follow where the best value stands at an edge, as Python to copy into an experiment."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lanes.describe.runs import TABLES
from lanes.results.edges import Edge
from lanes.results.leaderboard import Leaderboard
from lanes.results.slices import spread_over_decades


def following_grid(board: Leaderboard, found: Sequence[Edge]) -> str:
    """Python for an experiment's `sweep()`: the axes at an edge with the values that would follow, all else as in the best.

    Axes whose best value cannot be written as a number or a name stand in a comment.
    """
    if not found:
        return ""
    seeds = int(board.table["runs"].iloc[0]) if "seed" in board.runs else 1
    fixed, unwritten = _of_the_best(board, {edge.axis for edge in found})
    if any(edge.sampled for edge in found):
        axes = [f'"{name}": choice({value})' for name, value in fixed.items()]
        for edge in found:
            kind = "log_uniform" if spread_over_decades(edge.following) else "uniform"
            ends = ", ".join(map(_number, edge.following))
            axes.append(f'"{edge.axis}": {kind}({ends})' if edge.sampled else f'"{edge.axis}": choice({ends})')
        rest = f"{len(board.table)}, {{{', '.join(axes)}}})"
        call = f"sample(BASE, {rest}"
        if seeds > 1:
            call = f"[run for seed in range({seeds}) for run in sample(dataclasses.replace(BASE, seed=seed), {rest}]"
    else:
        axes = [f'"{name}": [{value}]' for name, value in fixed.items()]
        axes += [f'"{edge.axis}": [{", ".join(map(_number, edge.following))}]' for edge in found]
        call = f"grid(BASE, {{{', '.join(axes)}}}, seed=range({seeds}))"
    remarks = [f"# with {name} {value} in BASE" for name, value in unwritten.items()]
    return "\n".join([*remarks, call])


def _of_the_best(board: Leaderboard, without: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The other axes' values of the best combination, as Python, and those that have none, as labels."""
    run = board.runs[board.runs["combination"] == 0].iloc[0]
    names = [
        axis.name for axis in board.axes if axis.name not in without and axis.name in run.index and axis.name != "dir"
    ]
    for head in [name for name in names if "." not in name]:  # parameters that only some kinds have
        inner = [name for name in map(str, board.runs.columns) if name.startswith(f"{head}.") and name not in without]
        names += [name for name in inner if board.runs[name].nunique() > 1 and name not in names]
    fixed: dict[str, str] = {}
    unwritten: dict[str, str] = {}
    for name in names:
        value = run[name]
        if value is None or value is pd.NA or value != value:
            continue
        if isinstance(value, (bool, np.bool_)):
            fixed[name] = str(bool(value))
        elif isinstance(value, (int, float, np.number)):
            fixed[name] = _number(float(value))
        elif isinstance(value, str) and value in TABLES.get(name, ()):
            fixed[name] = json.dumps(value)
        else:
            unwritten[name] = str(value)
    return fixed, unwritten


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(f"{value:.6g}"))
