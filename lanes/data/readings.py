"""What arrays can be read as: the same integers as classes, numbers or tokens, the same 0 and 1 as binary targets."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from lanes.data import given
from lanes.data.dataset import Dataset, Split, check_dataset
from lanes.data.standardizing import COARSE, fitted


def why_not_classes(targets: Mapping[str, np.ndarray], what: str) -> str:
    """Why these targets, by split, cannot be classes, in one line with the remedy; empty if they can."""
    ys = list(targets.values())
    some = ys[0]
    described = f"{what}: targets are {some.dtype}{list(some.shape)}"
    if some.ndim != 1:
        remedy = "if each row marks one class, return y.argmax(1)" if some.ndim == 2 else "there is one per example"
        remedy = "return y[:, 0]" if some.shape[1:] == (1,) else remedy
        return f"{described}, and classes are integers [{len(some)}]: {remedy}"
    if any(y.dtype.kind == "f" for y in ys):
        finite = [y[np.isfinite(y)] for y in ys]
        whole = all((y == np.round(y)).all() for y in finite)
        if not whole:
            return f"{described} with fractions, and classes are integers: choose a regression loss"
        return f"{described} of whole numbers, and classes are integers: return y.astype(int)"
    found = sorted(set().union(*(np.unique(y).tolist() for y in ys)))
    if not found:
        return ""
    low, high = int(found[0]), int(found[-1])
    if low < 0:
        return f"{what}: label {low} found; labels must be 0 … {high}: number the classes from 0"
    if len(found) <= high:
        shown = ", ".join(map(str, found[:3])) + (", …" if len(found) > 3 else "")
        return (
            f"{what}: labels {shown} leave {high + 1 - len(found):,} of the classes 0 … {high} without an example: number "
            "them by np.unique(y, return_inverse=True)[1], or state how many there are, lanes.Labels(y, classes=…)"
        )
    return ""


def why_not_binary(data: Dataset, loss: str) -> str:
    """Why undeclared numbers are no targets of 0 and 1 for a loss that takes only those, in one line with the remedy."""
    ys = np.concatenate([np.asarray(split.y) for split in data.splits().values()])
    what = f"loss {loss} takes targets of 0 and 1, and those of {data.name}"
    found = np.unique(ys)
    if ys.shape[1:] != (1,):
        marks = (
            "rows that mark one class: use softmax_cross_entropy" if is_one_hot([ys]) else "several for each example"
        )
        return f"{what} are {marks}" + ("" if is_one_hot([ys]) else ": use a loss for them, such as squared_error")
    if len(found) > 2:
        return f"{what} are numbers from {found[0]:g} to {found[-1]:g}: use squared_error, or another loss for numbers"
    return f"{what} are {' and '.join(f'{value:g}' for value in found)}: return (y == {found[-1]:g})"


def is_one_hot(targets: Iterable[np.ndarray]) -> bool:
    """Whether every target is a row of one 1 among zeros."""
    return all(
        y.ndim == 2 and y.shape[1] > 1 and _zero_one(y) and bool((np.asarray(y).astype(np.int64).sum(1) == 1).all())
        for y in targets
    )


def _zero_one(y: np.ndarray) -> bool:
    return bool(((y == 0) | (y == 1)).all())


def real_targets(y: np.ndarray, what: str) -> np.ndarray:
    """Targets as float32 [N, D, …].

    Raises:
        ValueError: float32 rounds them by more than a thousandth of their deviation, or cannot hold them.
    """
    with np.errstate(over="ignore", under="ignore"):
        out = y.astype(np.float32, copy=False)
        exact = out is y or bool((out == y).all())
    if not exact and np.isfinite(y).all() and y.size:
        measured = fitted(y, "feature")
        rounding = float(np.max(measured.coarseness, initial=0))
        if measured.is_extreme or rounding > COARSE:
            low, high = (f"{float(end):.10g}" for end in (y.min(), y.max()))
            raise ValueError(
                f"{what}: targets from {low} to {high} lose digits as float32: subtract an offset, or choose another unit"
            )
    return out[:, None] if out.ndim == 1 else out


def as_tokens(data: Dataset) -> Dataset:
    """The integer inputs as tokens.

    Raises:
        ValueError: they are not integers, or negative.
    """
    inputs = {name: split.x if split.raw is None else split.raw for name, split in data.splits().items()}
    made = {name: given.tokens(x, None, f"data set {data.name!r}, split {name}: inputs") for name, x in inputs.items()}
    changed = {
        name: dataclasses.replace(split, x=made[name], raw=inputs[name]) for name, split in data.splits().items()
    }
    return dataclasses.replace(
        data,
        **changed,  # type: ignore[arg-type]
        offset=np.zeros((), np.float32),
        scale=np.ones((), np.float32),
        standardize="none",
        standardizer=None,
        tokens=1 + max(int(x.max()) for x in made.values()),
    )


def as_real(data: Dataset) -> Dataset:
    """Undeclared integer targets as numbers [N, D], and inputs that were tokens for their sake as numbers."""
    if data.task == "tokens":
        how = "feature" if data.train.x.ndim == 2 else "global"
        wide = {
            name: dataclasses.replace(split, raw=split.x if split.raw is None else split.raw)
            for name, split in data.splits().items()
        }
        data = dataclasses.replace(data, **wide, tokens=0).standardized(how)  # type: ignore[arg-type]
    return _with_targets(data, "real", lambda y: real_targets(y, f"data set {data.name!r}"))


def as_binary(data: Dataset) -> Dataset:
    """Two classes as one target of 0 or 1."""
    return _with_targets(data, "binary", lambda y: real_targets(y, data.name))


def as_multilabel(data: Dataset) -> Dataset:
    """Rows of 0 and 1 as labels that are not exclusive."""
    return _with_targets(data, "multilabel", lambda y: y)


def as_classes(data: Dataset) -> Dataset:
    """One-hot rows as the classes that they mark."""
    columns = data.train.y.shape[1]
    return _with_targets(data, "classes", lambda y: y.argmax(1).astype(np.int32), columns)


def can_be_classes(data: Dataset) -> bool:
    """Whether real targets are one-hot rows."""
    return data.task == "real" and is_one_hot(split.y for split in data.splits().values())


def can_be_some_of(data: Dataset, classes: int) -> bool:
    """Whether undeclared targets are labels of some of these classes, without an example of each."""
    ys = [split.y for split in data.splits().values()]
    if data.declared or data.task != "real" or any(y.shape[1:] != (1,) for y in ys):
        return False
    return all(bool(((y == np.round(y)) & (y >= 0) & (y < classes)).all()) for y in ys)


def as_some_of(data: Dataset, classes: int) -> Dataset:
    """Labels of some of these classes."""
    return _with_targets(data, "classes", lambda y: y[:, 0].astype(np.int32), classes)


def can_be_labels(data: Dataset) -> bool:
    """Whether real targets are all 0 or 1."""
    return data.task == "real" and all(split.y.ndim == 2 and _zero_one(split.y) for split in data.splits().values())


def _with_targets(
    data: Dataset, task: str, turn: Callable[[np.ndarray], np.ndarray], outputs: int | None = None
) -> Dataset:
    changed: dict[str, Split] = {
        name: dataclasses.replace(split, y=turn(split.y)) for name, split in data.splits().items()
    }
    width = changed["train"].y.shape[1] if outputs is None else outputs
    return check_dataset(dataclasses.replace(data, **changed, task=task, outputs=width))  # type: ignore[arg-type]


def described(data: Dataset) -> str:
    """The data set as it is read, in one line: `ages: 64/8/8 examples of 2 numbers (standardized per feature), 3 classes`."""
    counts = "/".join(str(len(split)) for split in data.splits().values())
    shape = " × ".join(map(str, data.train.x.shape[1:]))
    if data.holds_tokens:
        size = data.vocabulary_size
        inputs = f"{shape} tokens" + (f" of {size}" if size else "")
    else:
        how = {
            "feature": "standardized per feature",
            "global": "standardized",
            "unit": "scaled to 0 … 1",
            "none": "as they are",
        }
        inputs = f"{shape} numbers ({how.get(data.standardize or '', 'scaled as stated')})"
    if data.padded:
        inputs = f"up to {inputs}"
    several = "" if data.outputs == 1 else "s"
    targets = {
        "classes": f"{data.outputs} classes",
        "binary": "1 target of 0 or 1",
        "multilabel": f"{data.outputs} labels of 0 or 1",
        "real": f"{data.outputs} number{several} to predict",
        "tokens": f"next tokens of {data.outputs}",
    }
    return f"{data.name}: {counts} examples of {inputs}, {targets[data.task]}"
