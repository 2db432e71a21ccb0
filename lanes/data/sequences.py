"""Series of unequal length: padded to one length, with their padding marked so that a net can tell it from the steps.

In a data set, padding is NaN in numbers and -1 in tokens. Nothing that acts on single numbers changes that (standardizing,
input noise), so a net finds the lengths in its inputs (`nets.without_padding`), whatever the user padded with.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lanes.data.given import Numbers, Tokens, as_array
from lanes.data.standardizing import standardization

PADDING_TOKEN = -1


def read(values: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, tuple[np.ndarray, np.ndarray]] | None:
    """The inputs of the splits as arrays of one length with 0 in their padding, and the lengths of their series.

    Args:
        values: what the user gave as inputs, by split.
        named: names of them in errors.

    Returns:
        By split, tokens [N, T] or numbers [N, T, C], and int64 [N] lengths; None if no split states lengths or padding, or
        has series of unequal length.

    Raises ValueError for lengths that do not fit, series without a step, and padding before the steps.
    """
    made = {}
    for key, value in values.items():
        if isinstance(value, Tokens | Numbers):
            made[key] = _read(value, named[key])
    found = {key: pair for key, pair in made.items() if pair is not None}
    if not found:
        return None
    for key, value in values.items():
        if key not in found:
            if not isinstance(value, Tokens | Numbers):
                raise ValueError(
                    f"{named[key]} says nothing of lengths, and other splits do: use Tokens or Numbers in all"
                )
            x = as_array(value.x, named[key])
            found[key] = x, np.full(len(x), x.shape[1] if x.ndim > 1 else 1)
    are_tokens = {isinstance(value, Tokens) for value in values.values()}
    if len(are_tokens) == 1 and True not in are_tokens:
        found = {key: (x[..., None] if x.ndim == 2 else x, lengths) for key, (x, lengths) in found.items()}
    longest = max(x.shape[1] for x, _ in found.values())
    return {key: (_padded(found[key][0], found[key][1], longest), found[key][1]) for key in values}


def _read(value: Tokens | Numbers, what: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The series as one array, and their lengths; None if they have no lengths of their own."""
    ragged = _unequal(value.x)
    if ragged is not None:
        if value.lengths is not None or value.padding is not None:
            raise ValueError(f"{what} has series of unequal length, and states lengths or padding: leave these out")
        return _joined(ragged, what)
    if value.lengths is None and value.padding is None:
        return None
    if value.lengths is not None and value.padding is not None:
        raise ValueError(f"{what} states both lengths and padding: leave one of them out")
    x = as_array(value.x, what)
    if x.ndim < 2 or x.ndim > (2 if isinstance(value, Tokens) else 3):
        shape = "tokens [N, T]" if isinstance(value, Tokens) else "series [N, T, C]"
        raise ValueError(f"{what} is {x.dtype}{list(x.shape)} and states lengths or padding, which {shape} have")
    lengths = _stated(value.lengths, x, what) if value.lengths is not None else _found(x, value.padding, what)
    return x, lengths


def _unequal(x: Any) -> Sequence[Any] | None:
    """The items of a list (or array of objects) of arrays or lists of unequal length; None for anything else."""
    is_objects = isinstance(x, np.ndarray) and x.dtype == object and x.ndim == 1
    if not is_objects and not isinstance(x, (list, tuple)):
        return None
    try:
        lengths = {len(item) for item in x if not isinstance(item, (str, bytes))}
    except TypeError:
        return None
    return list(x) if len(lengths) > 1 or (is_objects and lengths) else None


def _joined(items: Sequence[Any], what: str) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for number, item in enumerate(items):
        if not len(item):
            raise ValueError(f"{what}[{number}] has no step: leave this example out")
        arrays.append(as_array(item, f"{what}[{number}]"))
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1 or len(next(iter(shapes))) > 1:
        raise ValueError(f"{what} has series of features {sorted(shapes)}: all must be [T] or [T, C] of one C")
    lengths = np.array([len(array) for array in arrays])
    x = np.zeros(
        (len(arrays), int(lengths.max()), *next(iter(shapes))), np.result_type(*{array.dtype for array in arrays})
    )
    for row, array in zip(x, arrays, strict=True):
        row[: len(array)] = array
    return x, lengths


def _stated(lengths: Any, x: np.ndarray, what: str) -> np.ndarray:
    stated = as_array(lengths, f"{what}'s lengths")
    if stated.shape != (len(x),) or stated.dtype.kind not in "iu":
        raise ValueError(
            f"{what}'s lengths are {stated.dtype}{list(stated.shape)}; they must be integers [{len(x)}], one for each series"
        )
    wrong = np.flatnonzero((stated < 1) | (stated > x.shape[1]))
    if wrong.size:
        raise ValueError(
            f"{what}'s lengths[{wrong[0]}] is {stated[wrong[0]]}; lengths must be from 1 to {x.shape[1]}, the steps there are"
        )
    return stated.astype(np.int64)


def _found(x: np.ndarray, padding: Any, what: str) -> np.ndarray:
    """The number of steps before the last ones that hold nothing but the padding value."""
    if isinstance(padding, bool) or not np.isscalar(padding) or not isinstance(padding, (int, float, np.number)):
        raise ValueError(f"{what}'s padding is {padding!r}: it must be the number that stands for no step")
    equal = np.isnan(x) if x.dtype.kind == "f" and padding != padding else x == padding
    blank = equal if x.ndim == 2 else equal.all(axis=-1)
    lengths = x.shape[1] - np.argmin(blank[:, ::-1], axis=1)
    lengths[blank.all(axis=1)] = 0
    if (lengths == 0).any():
        raise ValueError(f"{what}[{int(np.argmin(lengths))}] is padding throughout: leave this example out")
    begins = np.flatnonzero(blank[:, 0])
    if begins.size:
        raise ValueError(
            f"{what}[{begins[0]}] begins with the padding value {padding}: padding follows the steps, so pad at the end, or "
            "state lengths= if it is a step"
        )
    return lengths


def _padded(x: np.ndarray, lengths: np.ndarray, longest: int) -> np.ndarray:
    """The array with so many steps, and 0 in its padding."""
    out = np.zeros((len(x), longest, *x.shape[2:]), x.dtype)
    out[:, : x.shape[1]] = x
    out[np.arange(longest)[None, :] >= lengths[:, None]] = 0
    return out


def marked(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Tokens [N, T] or numbers [N, T, C] with -1 or NaN after their lengths; integers that are numbers become float64."""
    is_token = x.ndim == 2
    out = (
        x.copy() if is_token else x.astype(np.float32 if x.dtype.itemsize < 4 or x.dtype == np.float32 else np.float64)
    )
    out[np.arange(x.shape[1])[None, :] >= lengths[:, None]] = PADDING_TOKEN if is_token else np.nan
    return out


def valid_steps(x: np.ndarray) -> np.ndarray:
    """[M, C] or [M]: the steps of marked series that are not padding."""
    return x[x >= 0] if x.dtype.kind in "iu" else x[~np.isnan(x).any(axis=-1)]


def standardization_of_series(x: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray]:
    """Offset and scale of marked series [N, T, C] from their valid steps; "feature" is one of each per feature, for all steps.

    Raises ValueError as `standardization`.
    """
    offset, scale = standardization(valid_steps(x), how)
    if offset.ndim:
        return np.broadcast_to(offset, x.shape[1:]).copy(), np.broadcast_to(scale, x.shape[1:]).copy()
    return offset, scale
