"""Loading data sets by name, by description, or from the user's own function."""

import dataclasses
import difflib
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lanes.data.dataset import Dataset, Split, check_dataset, cut, joined, standardization
from lanes.data.digits import Digits
from lanes.data.generated_sets import (
    XOR,
    Adding,
    Blobs,
    Circles,
    ConvexRegions,
    Copy,
    Gates,
    Moons,
    Parity,
    Polynomial,
    Sine,
    Spirals,
)
from lanes.data.tfds import TFDS, not_prepared
from lanes.data.tfds_records import find_prepared, prepared_names
from lanes.errors import RequestError

__all__ = ["DATASETS", "Dataset", "Split", "from_arrays", "load_dataset"]


@runtime_checkable
class Description(Protocol):
    """Describes a data set: a frozen dataclass with its settings as fields."""

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set."""
        ...


@runtime_checkable
class HasValidation(Protocol):
    """A description that says which fraction of the training examples is for validation."""

    valid_fraction: float | None


@runtime_checkable
class HasSplitSeed(Protocol):
    """A description that brings the seed of its cuts."""

    split_seed: int


DATASETS: dict[str, Description] = {
    "digits": Digits(),
    "spirals": Spirals(),
    "moons": Moons(),
    "circles": Circles(),
    "blobs": Blobs(),
    "convex_regions": ConvexRegions(),
    "xor": XOR(),
    "gates": Gates(),
    "parity": Parity(),
    "sine": Sine(),
    "polynomial": Polynomial(),
    "adding": Adding(),
    "copy": Copy(),
    "mnist": TFDS("mnist"),
    "fashion_mnist": TFDS("fashion_mnist"),
    "mnist1d": TFDS("mnist1d"),
    "cifar10": TFDS("cifar10"),
    "cifar10_jpeg": TFDS("cifar10_jpeg"),  # a lossy stand-in for CIFAR-10: its images re-encoded as JPEG
    "tiny_shakespeare": TFDS("tiny_shakespeare", valid="validation+test"),
}

SPLIT_SEED = 0  # of the splits of the user's own arrays, which have no seed of their own
TEST_FRACTION = 0.1
VALID_FRACTION = 1 / 9  # of the rest, which makes 80 / 10 / 10


def load_dataset(
    data: str | Description | Callable[[], Any],
    *,
    valid_fraction: float | None = None,
    train_examples: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Loads a data set into host arrays.

    Args:
        data: a name in DATASETS or of a prepared TFDS set; a description (`Spirals(n=500)`); or a function without
            arguments that returns a Dataset, arrays (x, y), or a dict of splits: {"train": (x, y), …}.
        valid_fraction: fraction of the examples outside the test split that becomes the validation split, stratified,
            with the data set's own fixed seed; 0 for none. None: the data set's own.
        train_examples: keep this many training examples, in the overall class proportions: the first n of a fixed
            order, so that smaller subsets nest in larger ones.
        data_dir: where prepared TFDS sets are searched first, before $TFDS_DATA_DIR and ~/tensorflow_datasets.

    Raises:
        ValueError: an unknown name, a set that is not prepared, inconsistent arrays.
    """
    if isinstance(data, str):
        data = named(data, data_dir)
    where = None if data_dir is None else os.fspath(data_dir)
    if isinstance(data, Description):
        loaded = _with_valid_fraction(data, valid_fraction).load(where)
    elif callable(data):
        loaded = _user_data(data, valid_fraction)
    else:
        raise ValueError(f"data={data!r}: must be a name, a description such as Spirals(n=500), or a function")
    return loaded if train_examples is None else first_examples(loaded, data, train_examples)


def first_examples(loaded: Dataset, data: Any, n: int) -> Dataset:
    """The data set that `data` describes with its first n training examples only: `load_dataset`'s `train_examples`."""
    return loaded.first_examples(n, data.split_seed if isinstance(data, HasSplitSeed) else SPLIT_SEED)


def named(name: str, data_dir: str | os.PathLike[str] | None = None) -> Description:
    """The description that a name stands for: an entry of DATASETS, or any prepared TFDS set.

    Raises:
        RequestError: an unknown name (suggesting the nearest), or a TFDS set that is not prepared (with the command).
    """
    where = None if data_dir is None else os.fspath(data_dir)
    if name in DATASETS:
        return DATASETS[name]
    if find_prepared(name, where) is not None:
        return TFDS(name)
    import tensorflow_datasets as tfds  # only here, as it takes a second

    builders = tfds.list_builders(with_community_datasets=False)
    base = name.partition(":")[0].partition("/")[0]
    if base in builders or base in DATASETS:
        raise not_prepared(name, where)
    known = {*DATASETS, *prepared_names(where)}
    nearest = difflib.get_close_matches(name, known, n=1) or difflib.get_close_matches(name, builders, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise RequestError(f"unknown data set {name!r}: {hint}valid: {', '.join(sorted(known))}, or a name of TFDS")


def _with_valid_fraction(data: Description, fraction: float | None) -> Description:
    if fraction is None:
        return data
    if not isinstance(data, HasValidation):
        raise ValueError(f"valid_fraction={fraction}: {type(data).__name__} has no such field; leave it out")
    return dataclasses.replace(data, valid_fraction=fraction)  # type: ignore[type-var]


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
    """A data set from two arrays, split in three: stratified if y is one class per example, otherwise at random.

    Args:
        x: [N, *features]: uint8 images, numbers, or integer tokens [N, T].
        y: [N] integer classes, [N] or [N, D] real targets, or [N, T] next tokens.
        name: shown in results.
        test_fraction: fraction of N; 0 for none.
        valid_fraction: fraction of the rest; 0 for none. The defaults make 80 / 10 / 10.
        seed: seed of the splits.
        task: one of lanes.data.dataset.TASKS; None: "classes" for integers [N], "tokens" for integers of x's
            shape, otherwise "real".
        standardize: see `lanes.data.dataset.standardization`; None: "feature" for vectors, "global" otherwise.

    Raises:
        ValueError: inconsistent arrays, labels below 0, numbers that are not finite.
    """
    everything = _typed(x, y, task, name)
    kind = task or _task(everything)
    # Checked before splitting, so that indices in messages refer to the user's arrays.
    check_dataset(_assembled(name, everything, None, None, kind, "none"))
    rest, test = cut(everything, test_fraction, seed, "test_fraction")
    train, valid = cut(rest, valid_fraction, seed)
    outputs = _outputs([everything], kind)
    return check_dataset(_assembled(name, train, valid, test, kind, standardize, outputs))


def _user_data(make: Callable[[], Any], valid_fraction: float | None) -> Dataset:
    name = getattr(make, "__name__", type(make).__name__)
    result = make()
    if isinstance(result, Dataset):
        if valid_fraction is not None:
            raise ValueError(
                f"valid_fraction={valid_fraction}: {name} returns a Dataset, which is already split; leave it out"
            )
        return check_dataset(result)
    if isinstance(result, Mapping):
        return _from_splits(name, result, valid_fraction)
    if isinstance(result, tuple) and len(result) == 2:
        return from_arrays(
            *result, name=name, valid_fraction=VALID_FRACTION if valid_fraction is None else valid_fraction
        )
    raise ValueError(
        f"data={name}: returned {type(result).__name__}; must return a Dataset, (x, y), or a dict of splits"
    )


def _from_splits(name: str, parts: Mapping[str, Any], valid_fraction: float | None) -> Dataset:
    unknown = set(parts) - {"train", "valid", "test"}
    if unknown or "train" not in parts:
        raise ValueError(f"data={name}: splits {sorted(parts)}; must be train and, optionally, valid and test")
    splits = {}
    for key, part in parts.items():
        x, y = (part.x, part.y) if isinstance(part, Split) else part
        splits[key] = _typed(x, y, None, name)
    task = _task(splits["train"])
    outputs = _outputs(list(splits.values()), task)
    train, valid = splits["train"], splits.get("valid")
    if valid_fraction is not None:
        train, valid = cut(joined(train, valid), valid_fraction, SPLIT_SEED)
    return check_dataset(_assembled(name, train, valid, splits.get("test"), task, None, outputs))


def _typed(x: Any, y: Any, task: str | None, name: str) -> Split:
    """The arrays converted to the dtypes that the engine takes."""
    x, y = np.asarray(x), np.asarray(y)
    for what, array in (("x", x), ("y", y)):
        if array.dtype.kind not in "buif" or not array.ndim:
            raise ValueError(f"data={name}: {what} is {array.dtype}{list(array.shape)}; must be an array of numbers")
    if len(x) != len(y):
        raise ValueError(f"data={name}: {len(x)} inputs but {len(y)} targets; there must be as many of each")
    if x.dtype != np.uint8:
        x = x.astype(np.int32 if x.dtype.kind in "ui" else np.float32, copy=False)
    real = task in ("real", "binary", "multilabel") or y.dtype.kind == "f"
    y = y.astype(np.float32 if real else np.int32, copy=False)
    return Split(x, y[:, None] if real and y.ndim == 1 else y)


def _task(split: Split) -> str:
    if split.y.dtype.kind == "f":
        return "real"
    return "tokens" if split.y.ndim == 2 and split.y.shape == split.x.shape else "classes"


def _outputs(splits: list[Split], task: str) -> int:
    if task == "tokens":
        return 1 + max(int(max(split.x.max(), split.y.max())) for split in splits)
    if task == "classes":
        return 1 + max((int(split.y.max()) for split in splits if split.y.size), default=0)
    return splits[0].y.shape[1]


def _assembled(
    name: str,
    train: Split,
    valid: Split | None,
    test: Split | None,
    task: str,
    how: str | None,
    outputs: int | None = None,
) -> Dataset:
    if not len(train):
        raise ValueError(f"data={name}: no training examples; must have at least one")
    if how is None:
        how = "feature" if train.x.ndim == 2 else "global"
    if task == "tokens" or train.x.dtype == np.int32:
        how = "none"
    offset, scale = standardization(train.x, how)
    return Dataset(
        name=name,
        version="user",
        train=train,
        valid=valid,
        test=test,
        task=task,
        outputs=outputs or _outputs([train], task),
        offset=offset,
        scale=scale,
        standardize=how,
    )
