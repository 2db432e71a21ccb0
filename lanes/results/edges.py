"""Axes on which the best value stands at the edge of what was tried, and the grid that would follow."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lanes.describe import checks, runs
from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.results.axes import Axis
from lanes.results.comparisons import paired_difference
from lanes.results.intervals import Interval
from lanes.results.leaderboard import Leaderboard
from lanes.results.slices import spread_over_decades
from lanes.storage.directory import Directory
from lanes.storage.trained import run_of

FEWEST = 3  # values of an axis: of two, one is always at an edge
OUTER = 0.05  # of the range of a sampled axis: this close to its end is at the edge
ALIKE = 1.5  # steps that differ by no larger factor take turns
# Numbers that say what the problem is; the best of them is no choice.
PROBLEM = ("data", "train_examples", "valid_fraction", "seed", "dir")

Allowed = Callable[[str, float], bool]


@dataclasses.dataclass(frozen=True)
class Edge:
    """An axis whose best value is the lowest or highest tried.

    Attributes:
        axis: its name.
        value: the best one.
        highest: whether it is the highest; otherwise the lowest.
        tried: how many values were tried.
        following: the values that would follow: the best one, its neighbour, and those beyond; of a sampled axis the two ends of
            its new range.
        sampled: whether the axis was sampled.
        inner: the metric at the best value less that at the neighbouring value with all else equal, paired by seed; of no value
            without such runs.
    """

    axis: str
    value: float
    highest: bool
    tried: int
    following: tuple[float, ...]
    sampled: bool
    inner: Interval


def edges(board: Leaderboard, allowed: Allowed | None = None) -> list[Edge]:
    """The numeric axes on which the best combination stands at an edge beyond which the field takes further values.

    Only axes of three values or more count, and only what one chooses: not the number of training examples or the data. In a
    one-at-a-time sweep it is the axis of the best combination's change.

    Args:
        board: the leaderboard.
        allowed: whether a field takes a number; None takes all that have the sign of those tried.
    """
    if not board.has_best:
        return []
    allowed = allowed or functools.partial(_same_sign, board)
    best = board.table.iloc[0]
    axes = [axis for axis in board.axes if axis.name.split(".")[0] not in PROBLEM]
    if board.design is not None:
        axes = [axis for axis in axes if axis.name.split(".")[0] == board.design.fields.get(0)]
    found = []
    for axis in axes:
        if (tried := numbers_of(board, axis)) is None or len(tried) < FEWEST or best[axis.name] not in tried:
            continue
        edge = _edge(board, axis, tried, allowed)
        if edge is not None:
            found.append(edge)
    return found


def numbers_of(board: Leaderboard, axis: Axis) -> dict[str, float] | None:
    """The number behind each label of an axis, ascending; labels of combinations without the axis are left out.

    None for an axis of anything else.
    """
    if axis.numbers is not None:
        return dict(zip(axis.values, axis.numbers, strict=True))
    raw = board.runs.get(axis.name)
    if raw is None or not pd.api.types.is_numeric_dtype(raw) or pd.api.types.is_bool_dtype(raw):
        return None
    pairs = pd.DataFrame({"label": board.labels[axis.name], "number": raw.astype(float)}).dropna().drop_duplicates()
    found = dict(zip(pairs["label"], pairs["number"]))
    return dict(sorted(found.items(), key=lambda pair: pair[1])) if len(found) == len(pairs) else None


def _edge(board: Leaderboard, axis: Axis, tried: dict[str, float], allowed: Allowed) -> Edge | None:
    values = list(tried.values())
    value = tried[board.table[axis.name].iloc[0]]
    low, high = values[0], values[-1]
    whole = all(float(number).is_integer() for number in values)
    if axis.sampled:
        log = spread_over_decades(tuple(values))
        place = (_scale(value, log) - _scale(low, log)) / (_scale(high, log) - _scale(low, log))
        if OUTER < place < 1 - OUTER:
            return None
        highest = place >= 0.5
        half = (_scale(high, log) - _scale(low, log)) / 2
        ends = [_scale(value, log) - half, _scale(value, log) + half]
        following = [_rounded(math.exp(end) if log else end, whole) for end in ends]
        beyond = following[-1:] if highest else following[:1]
    else:
        if value not in (low, high):
            return None
        highest = value == high
        beyond = [number for number in continued(values if highest else values[::-1], whole) if number not in values]
        following = [values[-2] if highest else values[1], value, *beyond]
    kept = [number for number in beyond if allowed(axis.name, number)]
    if not kept or kept[0] != beyond[0]:
        return None
    following = [number for number in following if number not in beyond or number in kept]
    inner = Interval(math.nan, math.nan, 0) if axis.sampled else _inner(board, axis, tried, highest)
    return Edge(axis.name, value, highest, len(values), tuple(sorted(following)), axis.sampled, inner)


def _scale(number: float, log: bool) -> float:
    return math.log(number) if log else number


def continued(values: Sequence[float], whole: bool = False) -> list[float]:
    """The next values of a sequence, two of them, in its direction and in its spacing: even steps or even ratios.

    The last two steps take turns if they are alike, so that 1e-4, 3e-4, 1e-3 is continued by 3e-3, 1e-2; otherwise the last is
    repeated. A zero at the other end (off) is no step.
    Even steps do not lead from positive numbers to zero or below: the last ratio is repeated instead.

    Args:
        values: three or more, ascending or descending.
        whole: whether the values are whole numbers.
    """
    positive = [number for number in values if number > 0]
    steps = np.diff(np.asarray(values, dtype=float))
    if len(positive) >= len(values) - 1 and len(positive) >= FEWEST:
        ratios = np.diff(np.log(positive))
        inner = np.diff(np.asarray(positive, dtype=float))
        if _variation(ratios) < _variation(inner) and values[-1] > 0:
            turns = _turns(ratios, math.log(ALIKE))
            numbers = [values[-1] * math.exp(turns[0]), values[-1] * math.exp(turns[0] + turns[1])]
            return list(dict.fromkeys(_rounded(number, whole) for number in numbers))
    turns = _turns(steps, abs(float(steps[-1])) * (1 - 1 / ALIKE))
    numbers = [values[-1] + turns[0], values[-1] + turns[0] + turns[1]]
    if min(values) > 0 and min(numbers) <= 1e-9 * values[-1]:  # even steps would cross zero
        ratio = values[-1] / values[-2]
        numbers = [values[-1] * ratio, values[-1] * ratio**2]
    return list(dict.fromkeys(_rounded(float(number), whole) for number in numbers))


def _turns(steps: np.ndarray, apart: float) -> tuple[float, float]:
    """The last two steps if they differ by no more than `apart`, otherwise the last one twice."""
    before, last = float(steps[-2]), float(steps[-1])
    return (before, last) if abs(before - last) <= apart else (last, last)


def _variation(steps: np.ndarray) -> float:
    """The standard deviation over the mean."""
    return float(np.std(steps) / abs(np.mean(steps)) + 1e-9)


def _rounded(number: float, whole: bool) -> float:
    """To two significant digits; a whole number to one below 10^15."""
    return float(round(number)) if whole and abs(number) >= 1 else float(f"{number:.2g}")


def _inner(board: Leaderboard, axis: Axis, tried: dict[str, float], highest: bool) -> Interval:
    """The best combination against the one at the neighbouring value, paired by seed."""
    ordered = list(tried.items())
    neighbour = ordered[-2][0] if highest else ordered[1][0]
    best = board.table.iloc[0]
    same = np.ones(len(board.table), dtype=bool)
    for other in board.axes:
        wanted = neighbour if other.name == axis.name else best[other.name]
        same &= (board.table[other.name] == wanted).to_numpy()
    (rows,) = np.nonzero(same)
    if len(rows) != 1:
        return Interval(math.nan, math.nan, 0)
    by_seed = board.combinations_of(board.values).reindex(range(len(board.table)))
    return paired_difference(by_seed.loc[int(rows[0])], by_seed.loc[0])


# ---- what fields take ------------------------------------------------------------------------------------------------


def _same_sign(board: Leaderboard, path: str, number: float) -> bool:
    axis = next(axis for axis in board.axes if axis.name == path)
    tried = numbers_of(board, axis) or {}
    return number > 0 or (number == 0 and 0 in tried.values()) or min(tried.values(), default=0.0) < 0


def allowed_by(paths: Sequence[Path], board: Leaderboard) -> Allowed:
    """Whether the best combination's run, with a field changed to a number, would be accepted.

    No code of a directory is executed: for runs that name something defined in their experiment, the sign decides.
    """
    found = functools.cache(functools.partial(_best_run, paths, board))

    def allowed(path: str, number: float) -> bool:
        run = found()
        return _same_sign(board, path, number) if run is None else _accepts(run, path, number)

    return allowed


def _best_run(paths: Sequence[Path], board: Leaderboard) -> Run | None:
    """A run of the best combination; None if it is not in the directories, or names something defined in its experiment."""
    wanted = set(board.runs.loc[board.runs["combination"] == 0, "run_id"].head(1))
    for path in paths:
        directory = Directory(path, warn=_ignore, changes=False)
        try:
            planned = directory.planned_runs()
            for _, row in planned[planned["run_id"].isin(wanted)].iterrows():
                return run_of(directory, row, trust=False)
        except RequestError:
            return None
    return None


def _ignore(_: str) -> None:
    """`lanes.load` has said it."""


def _accepts(run: Run, path: str, number: float) -> bool:
    for value in dict.fromkeys([int(number), number] if float(number).is_integer() else [number]):
        try:
            checks.resolved(runs.set_field(run, path, value))
        except (RequestError, TypeError, ValueError):
            continue
        return True
    return False
