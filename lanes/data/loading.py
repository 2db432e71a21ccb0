"""Loading data sets by name, by description, or from the user's own function."""

import dataclasses
import difflib
import os
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from lanes.data.dataset import Dataset, Split
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
    ShapeSet,
    Sine,
    Spirals,
)
from lanes.data.mnist1d import MNIST1D
from lanes.data.own_arrays import SPLIT_SEED, from_arrays, user_data
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
    "mnist1d_generated": MNIST1D(),
    "shape_set": ShapeSet(),
    "mnist": TFDS("mnist"),
    "fashion_mnist": TFDS("fashion_mnist"),
    "mnist1d": TFDS("mnist1d"),
    "cifar10": TFDS("cifar10"),
    "cifar10_jpeg": TFDS("cifar10_jpeg"),  # a lossy stand-in for CIFAR-10: its images re-encoded as JPEG
    "tiny_shakespeare": TFDS("tiny_shakespeare", valid="validation+test"),
}


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
        loaded = user_data(data, valid_fraction)
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
