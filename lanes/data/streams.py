"""Streaming a data set that is too large for the device: batches are read from disk or host memory ahead of training.

They are the same batches, in the same order, as those of a resident data set (`lanes.data.orders.epoch_order`).
"""

import dataclasses
import functools
import os
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from lanes.data.dataset import Split
from lanes.data.orders import epoch_order

BUFFER_BYTES = 256 << 20
THREADS = 2  # reading and gathering mostly waits and copies; more threads would take cores from training


class RowReader:
    """Gathers rows of an array; reads those of a memory-mapped file directly, as mapped pages would fill the memory."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.row_bytes = array[:1].nbytes
        root = _mapped_root(array)
        self.file: int | None = None
        if root is not None and array.flags.c_contiguous and hasattr(os, "pread"):
            self.file = os.open(str(root.filename), os.O_RDONLY)
            self.start = root.offset + _address(array) - _address(root)
            weakref.finalize(self, os.close, self.file)

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """array[indices], for indices [...] and rows of any shape."""
        if self.file is None:
            return self.array[indices]
        out = np.empty((indices.size, *self.array.shape[1:]), self.array.dtype)
        flat = out.reshape(indices.size, -1).view(np.uint8) if self.row_bytes else out
        for row, index in enumerate(indices.ravel()):
            read = os.preadv(self.file, [flat[row]], self.start + int(index) * self.row_bytes)
            if read != self.row_bytes:
                raise OSError(f"{self.array.filename}: row {index} cannot be read: the file has become shorter")  # type: ignore[attr-defined]
        return out.reshape(*indices.shape, *self.array.shape[1:])


def _mapped_root(array: np.ndarray) -> np.memmap | None:
    """The memory-mapped array that this array is or is a view of, or None."""
    root, base = None, array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.filename is not None:
            root = base
        base = base.base  # type: ignore[assignment]
    return root


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@dataclasses.dataclass(frozen=True)
class Stream:
    """Batches of one split for several seeds at once, prefetched by Grain.

    Args:
        split: the split to stream; in memory, or memory-mapped as `load_dataset` returns it.
        seeds: the S distinct seeds of the lanes being trained.
        batch_size: B.
        buffer_bytes: bound on the batches in memory at any time, including the one being trained on.
        steps_at_once: K, training steps per item.
        part: (I, N): read only the I-th of N equal parts of each batch's examples; B below is then batch_size / N.

    Raises:
        ValueError: the batch size is not in 1 … N, no steps per item, or a buffer too small for two items.
    """

    split: Split
    seeds: tuple[int, ...]
    batch_size: int
    buffer_bytes: int = BUFFER_BYTES
    steps_at_once: int = 1
    part: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= len(self.split):
            raise ValueError(
                f"batch_size={self.batch_size}: must be from 1 to {len(self.split)}, the number of examples"
            )
        if self.steps_at_once < 1:
            raise ValueError(f"steps_at_once={self.steps_at_once}: must be at least 1")
        if self.buffer_bytes < 2 * self.item_bytes:
            raise ValueError(
                f"buffer_bytes={self.buffer_bytes}: must hold two items of {self.item_bytes} bytes "
                f"({self.steps_at_once} steps × {len(self.seeds)} seeds × {self.batch_size} examples); raise it"
            )

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return len(self.split) // self.batch_size

    @property
    def item_bytes(self) -> int:
        """Bytes of one item: steps_at_once batches of every seed."""
        example = self.split.x[:1].nbytes + self.split.y[:1].nbytes
        return self.steps_at_once * len(self.seeds) * self.batch_size * example

    def blocks(self, epoch: int = 0, step: int = 0, epochs: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Items (x [k, S, B, ...], y [k, S, B, ...]) of `epochs` epochs, starting at `step` of the first.

        k is steps_at_once, or less at the end of an epoch: no item spans two epochs. Nothing before the first step is
        read, so resuming costs nothing.
        """
        import grain

        starts = [
            (number, first)
            for number in range(epoch, epoch + epochs)
            for first in range(step if number == epoch else 0, self.steps, self.steps_at_once)
        ]
        if not starts:
            return
        read = _Reader(self)
        source: Any = grain.MapDataset.source(starts).map(read)
        ahead = self.buffer_bytes // self.item_bytes - 1  # the caller holds one more
        threads = min(THREADS, ahead)
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
        yield from source.to_iter_dataset(options)

    def batches(self, epoch: int = 0, step: int = 0, epochs: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One batch at a time: (x [S, B, ...], y [S, B, ...])."""
        for x, y in self.blocks(epoch, step, epochs):
            yield from zip(x, y)


class _Reader:
    """Makes the item that starts at (epoch, step)."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.x, self.y = RowReader(stream.split.x), RowReader(stream.split.y)
        self.orders = functools.lru_cache(2)(self._orders)  # the epoch ending and the one beginning

    def _orders(self, epoch: int) -> np.ndarray:
        """int32 [S, steps, B]: the examples of an epoch in order, for each seed."""
        stream = self.stream
        orders = [epoch_order(len(stream.split), seed, epoch, stream.batch_size) for seed in stream.seeds]
        return np.stack(orders).reshape(len(stream.seeds), stream.steps, stream.batch_size)

    def __call__(self, start: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        epoch, step = start
        rows = self.orders(epoch)[:, step : step + self.stream.steps_at_once].swapaxes(0, 1)  # [k, S, batch_size]
        index, count = self.stream.part
        size = self.stream.batch_size // count
        rows = rows[..., index * size : (index + 1) * size]  # [k, S, B]
        return self.x.rows(rows), self.y.rows(rows)
