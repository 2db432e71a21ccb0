"""The 1,797 handwritten digits of 8×8 pixels that scikit-learn ships, for sweeps and as a TFDS data set.

Sweeps read scikit-learn's file, without importing it or TFDS. Preparing the TFDS set needs neither a network nor TensorFlow.

Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998), test part.
"""

import contextlib
import dataclasses
import functools
import gzip
import importlib.util
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lanes.data.array_cache import Allocate, cached_arrays, data_dirs
from lanes.data.dataset import Dataset, Split, check_dataset, cut, joined, stratified_order
from lanes.data.label_noise import label_noise_field
from lanes.data.standardizing import standardization
from lanes.files import cache_dir

VERSION = "1.0.0"
SPLITS = {"train": 1437, "validation": 180, "test": 180}
SEED = 1797  # determines which digit is in which split; part of the version
WHITE = 16  # the highest grey level
CLASSES = tuple("0123456789")
SOURCE = Path("datasets", "data", "digits.csv.gz")  # in scikit-learn's folder: 64 grey levels and the digit in a row


@dataclasses.dataclass(frozen=True)
class Digits:
    """The digits: images [8, 8, 1] of 17 grey levels, 0 … 16, in ten classes; 1,437 / 180 / 180 examples.

    Args:
        standardize: see `lanes.data.standardizing.standardization`; "unit" divides by 16.
        valid_fraction: fraction of the 1,617 examples outside the test split to use for validation; None for the 180
            validation examples as prepared.
        split_seed: seed of that split, and of the label noise.
        label_noise: probability that a training label is drawn anew (`Dataset.with_label_noise`).
    """

    standardize: str = "global"
    valid_fraction: float | None = None
    split_seed: int = dataclasses.field(default=0, metadata={"replicate": "seed"})
    label_noise: float = label_noise_field()

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set: from scikit-learn's file the first time, then from the array cache; it is in no `data_dir`."""
        del data_dir

        def make(allocate: Allocate) -> None:
            for name, (x, y) in digits_splits().items():
                allocate(f"{name}_x", x.shape, np.uint8)[...] = x
                allocate(f"{name}_y", y.shape, np.int32)[...] = y

        arrays, _ = cached_arrays("digits", {"version": VERSION}, make)
        train, valid, test = (Split(arrays[f"{name}_x"], arrays[f"{name}_y"]) for name in SPLITS)
        if self.valid_fraction is not None:
            train, valid = cut(joined(train, valid), self.valid_fraction, self.split_seed)  # type: ignore[assignment]
        offset, scale = standardization(train.x, self.standardize)
        if self.standardize == "unit":
            scale = np.asarray(1 / WHITE, np.float32)  # grey levels end at 16, not at 255
        data = check_dataset(
            Dataset(
                name="digits",
                version=VERSION,
                train=train,
                valid=valid,
                test=test,
                task="classes",
                outputs=10,
                offset=offset,
                scale=scale,
                classes=CLASSES,
                standardize=None if self.standardize == "unit" else self.standardize,
                seeded=bool(self.valid_fraction),
            )
        )
        return data.with_label_noise(self.label_noise, self.split_seed)


def prepared_digits(data_dir: str | None) -> Path | None:
    """The folder of the prepared set, which is prepared if there is none; None if no folder can be written."""
    folders = [*data_dirs(data_dir), cache_dir() / "tfds"]
    for folder in folders:
        if (folder / "digits" / VERSION / "dataset_info.json").exists():
            return folder / "digits" / VERSION
    for folder in folders:
        with contextlib.suppress(OSError):  # not writable: try the next
            return prepare_digits(folder)
    return None


def digits_splits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """scikit-learn's arrays by split, stratified and shuffled: (uint8 [N, 8, 8, 1] of 0 … 16, int64 [N])."""
    images, labels = source_digits()
    order = stratified_order(labels, SEED)
    splits, start = {}, 0
    for name, count in SPLITS.items():
        rows = order[start : start + count]
        splits[name] = (images[rows], labels[rows])
        start += count
    return splits


def source_digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's images (uint8 [1797, 8, 8, 1] of 0 … 16) and labels (int64 [1797]), in its order.

    Its file is read where it is, since importing scikit-learn takes a second; where it is not, `load_digits` is called.
    """
    spec = importlib.util.find_spec("sklearn")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        with contextlib.suppress(OSError, ValueError, EOFError):  # another version's file may differ
            with gzip.open(Path(folder) / SOURCE, "rt") as file:
                table = np.loadtxt(file, np.uint8, delimiter=",")
            if table.shape == (sum(SPLITS.values()), 65) and table[:, :-1].max() == WHITE:
                return table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    source = load_digits()
    return source.images.astype(np.uint8)[..., None], source.target


@functools.cache
def digits_builder() -> Any:
    """The TFDS builder's class. TFDS is imported only here, because most programs need only the cached arrays."""
    import tensorflow_datasets as tfds

    class Digits(tfds.core.GeneratorBasedBuilder):
        """1,797 handwritten digits, 8×8 pixels of 17 grey levels, split 1,437 / 180 / 180 with equal class shares."""

        VERSION = tfds.core.Version(VERSION)
        RELEASE_NOTES = {"1.0.0": "Stratified splits by a fixed seed."}  # noqa: RUF012
        # Otherwise TFDS looks beside the code for checksums of downloads, with a module that it does not install.
        code_path = None

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(
                builder=self,
                description=type(self).__doc__,
                # Tensor features, unlike Image, can be prepared without TensorFlow.
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
                        "label": tfds.features.ClassLabel(names=list(CLASSES)),
                    }
                ),
                supervised_keys=("image", "label"),
                homepage="https://archive.ics.uci.edu/dataset/80",
                license="CC BY 4.0",
                disable_shuffling=True,  # already shuffled
            )

        def _split_generators(self, dl_manager: Any) -> Any:
            del dl_manager  # nothing is downloaded
            return {name: self._generate_examples(*arrays) for name, arrays in digits_splits().items()}

        def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Any:
            for index, (image, label) in enumerate(zip(images, labels)):
                yield index, {"image": image, "label": int(label)}

    Digits.name = "digits"
    return Digits


def prepare_digits(data_dir: str | os.PathLike[str]) -> Path:
    """Prepares `data_dir/digits/1.0.0` if it is missing, and returns its path.

    It is prepared in a temporary folder and then renamed, so that neither two processes at once nor a killed one leave
    a partial set.

    Raises:
        OSError: `data_dir` cannot be written.
    """
    final = Path(data_dir) / "digits" / VERSION
    if final.exists():
        return final
    Path(data_dir).mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".digits-", dir=data_dir))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # progress bars
            builder = digits_builder()(data_dir=str(work), file_format="array_record")
            builder.download_and_prepare()
        final.parent.mkdir(exist_ok=True)
        try:
            os.rename(work / "digits" / VERSION, final)
        except OSError:
            if not final.exists():  # if it does, another process has finished it with the same contents
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final
