"""What a page's script computes from: each run's labels, outcome and metrics, and the learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from lanes.describe.directions import SPLITS
from lanes.errors import printable
from lanes.reporting.columns import Columns, packed
from lanes.results import statistics
from lanes.results.axes import Axis, coarse, coarse_values, field_columns, label
from lanes.results.intervals import finite_table
from lanes.results.leaderboard import STATUSES, Leaderboard
from lanes.results.naming import named

CURVE_VALUES = (
    600_000  # most numbers of learning curves on a page; of more, every k-th epoch is kept, which the page states
)
LEAST_EPOCHS = (
    20  # a curve keeps at least so many of its epochs; if all curves do not fit, those of the best-ranked runs stay
)
DIGITS = 12  # binary digits of a curve's values: 4 decimal ones, more than can be seen


def embedded(boards: Sequence[Leaderboard], curves: pd.DataFrame, paths: Mapping[str, str]) -> str:
    """The data of a page's boards, for its script.

    Args:
        boards: the leaderboards.
        curves: as of `pages.page`; only their drawing is of four digits, all other numbers are exact.
        paths: the path of each directory by its name, for commands.
    """
    columns = Columns()
    counts = np.arange(2, max(2, *map(_most_values, boards)) + 1)
    described = {
        "statuses": STATUSES,
        "quantiles": columns.add(special.stdtrit(counts - 1, 0.975)),  # of n = 2, 3 …
        "boards": [_board(board, curves, paths, columns) for board in boards],
    }
    return packed(described, columns)


def _most_values(board: Leaderboard) -> int:
    """The most values that an interval of the page is of: the runs of a combination, or one for each seed."""
    seeds = board.runs["seed"].nunique() if "seed" in board.runs else 1
    return max(int(board.table["runs"].max()) if len(board.table) else 0, int(seeds))


def _board(board: Leaderboard, curves: pd.DataFrame, paths: Mapping[str, str], columns: Columns) -> dict[str, Any]:
    runs = board.runs
    metrics = [name for name in board.digits if name in runs and name != "seconds"]
    names = named(board).names
    known = {axis.name for axis in board.axes}
    fixed = {name: label(name, runs[name])[0].values for name in field_columns(runs) if name not in known}
    return {
        "name": printable(board.name),
        "metric": board.metric,
        "lower": board.lower,
        "test": board.test,
        "train": board.train,
        "shown": board.shown,
        "digits": {name: board.digits[name] for name in metrics},
        "proportions": sorted(board.proportions),
        "axes": [_axis(axis, board, columns) for axis in board.axes],
        "names": [printable(names[row]) for row in range(len(board.table))],
        "one_change": board.design is not None,
        "fixed": {name: printable(values[0]) for name, values in fixed.items() if len(values) == 1},
        "metrics": {name: columns.add(_floats(runs[name])) for name in metrics},
        "combination": columns.add(runs["combination"].to_numpy()),
        "status": columns.add(runs["status"].map({name: at for at, name in enumerate(STATUSES)}).to_numpy(dtype=int)),
        "seed": columns.add(_numbers(runs, "seed")),
        "epochs": columns.add(_numbers(runs, "epochs_done")),
        "best_epoch": columns.add(_numbers(runs, "best_epoch")),
        "diverged_step": columns.add(_numbers(runs, "diverged_step")),
        "run_id": [printable(str(name)) for name in runs["run_id"]],
        "directory": _directories(runs, paths, columns),
        "curves": _curves(board, curves, columns),
    }


def _axis(axis: Axis, board: Leaderboard, columns: Columns) -> dict[str, Any]:
    bins = coarse(axis)
    shown = coarse_values(axis)
    place = {value: at for at, value in enumerate(axis.values)}
    at = {value: index for index, value in enumerate(shown)}
    return {
        "name": printable(axis.name),
        "values": [printable(value) for value in axis.values],
        "numbers": columns.add(axis.numbers) if axis.numbers is not None else None,
        "sampled": axis.sampled,
        "coarse": [printable(value) for value in shown],
        "bins": columns.add([at[bins[value]] for value in axis.values]),
        "labels": columns.add(board.labels[axis.name].map(place).to_numpy(dtype=int)),
    }


def _floats(column: pd.Series) -> np.ndarray:
    return finite_table(column.to_frame()).iloc[:, 0].to_numpy()


def _numbers(runs: pd.DataFrame, name: str) -> np.ndarray:
    """A column as float64, NaN where it has no value."""
    return _floats(runs[name]) if name in runs else np.full(len(runs), np.nan)


def _directories(runs: pd.DataFrame, paths: Mapping[str, str], columns: Columns) -> dict[str, Any]:
    names = list(paths)
    places = runs["dir"].map(names.index) if "dir" in runs else pd.Series(0, index=runs.index)
    return {"paths": [printable(path) for path in paths.values()], "of": columns.add(places.to_numpy(dtype=int))}


# ---- learning curves -------------------------------------------------------------------------------------------------


def _curves(board: Leaderboard, curves: pd.DataFrame, columns: Columns) -> dict[str, Any]:
    """The curves of the board's runs, run by run in their order: points of each run, then epochs and values of all."""
    joined, values = _of_board(board, curves)
    names = list(values)
    kept, _, _ = _kept(joined, len(names))
    shown = pd.concat([joined.loc[kept, ["place", "epoch"]], values.loc[kept, names]], axis=1)
    shown = shown.sort_values(["place", "epoch"], kind="stable")
    first = [name for name in (board.metric, "batch_loss") if name in names]
    ordered = [*first, *(name for name in names if name not in first)]
    return {
        "points": columns.add(np.bincount(shown["place"].to_numpy(dtype=int), minlength=len(board.runs))),
        "epochs": columns.add(shown["epoch"].to_numpy(dtype=int)),
        "values": {name: columns.add(rounded(shown[name].to_numpy())) for name in ordered},
        "higher": {name: statistics.direction(board.runs, name) for name in ordered},
    }


def left_out(board: Leaderboard, curves: pd.DataFrame) -> str:
    """What a page has not of the curves, in a sentence; empty if it has all."""
    joined, values = _of_board(board, curves)
    _, every, ranked = _kept(joined, values.shape[1])
    what = [f"one epoch in {every}, the first and the last"] if every > 1 else []
    what += [f"the runs of the {ranked:,} best-ranked of {len(board.table):,} combinations"] if ranked else []
    return f"Of the curves the page holds {', of '.join(what)}; all are in curves/." if what else ""


def _of_board(board: Leaderboard, curves: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of curves of the board's runs, with the place and combination of each, and their metrics that have values."""
    keys = ["dir", "run_id"] if "dir" in curves and "dir" in board.runs else ["run_id"]
    if curves.empty:
        return pd.DataFrame({"place": [], "combination": [], "epoch": []}), pd.DataFrame()
    order = board.runs[[*keys, "combination"]].assign(place=range(len(board.runs)))
    joined = curves.merge(order, on=keys)
    names = [name for name in map(str, joined) if name.startswith(SPLITS) or name in ("batch_loss", "penalty")]
    values = finite_table(joined[names])
    return joined, values.loc[:, values.notna().any()]


def _kept(table: pd.DataFrame, metrics: int) -> tuple[np.ndarray, int, int | None]:
    """Which rows of curves a page holds, every how many epochs, and of how many best-ranked combinations (None: of all)."""
    kept = np.ones(len(table), dtype=bool)
    most = max(CURVE_VALUES // max(metrics, 1), 1)
    if len(table) <= most:
        return kept, 1, None
    epoch = table["epoch"].to_numpy(dtype=int)
    last = table.groupby("place")["epoch"].transform("max").to_numpy(dtype=int)
    runs = table["place"].nunique()
    longest = int(last.max())
    every = max(min(-(-len(table) // most), longest // LEAST_EPOCHS), 1)
    kept = (epoch == 1) | (epoch % every == 0) | (epoch == last)
    if kept.sum() <= most * 1.2 or runs < 2:
        return kept, every, None
    size = np.bincount(table["combination"].to_numpy(dtype=int)[kept])
    ranked = max(int(np.searchsorted(np.cumsum(size), most, side="right")), 1)
    return kept & (table["combination"].to_numpy() < ranked), every, ranked


def rounded(values: np.ndarray) -> np.ndarray:
    """Values rounded to `DIGITS` binary digits, as float32 whose last bytes are zero and need no space."""
    with np.errstate(over="ignore"):
        bits = values.astype(np.float32).view(np.uint32)
    unit = np.uint32(1 << (23 - DIGITS))
    shorter = ((bits + unit // 2) & ~(unit - np.uint32(1))).view(np.float32)
    return np.where(np.isfinite(values) & np.isfinite(shorter), shorter, np.float32(np.nan))
