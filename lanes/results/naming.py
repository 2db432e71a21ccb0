"""Names of combinations for legends, captions and tables: only what differs between the combinations that are named."""

import dataclasses
from collections.abc import Iterable, Sequence

from lanes.describe.columns import is_number
from lanes.results.axes import Axis
from lanes.results.designs import OneAtATime
from lanes.results.leaderboard import Leaderboard

BASE = "base"


@dataclasses.dataclass(frozen=True)
class Names:
    """Names of combinations.

    Attributes:
        names: by row of the leaderboard's table.
        shared: what all of them share, `activation relu · batch_size 32`; empty if nothing.
    """

    names: dict[int, str]
    shared: str

    def __getitem__(self, row: int) -> str:
        return self.names[row]


def named(board: Leaderboard, rows: Iterable[int] | None = None) -> Names:
    """Names that tell combinations apart, by the axes in which they differ from each other.

    `tanh · learning_rate 0.001`: numbers stand with their axis's name, since two numbers alone do not say which is which. In a
    one-at-a-time sweep a combination is named by its one change, `dropout 0.3`, and the base is `base`.

    Args:
        board: the leaderboard.
        rows: of its table; None names all.
    """
    chosen = range(len(board.table)) if rows is None else list(rows)
    part = board.table.iloc[list(chosen)]
    if board.design is not None:
        texts = {row: change(board, board.design, row) for row in chosen}
        return Names(texts, "")
    differing = (
        [axis for axis in board.axes if part[axis.name].nunique(dropna=False) > 1] if len(part) > 1 else board.axes
    )
    constant = [axis for axis in board.axes if axis not in differing]
    plain = {axis.name for axis in differing if not _needs_name(axis, differing)}
    names = {row: _joined(board, differing, row, plain) for row in chosen}
    shared = _joined(board, constant, chosen[0], set()) if constant and len(chosen) else ""
    return Names(names, shared)


def change(board: Leaderboard, design: OneAtATime, row: int) -> str:
    """The change of a combination of a one-at-a-time sweep, `dropout 0.3`; `base` for the base."""
    if row == design.base:
        return BASE
    field = design.fields[row]
    own, base = board.rows[row], board.rows[design.base]
    parts = [axis for axis in board.axes if axis.name.split(".")[0] == field and own[axis.name] != base[axis.name]]
    return _joined(board, parts, row, set())


def _needs_name(axis: Axis, others: Sequence[Axis]) -> bool:
    """Whether a value of the axis alone would not say which axis it is of."""
    if len(others) == 1:
        return False
    shared = {value for other in others if other.name != axis.name for value in other.values}
    return any(value in shared or is_number(value) or value in ("True", "False", "–", "none") for value in axis.values)


def _joined(board: Leaderboard, axes: Sequence[Axis], row: int, plain: set[str]) -> str:
    at = board.rows[row]
    if not axes:
        return "all runs"
    return " · ".join(str(at[axis.name]) if axis.name in plain else f"{axis.name} {at[axis.name]}" for axis in axes)
