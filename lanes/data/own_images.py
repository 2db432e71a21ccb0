"""A folder of images of the user's own: a folder for each class."""

import dataclasses
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lanes.data.dataset import Dataset, Split, check_dataset, cut, joined
from lanes.data.label_noise import label_noise_field
from lanes.data.own_arrays import SPLIT_SEED, TEST_FRACTION, VALID_FRACTION
from lanes.data.own_files import found
from lanes.data.standardizing import STANDARDIZATIONS, standardization
from lanes.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
MODES = {1: "L", 3: "RGB"}  # by number of channels


@dataclasses.dataclass(frozen=True)
class Images:
    """Images in a folder for each class: `Images("flowers", size=(32, 32))` reads `flowers/rose/17.png`, ….

    Classes are numbered in the order of their folders' names. Files of other kinds and hidden ones are skipped.

    Args:
        path: of the folder, from the current folder or from --data-dir.
        train, valid, test: folders in it that hold the class folders of each split: `Images("flowers", train="train",
            test="val")`. By default the folder itself holds the classes; `valid` and `test` None are cut off from `train`.
        size: height and width to which images are resized (bilinear); None: all must have one size.
        channels: 1 for grey, 3 for RGB images; None: all must be of one kind. Transparency is dropped only if stated.
        valid_fraction: fraction of the training images, those of `valid` included, for validation, stratified by class; 0
            for none. None: 1/9, which makes 80 / 10 / 10, or the folder `valid`.
        test_fraction: fraction of all images for testing where there is no folder `test`; 0 for none.
        split_seed: seed of these splits.
        standardize: see `lanes.data.standardizing.standardization`.
        label_noise: probability that a training label is drawn anew (`Dataset.with_label_noise`), by `split_seed`.
    """

    path: str
    train: str = ""
    valid: str | None = None
    test: str | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    valid_fraction: float | None = None
    test_fraction: float = TEST_FRACTION
    split_seed: int = dataclasses.field(default=SPLIT_SEED, metadata={"replicate": "seed"})
    standardize: str = "global"
    label_noise: float = label_noise_field()

    def __post_init__(self) -> None:
        if isinstance(self.path, os.PathLike):
            object.__setattr__(self, "path", os.fspath(self.path))
        if isinstance(self.size, list):
            object.__setattr__(self, "size", tuple(self.size))

    def check(self) -> None:
        """Raises ValueError if a field is out of range."""
        if self.size is not None and (len(self.size) != 2 or not all(type(n) is int and n > 0 for n in self.size)):
            raise ValueError(f"size={self.size}: must be height and width in pixels, such as (32, 32)")
        if self.channels not in (None, *MODES):
            raise ValueError(f"channels={self.channels}: must be 1 for grey or 3 for RGB images")
        if self.standardize not in STANDARDIZATIONS:
            raise ValueError(f"standardize={self.standardize!r}: must be one of {', '.join(STANDARDIZATIONS)}")

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set; all images are decoded into memory.

        Raises:
            RequestError: a folder is missing or holds no image, a file is damaged, images differ in size or kind.
            ValueError: a field is out of range.
        """
        self.check()
        root = found(self.path, data_dir, "folder")
        folders = {"train": self.train, "valid": self.valid, "test": self.test}
        files = {part: _files(root / name) for part, name in folders.items() if name is not None}
        classes = sorted({name for name, _ in files["train"]})
        for part, listed in files.items():
            for name, path in listed:
                if name not in classes:
                    raise RequestError(
                        f"{path.parent} is a class of {part} and not of train: it must have training images"
                    )
        reader = _Reader(self.size, None if self.channels is None else MODES[self.channels])
        made = {part: _split(listed, classes, reader) for part, listed in files.items()}
        train, valid, test = made["train"], made.get("valid"), made.get("test")
        if test is None:
            train, test = cut(train, self.test_fraction, self.split_seed, "test_fraction")
        fraction = self.valid_fraction
        if fraction is not None or valid is None:
            train, valid = cut(joined(train, valid), VALID_FRACTION if fraction is None else fraction, self.split_seed)
        offset, scale = standardization(train.x, self.standardize)
        data = check_dataset(
            Dataset(
                name=os.path.basename(os.path.normpath(self.path)),
                version="user",
                train=train,
                valid=valid,
                test=test,
                task="classes",
                outputs=len(classes),
                offset=offset,
                scale=scale,
                classes=tuple(classes),
                standardize=self.standardize,
                seeded=self.valid is None or self.test is None or bool(self.valid_fraction),
            )
        )
        return data.with_label_noise(self.label_noise, self.split_seed)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Class and path of each image below a folder of class folders, in order."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise RequestError(f"{folder} cannot be read ({error.strerror}): give a folder of class folders") from None
    listed = []
    for name in names:
        entries = sorted(path for path in (folder / name).iterdir() if not path.name.startswith("."))
        below = [path.name for path in entries if path.is_dir()]
        if below:
            raise RequestError(
                f"{folder / name} holds folders ({', '.join(below[:3])}), and a class's folder holds images: name the folder of "
                f"each split, as in Images(…, train={name!r}), or move the images up"
            )
        inside = [path for path in entries if path.suffix.lower() in SUFFIXES]
        if not inside:
            raise RequestError(
                f"{folder / name} holds no image ({', '.join(SUFFIXES[:4])}, …): remove the folder, or fill it"
            )
        listed += [(name, path) for path in inside]
    if not listed:
        raise RequestError(f"{folder} holds no class folders: put each class's images into a folder of its name")
    return listed


class _Reader:
    """Decodes images to one size and kind: those stated, or those of the first image."""

    def __init__(self, size: tuple[int, int] | None, mode: str | None):
        self._resized, self._stated = size, mode is not None
        self._size, self._mode, self._first = size, mode, Path()

    def read(self, path: Path) -> np.ndarray:
        """uint8 [H, W, C]."""
        from PIL import Image, UnidentifiedImageError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path) as image:
                    image.load()
                    return self._converted(image, path)
        except RequestError:
            raise
        except UnidentifiedImageError:
            raise RequestError(f"{path} is no image that can be read: mend or remove it") from None
        except Exception as error:  # decoders raise anything on bytes that they cannot read
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RequestError(f"{path} cannot be decoded ({line}): mend or remove it") from None

    def _converted(self, image: "Image.Image", path: Path) -> np.ndarray:
        from PIL import Image

        if image.mode.startswith(("I", "F")):
            raise RequestError(
                f"{path} has numbers beyond 8 bits (mode {image.mode}): return such images as arrays from a function"
            )
        opaque = image.convert("RGB") if image.mode == "P" and "transparency" not in image.info else image
        opaque = opaque.convert("L") if opaque.mode == "1" else opaque
        mode = self._mode or opaque.mode
        if mode not in MODES.values():
            raise RequestError(f"{path} is of mode {opaque.mode}: state channels=3 or channels=1 to convert images")
        if not self._stated and opaque.mode != mode:
            raise RequestError(
                f"{path} is of mode {opaque.mode} and {self._first} of {mode}: state channels=3 or channels=1 to convert images"
            )
        size = self._size or (opaque.height, opaque.width)
        if self._resized is None and (opaque.height, opaque.width) != size:
            raise RequestError(
                f"{path} has {opaque.height} × {opaque.width} pixels and {self._first} {size[0]} × {size[1]}: state "
                f"size=({size[0]}, {size[1]}) to resize images"
            )
        if self._size is None or self._mode is None:
            self._size, self._mode, self._first = size, mode, self._first if self._first.name else path
        converted = opaque.convert(mode)
        if converted.size != size[::-1]:
            converted = converted.resize(size[::-1], Image.Resampling.BILINEAR)
        array = np.asarray(converted, np.uint8)
        return array[..., None] if array.ndim == 2 else array


def _split(listed: list[tuple[str, Path]], classes: list[str], reader: _Reader) -> Split:
    number = {name: index for index, name in enumerate(classes)}
    first = reader.read(listed[0][1])
    x = np.empty((len(listed), *first.shape), np.uint8)
    for row, (_, path) in enumerate(listed):
        x[row] = first if row == 0 else reader.read(path)
    return Split(x, np.array([number[name] for name, _ in listed], np.int32))
