"""Data sets from the user's own arrays: what their dtypes mean, and what the targets can be."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lanes.data import given, sequences
from lanes.data.converted import converted
from lanes.data.dataset import Dataset, Split, check_dataset, check_finite, cut, joined
from lanes.data.given import Labels, Numbers, Tokens, as_array
from lanes.data.readings import is_one_hot, real_targets, why_not_classes

SPLIT_SEED = 0  # of the splits of the user's own arrays, which have no seed of their own
TEST_FRACTION = 0.1
VALID_FRACTION = 1 / 9  # of the rest, which makes 80 / 10 / 10


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What the arrays of a data set are, from what was stated and from all of its splits.

    Attributes:
        task: one of lanes.data.dataset.TASKS.
        declared: whether it was stated.
        outputs: number of classes, dimension of the target, or size of the vocabulary.
        not_classes: why undeclared targets cannot be classes.
        tokens: size of the vocabulary of inputs that are tokens, otherwise 0.
        classes: names of the classes, if stated.
        padded: whether the inputs are series of unequal length.
    """

    task: str
    declared: bool
    outputs: int
    not_classes: str = ""
    tokens: int = 0
    classes: tuple[str, ...] = ()
    padded: bool = False


def from_arrays(
    x: Any,
    y: Any,
    *,
    name: str = "arrays",
    valid_fraction: float = VALID_FRACTION,
    test_fraction: float = TEST_FRACTION,
    seed: int = SPLIT_SEED,
    task: str | None = None,
    standardize: str | None = None,
) -> Dataset:
    """A data set from two arrays, split in three: stratified if y is one integer per example, otherwise at random.

    Args:
        x: [N, *features], numbers of any type, or [N] for one feature; `Tokens(x)`, or `Numbers(x)`. Integers are numbers
            unless the net or the task reads tokens; uint8 images stay bytes.
        y: [N] classes from 0, or `Labels(y)`; [N] or [N, D] targets; [N, T] next tokens.
        name: shown in results.
        test_fraction: fraction of N; 0 for none.
        valid_fraction: fraction of the rest; 0 for none. The defaults make 80 / 10 / 10.
        seed: seed of the splits.
        task: one of lanes.data.dataset.TASKS; None: the run's task or loss decides what y is. Integers [N] are then
            classes for a loss of classes or of the user's own, and numbers for a regression loss; 0 and 1 are binary
            for a binary loss; rows of one 1 are classes for a loss of classes.
        standardize: see `lanes.data.standardizing.standardization`; None: "feature" for vectors, "global" otherwise.

    Raises:
        ValueError: inconsistent arrays, labels below 0 or without an example, anything that is not a finite number.
    """
    parts = {"all": (x, y)}
    splits, meaning = _understood(parts, task, standardize, name)
    # Checked before splitting, so that indices in messages refer to the user's arrays.
    where = f"data set {name!r}"
    if not meaning.padded:
        check_finite(splits["all"].x, where, "inputs")
    check_finite(splits["all"].y, where, "targets")
    rest, test = cut(splits["all"], test_fraction, seed, "test_fraction")
    train, valid = cut(rest, valid_fraction, seed)
    return _assembled(name, {"train": train, "valid": valid, "test": test}, meaning, standardize)


def user_data(make: Callable[[], Any], valid_fraction: float | None) -> Dataset:
    """The data set that a user's function returns.

    Raises:
        ValueError: it returns anything but a Dataset, (x, y) or a dict of splits, or arrays as in `from_arrays`.
    """
    name = getattr(make, "__name__", type(make).__name__)
    result = make()
    if isinstance(result, Dataset):
        if valid_fraction is not None:
            raise ValueError(
                f"valid_fraction={valid_fraction}: {name} returns a Dataset, which is already split; leave it out"
            )
        return check_dataset(converted(result))
    if isinstance(result, Mapping):
        return from_splits(name, result, valid_fraction)
    if isinstance(result, tuple) and len(result) == 2:
        return from_arrays(
            *result, name=name, valid_fraction=VALID_FRACTION if valid_fraction is None else valid_fraction
        )
    raise ValueError(
        f"data={name}: returned {type(result).__name__}; must return a Dataset, (x, y), or a dict of splits"
    )


def from_splits(
    name: str,
    parts: Mapping[str, Any],
    valid_fraction: float | None = None,
    *,
    task: str | None = None,
    standardize: str | None = None,
    seed: int = SPLIT_SEED,
    seeded: bool = True,
) -> Dataset:
    """A data set from the arrays (x, y) of its splits; see `from_arrays`.

    Args:
        name: shown in results.
        parts: (x, y) of "train" and, optionally, "valid" and "test".
        valid_fraction: fraction of train and valid that becomes valid; None: valid as it is.
        task, standardize: see `from_arrays`.
        seed: of the split by `valid_fraction`.
        seeded: see `Dataset`.

    Raises:
        ValueError: as `from_arrays`.
    """
    unknown = set(parts) - {"train", "valid", "test"}
    if unknown or "train" not in parts:
        raise ValueError(f"data={name}: splits {sorted(parts)}; must be train and, optionally, valid and test")
    pairs = {}
    for key, part in parts.items():
        pair = (part.x, part.y) if isinstance(part, Split) else part
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"data={name}: split {key} is {type(pair).__name__}; it must be (x, y)")
        pairs[key] = tuple(pair)
    splits, meaning = _understood(pairs, task, standardize, name)
    for key, split in splits.items():
        if not meaning.padded:
            check_finite(split.x, f"data set {name!r}, split {key}", "inputs")
        check_finite(split.y, f"data set {name!r}, split {key}", "targets")
    train, valid = splits["train"], splits.get("valid")
    if valid_fraction is not None:
        train, valid = cut(joined(train, valid), valid_fraction, seed)
    data = _assembled(name, {"train": train, "valid": valid, "test": splits.get("test")}, meaning, standardize)
    return dataclasses.replace(data, seeded=seeded)


def _understood(
    pairs: Mapping[str, tuple[Any, Any]], task: str | None, standardize: str | None, name: str
) -> tuple[dict[str, Split], Meaning]:
    """The arrays of the splits, and what they are."""
    if not isinstance(task, str | None):
        raise ValueError(f"data={name}: task={task!r} must be a name of lanes.data.dataset.TASKS or None")
    stated_x, stated_y = [pair[0] for pair in pairs.values()], [pair[1] for pair in pairs.values()]
    named = {key: f"data={name}: {_of(key)}x" for key in pairs}
    series = sequences.read({key: pair[0] for key, pair in pairs.items()}, named)
    if series is None:
        xs = {key: _inputs(pair[0], named[key]) for key, pair in pairs.items()}
    else:
        xs = {key: x for key, (x, _) in series.items()}
    ys = {key: _targets(pair[1], f"data={name}: {_of(key)}y") for key, pair in pairs.items()}
    for key in pairs:
        if len(xs[key]) != len(ys[key]):
            raise ValueError(
                f"data={name}: {len(xs[key])} inputs but {len(ys[key])} targets; there must be as many of each"
            )
    if any(x.dtype != np.uint8 for x in xs.values()):
        xs = {key: x.astype(np.float32) if x.dtype == np.uint8 and len(xs) > 1 else x for key, x in xs.items()}
    if not any(len(x) for x in xs.values()):
        raise ValueError(f"data={name}: no training examples; must have at least one")
    vocabulary = _vocabulary(stated_x, xs, task, name)
    meaning = _meaning(xs, ys, stated_y, task, vocabulary, name)
    if series is not None:
        meaning = _of_series(xs, meaning, standardize, name)
    if meaning.tokens:
        if standardize not in (None, "none"):
            raise ValueError(f"data={name}: standardize={standardize!r}, and tokens are not standardized: leave it out")
        xs = {key: given.tokens(x, meaning.tokens, f"data={name}: {_of(key)}x") for key, x in xs.items()}
    if series is not None:
        xs = {key: sequences.marked(xs[key], lengths) for key, (_, lengths) in series.items()}
    return {key: Split(xs[key], ys[key]) for key in pairs}, meaning


def _of_series(xs: Mapping[str, np.ndarray], meaning: Meaning, standardize: str | None, name: str) -> Meaning:
    """The meaning of series of unequal length, whose padding is 0 here."""
    for key, x in xs.items():
        check_finite(x, f"data set {name!r}{f', split {key}' if key != 'all' else ''}", "inputs")
    if meaning.task == "tokens":
        raise ValueError(
            f"data={name}: series of unequal length have a target for each step, whose padding would count in the loss: give "
            "one target for each series, or cut them to one length"
        )
    if standardize == "unit":
        raise ValueError(f"data={name}: standardize='unit' is for images, and x are series: choose another")
    return dataclasses.replace(meaning, padded=True)


def _of(split: str) -> str:
    return "" if split == "all" else f"{split} "


def _inputs(value: Any, what: str) -> np.ndarray:
    if isinstance(value, Tokens | Numbers):
        return _column(as_array(value.x, what))
    x = as_array(value, what)
    given.check_channels(x, what)
    return _column(x)


def _column(x: np.ndarray) -> np.ndarray:
    return x[:, None] if x.ndim == 1 else x


def _targets(value: Any, what: str) -> np.ndarray:
    return as_array(value.y if isinstance(value, Labels) else value, what)


def _vocabulary(stated: list[Any], xs: Mapping[str, np.ndarray], task: str | None, name: str) -> int:
    """Size of the vocabulary of inputs that were stated to be tokens; 0 if they were not."""
    declared = [isinstance(value, Tokens) for value in stated]
    integers = all(x.dtype.kind in "iu" for x in xs.values())
    if not any(declared) and not (task == "tokens" and integers):
        return 0
    if any(declared) and not all(declared):
        raise ValueError(f"data={name}: some splits are Tokens and some are not; they must all be")
    sizes = [value.vocabulary for value in stated if isinstance(value, Tokens) and value.vocabulary is not None]
    for key, x in xs.items():
        given.tokens(x, max(sizes, default=None), f"data={name}: {_of(key)}x")
    return max(sizes) if sizes else 1 + max((int(x.max()) for x in xs.values() if x.size), default=0)


def _meaning(
    xs: Mapping[str, np.ndarray],
    ys: Mapping[str, np.ndarray],
    stated: list[Any],
    task: str | None,
    vocabulary: int,
    name: str,
) -> Meaning:
    labels = [value for value in stated if isinstance(value, Labels)]
    if labels and task not in (None, "classes"):
        raise ValueError(f"data={name}: y are Labels, and task={task!r} is for other targets: leave one of them out")
    task = "classes" if labels else task
    some_x, some_y = next(iter(xs.values())), next(iter(ys.values()))
    names = next((value.classes for value in labels if isinstance(value.classes, tuple | list)), ())
    counts = [value.count for value in labels if value.classes is not None]
    integers = all(y.dtype.kind in "biu" for y in ys.values())
    if task in ("real", "binary", "multilabel"):
        return Meaning(task, True, 1 if some_y.ndim == 1 else some_y.shape[1], tokens=vocabulary)
    if task == "tokens" or (task is None and integers and _is_next_tokens(some_x, some_y)):
        highest = 1 + max((int(y.max()) for y in ys.values() if y.size), default=0)
        read = some_x.dtype.kind in "iu"
        size = max(highest, vocabulary or 1 + max((int(x.max()) for x in xs.values() if x.size), default=0))
        return Meaning("tokens", task is not None, size if read else highest, tokens=size if read else 0)
    reason = "" if counts else why_not_classes(ys, f"data={name}")
    if task is not None or counts:
        if reason:
            raise ValueError(reason)
        highest = 1 + max((int(y.max()) for y in ys.values() if y.size), default=0)
        return Meaning(task or "classes", True, max(counts) if counts else highest, "", vocabulary, tuple(names))
    if not reason and integers:
        return Meaning(
            "classes", False, 1 + max((int(y.max()) for y in ys.values() if y.size), default=0), tokens=vocabulary
        )
    if is_one_hot(ys.values()):
        reason = ""
    elif some_x.shape[1:] == (1,) and some_y.ndim == 2 and some_y.shape[1] > 1 and some_x.dtype.kind in "iub":
        reason += "; if x and y are swapped, return (x, y)"
    return Meaning("real", False, 1 if some_y.ndim == 1 else some_y.shape[1], reason, vocabulary)


def _is_next_tokens(x: np.ndarray, y: np.ndarray) -> bool:
    return x.dtype.kind in "iu" and y.ndim == 2 and x.shape == y.shape and y.shape[1] > 1


def _assembled(name: str, splits: Mapping[str, Split | None], meaning: Meaning, how: str | None) -> Dataset:
    typed = {key: split and _typed(split, meaning, f"data={name}") for key, split in splits.items()}
    train = typed["train"]
    if train is None or not len(train):
        raise ValueError(f"data={name}: no training examples; must have at least one")
    data = Dataset(
        name=name,
        version="user",
        train=train,
        valid=typed["valid"],
        test=typed["test"],
        task=meaning.task,
        outputs=meaning.outputs,
        offset=np.zeros((), np.float32),
        scale=np.ones((), np.float32),
        classes=meaning.classes,
        standardize="none",
        tokens=meaning.tokens,
        declared=meaning.declared,
        not_classes=meaning.not_classes,
        padded=meaning.padded,
    )
    if not meaning.tokens:
        data = data.standardized(how or ("feature" if train.x.ndim == 2 else "global"))
    return check_dataset(data)


def _typed(split: Split, meaning: Meaning, what: str) -> Split:
    """The split with targets of the dtype that the engine takes; undeclared numbers are checked when a loss reads them."""
    y = split.y
    if meaning.task in ("classes", "tokens"):
        return dataclasses.replace(split, y=y.astype(np.int32) if y.dtype.kind in "biu" else y)
    try:
        return dataclasses.replace(split, y=real_targets(y, what))
    except ValueError as error:
        if meaning.declared or y.dtype.kind == "f":
            raise
        raise ValueError(
            f"{error}; or, if they name classes, number these by np.unique(y, return_inverse=True)[1]"
        ) from None
