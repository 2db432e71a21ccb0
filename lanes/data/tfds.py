"""Data sets of TensorFlow Datasets (TFDS), read from prepared array_record files without TensorFlow."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import numpy as np

from lanes.data.array_cache import Allocate, cached_arrays, data_dirs
from lanes.data.dataset import STANDARDIZATIONS, Dataset, Split, check_dataset, standardization
from lanes.data.tfds_decoding import Decoding
from lanes.data.tfds_records import PreparedSet, find_prepared, fingerprint
from lanes.errors import RequestError

VALID_FRACTION = 0.1  # of a set that brings no validation split


@dataclasses.dataclass(frozen=True)
class TFDS:
    """A prepared TFDS set: `TFDS("mnist")`, `TFDS("mnist:3.0.1", train="train[:50000]", valid="train[50000:]")`.

    Inputs are images (uint8), numbers, or text as characters; targets classes or numbers. Text without targets becomes
    sequences whose targets are their next characters. Integers other than uint8 are tokens.

    Args:
        name: `set`, `set/config`, with `:version` if not the newest that is prepared.
        train, valid, test: splits in TFDS's own syntax. `valid` None: the split `validation` if there is one, otherwise
            a part of train; `test` None: the split `test` if there is one. (Not if another part names it.)
        valid_fraction: this part of the training examples (`valid` joined to them) is for validation: stratified by
            class, of text the end; 0 for none. None: 0.1 where there is no validation split.
        split_seed: of that cut.
        inputs, target: names of features, in place of the set's supervised keys.
        standardize: see `lanes.data.dataset.standardization`; None: "feature" for vectors, "global" for others.
        shuffled_positions: reorder the positions of every example (series: steps; images: pixels) by one fixed
            permutation, which takes their neighbourhood away.
        sequence: characters of a text sequence, ≥ 1.
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

    def check(self) -> None:
        """Raises ValueError where a field is out of its range."""
        if self.standardize not in (None, *STANDARDIZATIONS):
            raise ValueError(f"standardize={self.standardize!r}: must be None or one of {', '.join(STANDARDIZATIONS)}")
        if self.valid_fraction is not None and not 0 <= self.valid_fraction < 1:
            raise ValueError(f"valid_fraction={self.valid_fraction}: must be at least 0 and below 1")
        if self.sequence < 1:
            raise ValueError(f"sequence={self.sequence}: must be at least 1")

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set: decoded the first time, afterwards read from the array cache.

        Raises:
            RequestError: it is not prepared, a record file is damaged, or its features are of no supported kind.
        """
        self.check()
        folder = find_prepared(self.name, data_dir)
        if folder is None:
            raise not_prepared(self.name, data_dir)
        settings = dataclasses.asdict(self)
        del settings["standardize"]  # computed from the arrays, not in them
        key = {"version": folder.name, "files": fingerprint(folder), **settings}
        slug = re.sub(r"\W+", "_", self.name)
        arrays, notes = cached_arrays(slug, key, functools.partial(_decode, self, folder))
        splits = {part: Split(arrays[f"{part}_x"], arrays[f"{part}_y"]) for part in notes["parts"]}
        train, tokens = splits["train"], notes["task"] == "tokens" or splits["train"].x.dtype == np.int32
        how = "none" if tokens else self.standardize or ("feature" if train.x.ndim == 2 else "global")

        def measure(allocate: Allocate) -> None:
            measured = np.stack(standardization(train.x, how))
            allocate("standardization", measured.shape, np.float32)[...] = measured

        # Kept too: on a large set it takes longer than loading.
        measured, _ = cached_arrays(f"{slug}_standardization", {**key, "standardize": how}, measure)
        offset, scale = (np.asarray(row) for row in measured["standardization"])
        return check_dataset(
            Dataset(
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
            )
        )


def not_prepared(name: str, data_dir: str | None) -> RequestError:
    """The error for a set that no folder has."""
    folders = ", ".join(map(str, data_dirs(data_dir)))
    command = f"lanes prepare {name}" + (f" --data-dir {data_dir}" if data_dir else "")
    return RequestError(f"data set {name!r} is not prepared in {folders}: run {command}")


def _decode(wanted: TFDS, folder: Path, allocate: Allocate) -> dict[str, Any]:
    """Fills the arrays of the parts; returns what else a Dataset needs."""
    source = PreparedSet(folder)
    parts, fraction = _parts(wanted, source)
    inputs, target = _keys(wanted, source)
    decoding = Decoding(source, inputs, target, parts, fraction, wanted.split_seed)
    if decoding.is_text:
        return decoding.texts(allocate, wanted.sequence)
    return decoding.arrays(allocate, wanted.shuffled_positions)


def _parts(wanted: TFDS, source: PreparedSet) -> tuple[dict[str, str], float]:
    """The split to read for each part, and the fraction of train that is then cut off for validation."""
    parts = {"train": wanted.train}
    named = re.findall(r"[A-Za-z_]\w*", f"{wanted.train} {wanted.valid or ''}")
    valid = wanted.valid or ("validation" if "validation" in source.splits and "validation" not in named else None)
    fraction = wanted.valid_fraction
    if valid is not None and fraction is None:
        parts["valid"] = valid
    elif valid is not None:
        parts["train"] += f"+{valid}"
    test = wanted.test or ("test" if "test" in source.splits and "test" not in named else None)
    if test is not None:
        parts["test"] = test
    if fraction is None:
        fraction = 0.0 if valid is not None else VALID_FRACTION
    return parts, fraction


def _keys(wanted: TFDS, source: PreparedSet) -> tuple[str, str | None]:
    """Names of the input's and of the target's feature; a single feature of text needs no target."""
    names = list(source.features)
    inputs, target = wanted.inputs, wanted.target
    if inputs is None and source.info.supervised_keys is not None:
        keys = source.info.supervised_keys
        if len(keys) != 2 or not all(isinstance(key, str) for key in keys):
            raise RequestError(f"{wanted.name}: supervised keys are {keys}, must be two names; set inputs and target")
        inputs, target = keys[0], target or keys[1]
    elif inputs is None and len(names) == 1:
        inputs = names[0]
    if inputs is None or not {inputs, target or inputs} <= set(names):
        raise RequestError(
            f"{wanted.name}: inputs={inputs!r}, target={target!r}; set inputs and target to two of {', '.join(names)}"
        )
    return inputs, target
