"""Data sets of TensorFlow Datasets (TFDS), read from prepared array_record files without TensorFlow."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import numpy as np

from lanes.data.array_cache import Allocate, cached_arrays, data_dirs
from lanes.data.dataset import Dataset, Split, check_dataset
from lanes.data.given import tokens
from lanes.data.label_noise import label_noise_field
from lanes.data.standardizing import STANDARDIZATIONS, standardization
from lanes.data.tfds_decoding import Decoding
from lanes.data.tfds_records import PreparedSet, find_prepared, fingerprint
from lanes.errors import RequestError

VALID_FRACTION = 0.1  # for sets without a validation split
FORMAT = 2  # of the cached arrays: integers and wide floats in their own types


@dataclasses.dataclass(frozen=True)
class TFDS:
    """A prepared TFDS set: `TFDS("mnist")`, `TFDS("mnist:3.0.1", train="train[:50000]", valid="train[50000:]")`.

    Inputs are images (uint8), numbers, or text as characters; targets are classes or numbers. Text without targets
    becomes sequences whose targets are the next characters. Integers are numbers, unless the net or the task reads tokens.

    Args:
        name: `set` or `set/config`, with `:version` for a version other than the newest prepared.
        train, valid, test: splits in TFDS's own syntax. `valid` None: the split `validation` if there is one, otherwise
            a part of train; `test` None: the split `test` if there is one. (Unless another part names it.)
        valid_fraction: fraction of the training examples (including those of `valid`) to use for validation, stratified
            by class, or the end of a text; 0 for none. None: 0.1 if there is no validation split.
        split_seed: seed of that split, and of the label noise.
        inputs, target: names of features, instead of the set's supervised keys.
        standardize: see `lanes.data.standardizing.standardization`; None: "feature" for vectors, "global" otherwise.
        shuffled_positions: reorder the positions of every example (steps of series, pixels of images) by one fixed
            permutation, which destroys their neighbourhoods.
        sequence: length of text sequences in characters, ≥ 1.
        label_noise: probability that a training label is drawn anew (`Dataset.with_label_noise`).
    """

    name: str
    train: str = "train"
    valid: str | None = None
    test: str | None = None
    valid_fraction: float | None = None
    split_seed: int = 0
    inputs: str | None = None
    target: str | None = None
    standardize: str | None = None
    shuffled_positions: bool = False
    sequence: int = 64
    label_noise: float = label_noise_field()

    def check(self) -> None:
        """Raises ValueError if a field is out of range."""
        if self.standardize not in (None, *STANDARDIZATIONS):
            raise ValueError(f"standardize={self.standardize!r}: must be None or one of {', '.join(STANDARDIZATIONS)}")
        if self.valid_fraction is not None and not 0 <= self.valid_fraction < 1:
            raise ValueError(f"valid_fraction={self.valid_fraction}: must be at least 0 and below 1")
        if self.sequence < 1:
            raise ValueError(f"sequence={self.sequence}: must be at least 1")

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set: decoded the first time, then read from the array cache.

        Raises:
            RequestError: it is not prepared, a record file is damaged, or its features are of an unsupported kind.
        """
        self.check()
        folder = find_prepared(self.name, data_dir)
        if folder is None:
            raise not_prepared(self.name, data_dir)
        settings = dataclasses.asdict(self)
        del settings["standardize"], settings["label_noise"]  # computed from the arrays, not in them
        key = {"version": folder.name, "files": fingerprint(folder), "format": FORMAT, **settings}
        slug = re.sub(r"\W+", "_", self.name)
        arrays, notes = cached_arrays(slug, key, functools.partial(_decode, self, folder))
        splits = {part: Split(arrays[f"{part}_x"], arrays[f"{part}_y"]) for part in notes["parts"]}
        if notes["task"] == "tokens" and not notes["vocabulary"]:
            splits = {
                part: Split(tokens(split.x, None, f"{self.name}: {part} inputs"), split.y)
                for part, split in splits.items()
            }
        train, are_tokens = splits["train"], bool(notes["vocabulary"]) or notes["task"] == "tokens"
        if are_tokens and self.standardize not in (None, "none"):
            raise RequestError(
                f"{self.name}: standardize={self.standardize!r}, and its inputs are tokens, which are not standardized: leave "
                "it out"
            )
        how = "none" if are_tokens else self.standardize or ("feature" if train.x.ndim == 2 else "global")
        wide = not are_tokens and train.x.dtype not in (np.uint8, np.float32)

        def measure(allocate: Allocate) -> None:
            measured = np.stack(standardization(train.x, how))
            allocate("standardization", measured.shape, np.float32)[...] = measured

        offset, scale = np.zeros((), np.float32), np.ones((), np.float32)
        if not wide:
            # Cached too: on a large set it takes longer than loading.
            measured, _ = cached_arrays(f"{slug}_standardization", {**key, "standardize": how}, measure)
            offset, scale = (np.asarray(row) for row in measured["standardization"])
        data = Dataset(
            name=self.name.partition(":")[0],
            version=folder.name,
            train=train,
            valid=splits.get("valid"),
            test=splits.get("test"),
            task=notes["task"],
            outputs=notes["outputs"],
            offset=offset,
            scale=scale,
            classes=tuple(notes["classes"]),
            vocabulary=tuple(notes["vocabulary"]),
            standardize=how,
            declared=notes["declared"],
            # The validation part of a text is its end.
            seeded=not (notes["vocabulary"] and notes["task"] == "tokens")
            and bool(_parts(self, PreparedSet(folder))[1]),
        )
        checked = check_dataset(data.standardized(how) if wide else data)
        return checked.with_label_noise(self.label_noise, self.split_seed)


def not_prepared(name: str, data_dir: str | None) -> RequestError:
    """The error for a set that is in none of the folders."""
    folders = ", ".join(map(str, data_dirs(data_dir)))
    command = f"lanes prepare {name}" + (f" --data-dir {data_dir}" if data_dir else "")
    return RequestError(f"data set {name!r} is not prepared in {folders}: run {command}")


def _decode(description: TFDS, folder: Path, allocate: Allocate) -> dict[str, Any]:
    """Fills the arrays of the parts; returns the other fields that a Dataset needs."""
    source = PreparedSet(folder)
    parts, fraction = _parts(description, source)
    inputs, target = _keys(description, source)
    decoding = Decoding(source, inputs, target, parts, fraction, description.split_seed)
    if decoding.is_text:
        return decoding.texts(allocate, description.sequence)
    return decoding.arrays(allocate, description.shuffled_positions)


def _parts(description: TFDS, source: PreparedSet) -> tuple[dict[str, str], float]:
    """The TFDS split of each part, and the fraction of train to split off for validation."""
    parts = {"train": description.train}
    named = re.findall(r"[A-Za-z_]\w*", f"{description.train} {description.valid or ''}")
    own_valid = "validation" if "validation" in source.splits and "validation" not in named else None
    valid = description.valid or own_valid
    fraction = description.valid_fraction
    if valid is not None and fraction is None:
        parts["valid"] = valid
    elif valid is not None:
        parts["train"] += f"+{valid}"
    test = description.test or ("test" if "test" in source.splits and "test" not in named else None)
    if test is not None:
        parts["test"] = test
    if fraction is None:
        fraction = 0.0 if valid is not None else VALID_FRACTION
    return parts, fraction


def _keys(description: TFDS, source: PreparedSet) -> tuple[str, str | None]:
    """Names of the input and target features; a set with a single text feature needs no target."""
    names = list(source.features)
    inputs, target = description.inputs, description.target
    if inputs is None and source.info.supervised_keys is not None:
        keys = source.info.supervised_keys
        if len(keys) != 2 or not all(isinstance(key, str) for key in keys):
            raise RequestError(
                f"{description.name}: supervised keys are {keys}, must be two names; set inputs and target"
            )
        inputs, target = keys[0], target or keys[1]
    elif inputs is None and len(names) == 1:
        inputs = names[0]
    if inputs is None or not {inputs, target or inputs} <= set(names):
        raise RequestError(
            f"{description.name}: inputs={inputs!r}, target={target!r}; set inputs and target to two of {', '.join(names)}"
        )
    return inputs, target
