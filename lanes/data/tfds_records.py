"""Prepared TFDS sets on disk: finding them, and reading their records without TensorFlow; damaged files are named."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lanes.data.array_cache import data_dirs
from lanes.errors import RequestError
from lanes.files import cache_dir

READ_AT_ONCE = 2048  # records, so that a whole file is never in memory
NAME = re.compile(r"(?P<set>\w+)(/(?P<config>[^:/]+))?(:(?P<version>[\w.]+))?")


class Piece(NamedTuple):
    """Consecutive records of a split: the number of the first, their file, and their bytes."""

    start: int
    file: Path
    records: list[bytes]


def find_prepared(name: str, data_dir: str | None) -> Path | None:
    """The folder of a prepared set, or None.

    Args:
        name: `set`, `set/config`, `set:1.0.0` or `set/config:1.0.0`; without a version, the newest prepared.
        data_dir: searched first; see `lanes.data.array_cache.data_dirs`.

    Raises:
        RequestError: the name is not of that form, or the set has several configurations and none is named.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise RequestError(f"data={name!r}: must be a TFDS name such as mnist, mnist:3.0.1 or set/config:1.0.0")
    for folder in [*data_dirs(data_dir), cache_dir() / "tfds"]:
        root = folder / match["set"]
        if match["config"]:
            root /= match["config"]
        found = _newest(root, match["version"])
        if found is None and not match["config"]:
            found = _only_configuration(name, root, match["version"])
        if found is not None:
            return found
    return None


def _newest(root: Path, version: str | None) -> Path | None:
    folders = [root / version] if version else [path for path in root.glob("*.*.*") if path.is_dir()]
    folders = [folder for folder in folders if (folder / "dataset_info.json").is_file()]
    return max(folders, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)], default=None)


def _only_configuration(name: str, root: Path, version: str | None) -> Path | None:
    configurations = [path for path in sorted(root.glob("*")) if path.is_dir() and _newest(path, version)]
    if len(configurations) > 1:
        choices = ", ".join(f"{root.name}/{path.name}" for path in configurations)
        raise RequestError(f"data={name!r}: has several configurations; name one: {choices}")
    return _newest(configurations[0], version) if configurations else None


def prepared_names(data_dir: str | None) -> list[str]:
    """Names of all prepared sets in the folders."""
    infos = (path for folder in data_dirs(data_dir) for path in folder.glob("*/*/dataset_info.json"))
    return sorted({path.parents[1].name for path in infos})


def fingerprint(folder: Path) -> list[list[Any]]:
    """Names, sizes and modification times of a set's files, which identify what decoded arrays were made from."""
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(folder.glob("*"))]


class PreparedSet:
    """A prepared set: its metadata, and its records by TFDS's split syntax."""

    def __init__(self, folder: Path) -> None:
        import tensorflow_datasets as tfds

        self.folder = folder
        try:
            with quiet():
                self.info = tfds.builder_from_directory(str(folder)).info
        except Exception as error:  # JSON and protobuf readers raise anything
            raise RequestError(f"{folder}: metadata cannot be read ({first_line(error)}); prepare it again") from None
        self.features = self.info.features
        self.splits = list(self.info.splits)
        if not str(self.info.file_format).lower().endswith("array_record"):
            raise RequestError(
                f"{folder}: its files are {self.info.file_format}, must be array_record to be read without TensorFlow; "
                f"prepare it again: lanes prepare {self.info.name}"
            )

    def instructions(self, split: str) -> list[Any]:
        """TFDS's list of files, each with the number of records to skip and to take.

        Raises:
            RequestError: an unknown split, or a wrong syntax.
        """
        try:
            return list(self.info.splits[split].file_instructions)
        except Exception as error:  # KeyError, ValueError or AssertionError, depending on what is wrong
            raise RequestError(
                f"{self.info.name}: split {split!r} cannot be read ({first_line(error)}); "
                f"splits are {', '.join(self.splits)}, slices such as train[:50000] or train[10%:]"
            ) from None

    def count(self, split: str) -> int:
        """Number of records in a split or slice."""
        return sum(instruction.take for instruction in self.instructions(split))

    def pieces(self, split: str) -> Iterator[Piece]:
        """The records of a split in order, at most READ_AT_ONCE at a time.

        Raises:
            RequestError: a file is missing or damaged; the message names it.
        """
        start = 0
        for instruction in self.instructions(split):
            file = Path(instruction.filename)
            for records in self._records(file, instruction):
                yield Piece(start, file, records)
                start += len(records)

    def _records(self, file: Path, instruction: Any) -> Iterator[list[bytes]]:
        from array_record.python import array_record_module

        if not file.exists():
            raise self.damaged(file, "it is missing")
        try:
            reader = array_record_module.ArrayRecordReader(str(file))
        except Exception as error:  # RuntimeError and others, depending on what is wrong with the file
            raise self.damaged(file, first_line(error)) from None
        try:
            found = reader.num_records()
            if found != instruction.examples_in_shard:
                reason = f"{found} records can be read, {instruction.examples_in_shard} were written"
                raise self.damaged(file, reason)
            end = instruction.skip + instruction.take
            for first in range(instruction.skip, end, READ_AT_ONCE):
                try:
                    yield reader.read(first, min(first + READ_AT_ONCE, end))
                except RuntimeError as error:
                    raise self.damaged(file, first_line(error)) from None
        finally:
            with contextlib.suppress(RuntimeError):  # closing a damaged file raises its error again
                reader.close()

    def damaged(self, file: Path, reason: str) -> RequestError:
        """The error that names a damaged file."""
        return RequestError(
            f"record file {file} is damaged: {reason}; "
            f"restore it, or delete {self.folder} and run lanes prepare {self.info.name}"
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences TFDS's advice about OpenCV and TensorFlow."""
    from absl import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if the message is empty."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
