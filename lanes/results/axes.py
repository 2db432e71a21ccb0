"""The axes that a sweep varied, their values in display order, and bins for sampled axes.

Labels tell unlike combinations apart: the columns of a field name its arguments and its version, and where
`combination_id` differs between runs of equal labels all the same, it becomes an axis itself.
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from lanes.describe.runs import FIELDS
from lanes.errors import printable
from lanes.results.replicates import COMBINATION, by_replicate

ABSENT = "–"  # label of a field that a run lacks, such as the slope of tanh
FEW = 12  # a numeric axis with more values counts as sampled: tables and heat maps show bins
BINS = 8


@dataclasses.dataclass(frozen=True)
class Axis:
    """One swept field.

    Attributes:
        name: the field, dotted for a parameter of its description (`optimizer.b1`).
        values: labels in display order: numbers ascending, anything else in plan order.
        numbers: the number behind each label if all are numbers, else None.
    """

    name: str
    values: tuple[str, ...]
    numbers: tuple[float, ...] | None = None

    @property
    def sampled(self) -> bool:
        """True for a numeric axis with too many values for a table row each."""
        return self.numbers is not None and len(self.values) > FEW


def field_columns(runs: pd.DataFrame) -> list[str]:
    """The columns of `lanes.load`'s table that describe a run: fields and their dotted parameters."""
    return [column for column in map(str, runs.columns) if column.split(".")[0] in FIELDS]


def swept_axes(runs: pd.DataFrame) -> tuple[list[Axis], pd.DataFrame]:
    """The swept axes, and a table of their labels: a row per run, a column per axis, the index of `runs`.

    An axis is a field with more than one value, except `seed` and what follows the seed (`replicates.by_replicate`): these
    are replicates. A parameter determined by its kind (a slope that only one activation has) is left out; one that varies
    within some kinds joins their labels (`leaky_relu slope=0.2`). With several directories `dir` is the first axis, and
    fields constant within each directory are left out. Runs of unlike combinations have unlike labels.
    """
    runs = by_replicate(runs, field_columns(runs))
    labels: dict[str, pd.Series] = {}
    axes: list[Axis] = []
    candidates = [column for column in ["dir", *field_columns(runs)] if column in runs.columns and column != "seed"]
    for name in sorted(
        candidates, key=lambda column: "." in column
    ):  # kinds before their parameters, otherwise in order
        axis, column = label(name, runs[name])
        head = name.split(".")[0]
        kinds = [labels[kind] for kind in ("dir", head) if kind in labels and kind != name]
        if len(axis.values) < 2 or any(follows(column, kind) for kind in kinds):
            continue
        if head != name and head in labels and (column == ABSENT).any():
            at = next(i for i, known in enumerate(axes) if known.name == head)
            axes[at], labels[head] = label(head, _folded(labels[head], column, name.removeprefix(head + ".")))
            continue
        axes.append(axis)
        labels[name] = column
    order = sorted(axes, key=lambda axis: candidates.index(axis.name))
    table = pd.DataFrame({axis.name: labels[axis.name] for axis in order}, index=runs.index)
    unlike = _alike_only_in_labels(runs, table)
    if unlike.any():
        axis, table[COMBINATION] = label(COMBINATION, runs[COMBINATION].where(unlike))
        order.append(axis)
    return order, table


def label(name: str, column: pd.Series) -> tuple[Axis, pd.Series]:
    """A column as an axis, and its labels as strings; unlike values have unlike labels."""
    codes, found = _factorized(column)
    numbers = bool(found) and all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in found)
    order = sorted(range(len(found)), key=found.__getitem__) if numbers else range(len(found))
    names = [_text(value) for value in found]
    absent = bool((codes < 0).any())
    if len({*names, *([ABSENT] if absent else [])}) < len(names) + absent:  # equal in six digits, or True beside "True"
        names = [repr(value.item() if isinstance(value, np.generic) else value) for value in found]
    labels = pd.Series(np.array([*names, ABSENT], dtype=object)[codes], index=column.index, dtype=object)
    values = (*(names[at] for at in order), *([ABSENT] if absent else []))
    return Axis(name, values, tuple(float(found[at]) for at in order) if numbers and not absent else None), labels


def _factorized(column: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """For each cell the position of its value in the list of distinct values, which is returned too; -1 without a value."""
    kinds = set(map(type, column)) if column.dtype == object else set()
    if not kinds & {bool, np.bool_, list, dict, set, np.ndarray}:
        codes, distinct = pd.factorize(column)
        return codes, list(distinct)
    known: dict[object, int] = {}
    found: list[Any] = []
    out = np.full(len(column), -1)
    for at, value in enumerate(column):  # pandas takes True for 1, and cannot hash lists
        if not _absent(value):
            key = type(value).__name__, repr(value)
            if key not in known:
                known[key] = len(found)
                found.append(value)
            out[at] = known[key]
    return out, found


def coarse(axis: Axis) -> dict[str, str]:
    """The label that tables and heat maps show for each value: itself, or its bin (of equally many values) on a sampled axis."""
    if not axis.sampled or axis.numbers is None:
        return {value: value for value in axis.values}
    parts = np.array_split(np.arange(len(axis.values)), BINS)
    ends = [(axis.numbers[part[0]], axis.numbers[part[-1]]) for part in parts]
    for digits in range(3, 18):
        names = [f"{_text(first, digits)} … {_text(last, digits)}" for first, last in ends]
        if len(set(names)) == len(names):
            break
    return {axis.values[i]: name for name, part in zip(names, parts, strict=True) for i in part}


def coarse_values(axis: Axis) -> list[str]:
    """The distinct values of `coarse`, in order."""
    return list(dict.fromkeys(coarse(axis).values()))


def _absent(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))


def _alike_only_in_labels(runs: pd.DataFrame, labels: pd.DataFrame) -> pd.Series:
    """Which runs have the labels of a run of another combination."""
    if COMBINATION not in runs:
        return pd.Series(False, index=runs.index)
    groups = labels.groupby(list(labels.columns), sort=False).ngroup() if len(labels.columns) else 0
    groups = pd.Series(groups, index=runs.index)
    return runs[COMBINATION].groupby(groups).transform("nunique") > 1


def _text(value: object, digits: int = 6) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.{digits}g}"
    return printable(str(value))


def follows(column: pd.Series, kind: pd.Series) -> bool:
    """True if each kind has a single value of the parameter."""
    return bool((column.groupby(kind).nunique() <= 1).all())


def _folded(kinds: pd.Series, column: pd.Series, parameter: str) -> pd.Series:
    """The labels of kinds, with the parameter appended to kinds within which it varies."""
    several = column.groupby(kinds).transform("nunique") > 1
    return kinds.where(~several, kinds + f" {parameter}=" + column)
