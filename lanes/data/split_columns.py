"""A column that names the split of each example."""

import dataclasses
from typing import Any

import numpy as np

from lanes.data.given import Labels, Numbers, Tokens

# What the column may say, and the split that it means.
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_by(split: Any, x: Any, y: Any) -> dict[str, tuple[Any, Any]]:
    """The examples by the column that says each one's split: `split_by(frame["fold"], frame[["age", "dose"]], frame["died"])`.

    Args:
        split: [N], each "train", "valid" (or "validation", "val", "dev") or "test".
        x, y: the inputs and targets of N examples, as a data function returns them: arrays, lists, data frames, `Numbers`,
            `Tokens`, `Labels`.

    Returns:
        (x, y) of each split, for a data function to return.

    Raises:
        ValueError: a value that names no split, a missing one, no training example, or another number of examples.
    """
    rows = split_rows(split, "split")
    return {part: (rows_of(x, at, "x", split), rows_of(y, at, "y", split)) for part, at in rows.items()}


def split_rows(column: Any, what: str) -> dict[str, np.ndarray]:
    """The rows of each split, in order, from a column that names each row's split; `what` names it in errors.

    Raises ValueError for a value that names no split, a missing one, and a column without a training row.
    """
    values = np.asarray(column, dtype=object)
    if values.ndim != 1:
        raise ValueError(f"{what} is of shape {list(values.shape)}; it must be [N], the split of each example")
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        part = SPLITS.get(value.strip().lower()) if isinstance(value, str) else None
        if part is None:
            raise ValueError(
                f"{what} is {value!r:.40} in row {row}; it must be train, valid or test: rename its values"
            )
        rows.setdefault(part, []).append(row)
    if "train" not in rows:
        raise ValueError(f"{what} has no row for train; it must have at least one")
    return {part: np.array(rows[part]) for part in ("train", "valid", "test") if part in rows}


def rows_of(value: Any, rows: np.ndarray, what: str, column: Any) -> Any:
    """These rows of x or y as they were given: an array, a list, a data frame, or one of these in Tokens, Numbers or Labels."""
    if isinstance(value, Tokens | Numbers):
        lengths = None if value.lengths is None else rows_of(value.lengths, rows, f"{what}'s lengths", column)
        return dataclasses.replace(value, x=rows_of(value.x, rows, what, column), lengths=lengths)
    if isinstance(value, Labels):
        return dataclasses.replace(value, y=rows_of(value.y, rows, what, column))
    if len(value) != len(column):
        raise ValueError(f"{what} has {len(value)} examples and split {len(column)}; there must be as many of each")
    if hasattr(value, "iloc"):
        return value.iloc[rows]
    return [value[row] for row in rows] if isinstance(value, (list, tuple)) else value[rows]
