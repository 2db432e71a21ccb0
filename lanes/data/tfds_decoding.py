"""Decoding the records of a prepared TFDS set, straight into its arrays on disk."""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lanes.data.array_cache import Allocate
from lanes.data.characters import next_tokens, padded_texts
from lanes.data.dataset import share, stratified_order
from lanes.data.given import INT32_MAX
from lanes.data.readings import real_targets
from lanes.data.tfds_records import PreparedSet, first_line, quiet
from lanes.errors import RequestError

POSITIONS_SEED = 0x1D  # of the permutation of `shuffled_positions`


@dataclasses.dataclass(frozen=True)
class Decoding:
    """Decodes the parts of a set.

    Args:
        source: the prepared set.
        inputs, target: names of features; target None for text whose targets are its next characters.
        parts: the TFDS split to read for train and optionally for valid and test.
        fraction: fraction of train to split off as valid.
        seed: seed of that split.
    """

    source: PreparedSet
    inputs: str
    target: str | None
    parts: dict[str, str]
    fraction: float
    seed: int

    @property
    def is_text(self) -> bool:
        """Whether the inputs are text."""
        return type(self.source.features[self.inputs]).__name__ == "Text"

    def arrays(self, allocate: Allocate, shuffled_positions: bool) -> dict[str, Any]:
        """Decodes images or numbers into the parts' arrays; returns the other fields of a Dataset."""
        if self.target is None:
            raise RequestError(f"{self.source.info.name}: the set has no supervised keys; set inputs and target")
        shape, dtype = self._inputs()
        targets = {part: self._targets(split) for part, split in self.parts.items()}
        task, outputs, classes = self._task(targets, shape)
        positions = np.random.Generator(np.random.Philox(POSITIONS_SEED)).permutation(int(np.prod(shape[:-1])))
        for part, split in self.parts.items():
            rows = self._destinations(part, targets[part], shape, dtype, allocate)
            for start, block in self._read(split, self._stacked_inputs(dtype)):
                if shuffled_positions:
                    block = block.reshape(len(block), len(positions), -1)[:, positions].reshape(block.shape)
                for array, destination in rows:
                    to = destination[start : start + len(block)]
                    array[to[to >= 0]] = block[to >= 0]
        names = list(dict.fromkeys([*self.parts, *(["valid"] if self.fraction else [])]))
        declared = hasattr(self.source.features[self.target], "num_classes") or task != "classes"
        notes = {"task": task, "outputs": outputs, "classes": classes, "declared": declared}
        return {"parts": names, "vocabulary": (), **notes}

    def texts(self, allocate: Allocate, sequence: int) -> dict[str, Any]:
        """Encodes texts as tokens, with the next characters or the set's own targets; returns as `arrays` does."""
        texts = {
            part: [text for _, block in self._read(split, self._text) for text in block]
            for part, split in self.parts.items()
        }
        if self.target is None:
            whole = {part: "".join(lines) for part, lines in texts.items()}
            pairs, vocabulary = next_tokens(whole, sequence, self.fraction)
            task, outputs, classes = "tokens", len(vocabulary), list(vocabulary)
        else:
            targets = {part: self._targets(split) for part, split in self.parts.items()}
            task, outputs, classes = self._task(targets, (sequence,))
            if self.fraction:
                order, count = self._cut(targets["train"])
                lines, y = texts["train"], targets["train"]
                for part, rows in (("valid", order[:count]), ("train", order[count:])):
                    texts[part], targets[part] = [lines[row] for row in rows], y[rows]
            inputs, vocabulary = padded_texts(texts, sequence)
            pairs = {part: (x, targets[part]) for part, x in inputs.items()}
        for part, (x, y) in pairs.items():
            allocate(f"{part}_x", x.shape, x.dtype)[...] = x
            allocate(f"{part}_y", y.shape, y.dtype)[...] = y
        notes = {"task": task, "outputs": outputs, "classes": classes, "declared": True}
        return {"parts": list(pairs), "vocabulary": vocabulary, **notes}

    def _inputs(self) -> tuple[tuple[int, ...], Any]:
        """Shape of an example and dtype of the inputs' array: the feature's own, where float32 or bytes do not hold it."""
        feature = self.source.features[self.inputs]
        shape, dtype = feature.shape, getattr(feature, "np_dtype", None)
        if not isinstance(shape, tuple) or None in shape or dtype is None or np.dtype(dtype).kind not in "buif":
            raise RequestError(
                f"{self.source.info.name}: feature {self.inputs!r} is {feature!r}; must be numbers of one fixed shape, "
                f"or text: convert it in a builder of your own"
            )
        kind = np.dtype(dtype)
        return tuple(shape) or (1,), np.dtype(np.float32) if kind.kind == "b" or kind == np.float16 else kind

    def _targets(self, split: str) -> np.ndarray:
        """The targets of a split in order, without decoding the inputs."""
        feature = self.source.features[self.target]
        kind = getattr(feature, "np_dtype", None)
        if kind is None or not isinstance(feature.shape, tuple) or None in feature.shape:
            raise RequestError(
                f"{self.source.info.name}: target {self.target!r} is {feature!r}; must be a class, or numbers "
                f"of one fixed shape"
            )
        real = np.dtype(kind).kind == "f"
        blocks = [block for _, block in self._read(split, self._stacked_targets(kind if real else np.int64))]
        if not blocks:
            raise RequestError(f"{self.source.info.name}: split {split!r} is empty; must hold at least one record")
        y = np.concatenate(blocks)
        where = f"{self.source.info.name}: target {self.target!r}"
        if real:
            return real_targets(y, where)
        if y.size and int(np.abs(y).max()) > INT32_MAX:
            raise RequestError(f"{where} goes beyond 2^31: convert it to a float in a builder of your own")
        return y.astype(np.int32)

    def _task(self, targets: dict[str, np.ndarray], shape: tuple[int, ...]) -> tuple[str, int, list[str]]:
        """Task, number of outputs, and class names."""
        y = targets["train"]
        if y.dtype == np.float32:
            return "real", y.shape[1], []
        highest = 1 + max(int(y.max()) for y in targets.values())
        if y.shape[1:] == shape:
            return "tokens", highest, []
        classes = list(getattr(self.source.features[self.target], "names", None) or [])
        return "classes", getattr(self.source.features[self.target], "num_classes", None) or highest, classes

    def _cut(self, y: np.ndarray) -> tuple[np.ndarray, int]:
        return stratified_order(y, self.seed), share(len(y), self.fraction, "valid_fraction")

    def _destinations(
        self, part: str, y: np.ndarray, shape: tuple[int, ...], dtype: Any, allocate: Allocate
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Writes the targets; returns the input arrays to fill, each with every record's row in it, or -1."""
        groups = {part: np.arange(len(y))}
        if part == "train" and self.fraction:
            order, count = self._cut(y)
            groups = {"train": order[count:], "valid": order[:count]}
        filled = []
        for name, rows in groups.items():
            allocate(f"{name}_y", (len(rows), *y.shape[1:]), y.dtype)[...] = y[rows]
            destination = np.full(len(y), -1)
            destination[rows] = np.arange(len(rows))
            filled.append((allocate(f"{name}_x", (len(rows), *shape), dtype), destination))
        return filled

    def _stacked_inputs(self, dtype: Any) -> Callable[[list[bytes]], np.ndarray]:
        skipped = self._skip(self.target)
        shape, _ = self._inputs()
        declared = self.source.features[self.inputs].shape

        def decode(records: list[bytes]) -> np.ndarray:
            block = np.empty((len(records), *shape), dtype)
            for row, record in enumerate(records):
                example = self.source.features.deserialize_example_np(record, decoders=skipped)[self.inputs]
                if np.shape(example) != declared:  # assignment would broadcast some wrong shapes
                    raise ValueError(f"an example has shape {np.shape(example)}, must be {declared}")
                block[row] = example
            return block

        return decode

    def _stacked_targets(self, dtype: Any) -> Callable[[list[bytes]], np.ndarray]:
        skipped = self._skip(self.inputs)

        def decode(records: list[bytes]) -> np.ndarray:
            examples = (self.source.features.deserialize_example_np(record, decoders=skipped) for record in records)
            return np.stack([np.asarray(example[self.target], dtype) for example in examples])

        return decode

    def _text(self, records: list[bytes]) -> list[str]:
        examples = (self.source.features.deserialize_example_np(record) for record in records)
        return [example[self.inputs].decode("utf-8", "replace") for example in examples]

    def _skip(self, name: str | None) -> dict[str, Any]:
        """Decoders that skip the feature of this name if decoding it would take time."""
        import tensorflow_datasets as tfds

        return {name: tfds.decode.SkipDecoding()} if name and _is_encoded(self.source.features[name]) else {}

    def _read(self, split: str, decode: Callable[[list[bytes]], Any]) -> Iterator[tuple[int, Any]]:
        """Blocks of a split's records, decoded in threads, each with the number of its first record."""
        with quiet(), concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for piece in self.source.pieces(split):
                starts = range(0, len(piece.records), 256)
                blocks = [pool.submit(decode, piece.records[start : start + 256]) for start in starts]
                for start, block in zip(starts, blocks):
                    try:
                        decoded = block.result()
                    except Exception as error:  # decoders raise anything on bytes that they cannot read
                        raise self.source.damaged(piece.file, first_line(error)) from None
                    yield piece.start + start, decoded


def _is_encoded(feature: Any) -> bool:
    return type(feature).__name__ in ("Image", "Video", "Audio")
