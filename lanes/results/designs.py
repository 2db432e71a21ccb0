"""How a sweep's combinations cover its axes: as a complete grid, one change of a base at a time, or otherwise."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lanes.results.axes import Axis


@dataclasses.dataclass(frozen=True)
class OneAtATime:
    """Combinations that each differ from a base in one field.

    Attributes:
        base: the row of the base.
        fields: by row the field in which it differs from the base; without the base.
    """

    base: int
    fields: dict[int, str]


def one_at_a_time(axes: Sequence[Axis], table: pd.DataFrame) -> OneAtATime | None:
    """The base and the one change of each other combination; None unless they are exactly that, in two fields or more.

    A field and its dotted parameters are one: from `sgd` to `adam` with another `b1` is one change. At most one combination
    can be the base: two changes of unlike fields differ from each other in both.

    Args:
        axes: the swept axes.
        table: a row per combination with the label of each axis.
    """
    columns: dict[str, list[str]] = {}
    for axis in axes:
        columns.setdefault(axis.name.split(".")[0], []).append(axis.name)
    if len(columns) < 2 or len(table) < 3:
        return None
    codes = np.stack([table.groupby(names, sort=False).ngroup().to_numpy() for names in columns.values()], axis=1)
    # A change occurs once in its field, so the value of the base is the most frequent one of each field.
    usual = [np.bincount(column).argmax() for column in codes.T]
    differs = codes != usual
    count = differs.sum(axis=1)
    (bases,) = np.nonzero(count == 0)
    if len(bases) != 1 or (count > 1).any() or (differs.sum(axis=0) == 0).any():
        return None
    names = np.array(list(columns), dtype=object)
    changed = names[differs.argmax(axis=1)]
    return OneAtATime(int(bases[0]), {row: str(name) for row, name in enumerate(changed) if row != bases[0]})


def is_grid(axes: Sequence[Axis], table: pd.DataFrame) -> bool:
    """Whether the combinations are every combination of the axes' values."""
    return (
        len(table) == math.prod(len(axis.values) for axis in axes)
        and not table[[a.name for a in axes]].duplicated().any()
    )


def joined(axes: Sequence[Axis], table: pd.DataFrame) -> tuple[list[Axis], pd.DataFrame]:
    """The axes and their table with those that were changed one at a time as one axis.

    Plain runs, runs with `l2` and runs with `dropout`, each with every activation, are a complete grid of the activation and of
    an axis `(l2, dropout)` of three values. Axes that were combined in another way stay as they are.
    """
    codes = {axis.name: table[axis.name].map({value: at for at, value in enumerate(axis.values)}) for axis in axes}
    groups = {axis.name: {axis.name} for axis in axes}
    for one, other in itertools.combinations(axes, 2):
        seen = set(zip(codes[one.name], codes[other.name], strict=True))
        if len(seen) < len(one.values) * len(other.values):
            together = groups[one.name] | groups[other.name]
            groups |= dict.fromkeys(together, together)
    found, table = [], table.copy()
    for axis in axes:
        group = [each for each in axes if each.name in groups[axis.name]]
        names = [each.name for each in group]
        settings = table[names].drop_duplicates(ignore_index=True)
        if len(group) == 1 or one_at_a_time(group, settings) is None:
            found.append(axis)
        elif axis is group[0]:
            name = f"({', '.join(names)})"
            table[name] = [str(row) for row in table[names].itertuples(index=False, name=None)]
            found.append(Axis(name, tuple(dict.fromkeys(table[name]))))
    return found, table


def as_array(axes: Sequence[Axis], table: pd.DataFrame) -> np.ndarray:
    """The positions of a complete grid's rows in `table`: an array with a dimension for each axis, in the order of its values."""
    codes = [table[axis.name].map({value: at for at, value in enumerate(axis.values)}) for axis in axes]
    out = np.empty([len(axis.values) for axis in axes], dtype=int)
    out[tuple(column.to_numpy(dtype=int) for column in codes)] = np.arange(len(table))
    return out
