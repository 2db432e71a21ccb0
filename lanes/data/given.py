"""What a data function may give as x or y, as NumPy arrays; anything else is refused with what to write instead."""

import dataclasses
from typing import Any

import numpy as np

CHANNELS = (1, 2, 3, 4)
INT32_MAX = 2**31 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Tokens:
    """Inputs that are tokens: integers [N, T] (or of any shape), which a net looks up in a table.

    Args:
        x: integers from 0; a list of lists of unequal length is padded.
        vocabulary: number of distinct tokens; None: one more than the largest of any split.
        lengths: [N], the number of valid tokens of each example; what follows them is padding.
        padding: the token that stands for none at the end of an example, in place of `lengths`.
    """

    x: Any
    vocabulary: int | None = None
    lengths: Any = None
    padding: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """Targets that are classes: integers [N] from 0.

    Args:
        y: the class of each example.
        classes: number of classes, or their names, where some class has no example; None: one more than the largest label.
    """

    y: Any
    classes: int | tuple[str, ...] | None = None

    @property
    def count(self) -> int:
        """The stated number of classes; 0 if none is stated."""
        return self.classes if isinstance(self.classes, int) else len(self.classes or ())


@dataclasses.dataclass(frozen=True, eq=False)
class Numbers:
    """Inputs that are numbers with their axes as given, images [N, H, W, C]: neither tokens nor channels first.

    With `lengths` or `padding`, or as a list of series of unequal length, they are series [N, T, C], or [N, T] of one feature.

    Args:
        x: the numbers.
        lengths: [N], the number of valid steps of each series; what follows them is padding.
        padding: the number that padded steps at the end of a series hold throughout, in place of `lengths`.
    """

    x: Any
    lengths: Any = None
    padding: float | None = None


def as_array(value: Any, what: str) -> np.ndarray:
    """The value as an array of numbers with an axis of examples.

    Args:
        value: anything that NumPy reads as an array; a data frame is read as a matrix.
        what: names it in errors.

    Raises ValueError, in one line with the remedy, for anything that is not numbers throughout: masked, sparse, ragged and
    object arrays, strings, dates, complex numbers, records.
    """
    short = what.rpartition(" ")[2]
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.getmaskarray(value).any():
            count = int(np.ma.getmaskarray(value).sum())
            raise ValueError(
                f"{what} is a masked array with {count} masked entries, which have no value: write {short}.filled(…), or "
                "drop these examples"
            )
        value = value.data
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise ValueError(f"{what} is a sparse {type(value).__name__}: write {short}.toarray()")
    if hasattr(value, "dtypes") and hasattr(value, "columns"):
        value = _frame(value, what)
    else:
        _check_column(value, what, short)
    try:
        array = np.asarray(value)
    except Exception as error:  # of other libraries' tensors, too
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        ragged = "inhomogeneous" in line
        remedy = (
            "for series, return lanes.Numbers or lanes.Tokens of them, which keep their lengths; else pad them"
            if ragged
            else f"convert it with np.asarray({short})"
        )
        problem = "has rows of unequal length" if ragged else f"cannot be read as an array ({line})"
        raise ValueError(f"{what} {problem}: {remedy}") from None
    return _numbers(array, what, short)


def _numbers(array: np.ndarray, what: str, short: str) -> np.ndarray:
    kind, described = array.dtype.kind, f"{what} is {array.dtype}{list(array.shape)}"
    if kind == "V" and array.dtype.names is None and "float" in array.dtype.name:
        return array.astype(np.float32)  # bfloat16 and its like
    remedies = {
        "M": f"count from a date: ({short} - {short}.min()) / np.timedelta64(1, 's')",
        "m": f"choose a unit: {short} / np.timedelta64(1, 's')",
        "c": f"write np.stack([{short}.real, {short}.imag], -1), or np.abs({short})",
        "V": f"stack its fields: numpy.lib.recfunctions.structured_to_unstructured({short})",
        "U": f"number what it names: np.unique({short}, return_inverse=True)[1]",
        "S": f"number what it names: np.unique({short}, return_inverse=True)[1]",
        "O": f"write {short}.astype(float) if all of it is numbers",
    }
    if kind == "O" and any(isinstance(item, str) for item in array.ravel()[:100]):
        kind = "U"
    if kind not in "buif":
        raise ValueError(f"{described}; must be an array of numbers: {remedies.get(kind, 'convert it')}")
    if not array.ndim:
        raise ValueError(f"{described}; must be an array of numbers with an axis of examples")
    return array


def _frame(frame: Any, what: str) -> np.ndarray:
    """A data frame as a matrix; integers stay integers if all columns are."""
    short = what.rpartition(" ")[2]
    columns = []
    for name in frame.columns:
        named = f"{what}, column {name!r},"
        _check_column(frame[name], named, f"{short}[{name!r}]")
        columns.append(_numbers(np.asarray(frame[name]), named, f"{short}[{name!r}]"))
    if not columns:
        return np.zeros((len(frame), 0))
    together = np.result_type(*columns)
    for name, column in zip(frame.columns, columns):
        if column.dtype.kind in "iu" and together.kind == "f" and column.size:
            largest = max(abs(int(column.min())), abs(int(column.max())))
            if largest > 2 ** (np.finfo(together).nmant + 1):
                raise ValueError(
                    f"{what}, column {name!r}, has integers up to {largest} beside floats, which cannot hold them: subtract "
                    f"its smallest, {short}[{name!r}] - {short}[{name!r}].min()"
                )
    return np.stack([column.astype(together) for column in columns], 1)


def _check_column(column: Any, what: str, short: str) -> None:
    """Refuse categories and missing values of a data frame's column, which NumPy would read as objects or NaN."""
    dtype = getattr(column, "dtype", None)
    if hasattr(column, "cat") and type(dtype).__name__ == "CategoricalDtype":
        raise ValueError(f"{what} holds categories: write {short}.cat.codes")
    if dtype is not None and hasattr(column, "isna") and not isinstance(dtype, np.dtype) and column.isna().any():
        count = int(column.isna().sum())
        raise ValueError(f"{what} has {count} missing values: write {short}.fillna(…), or drop these examples")


def check_channels(x: np.ndarray, what: str) -> None:
    """Raises ValueError for what looks like images with channels first: [N, 3, 32, 32]."""
    if x.ndim != 4:
        return
    first, height, width = x.shape[1:]
    if first in CHANNELS and width not in CHANNELS and min(height, width) > max(CHANNELS) and _squarish(height, width):
        raise ValueError(
            f"{what} is {x.dtype}{list(x.shape)}, read as images of {first} × {height} pixels with {width} channels: if its "
            f"channels come first, return x.transpose(0, 2, 3, 1); if it is as you mean it, return lanes.Numbers(x)"
        )


def _squarish(height: int, width: int) -> bool:
    return max(height, width) <= 2 * min(height, width)


def tokens(x: np.ndarray, vocabulary: int | None, what: str) -> np.ndarray:
    """Tokens as int32 [N, T].

    Raises ValueError for numbers that are not integers from 0 below the vocabulary.
    """
    if x.dtype.kind not in "iu":
        raise ValueError(f"{what} are tokens of {x.dtype}; they must be integers: write x.astype(int)")
    low, high = (int(x.min()), int(x.max())) if x.size else (0, 0)
    most = INT32_MAX - 1 if vocabulary is None else vocabulary - 1
    if low < 0:
        raise ValueError(f"{what} hold token {low}; tokens must be 0 or more: shift them to start at 0")
    if high > most:
        raise ValueError(
            f"{what} hold token {high}; tokens must be 0 … {most}: number them anew, or state a larger vocabulary"
        )
    return (x if x.ndim > 1 else x[:, None]).astype(np.int32)
