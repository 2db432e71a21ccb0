"""Training and evaluating on a data set that is not held on the device: batches come from the host, ahead of the steps.

The steps are those of resident training on the same batches; only the loop around them is the host's.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lanes.data.loading import Dataset
from lanes.data.streams import RowReader, Stream
from lanes.plan.packs import Pack
from lanes.program.chunks import Block, Close
from lanes.program.compiled import Compiled
from lanes.program.epoch import Partial
from lanes.program.lane import Lane, Status
from lanes.program.metrics import Evaluate
from lanes.program.over_lanes import Data
from lanes.program.places import Place

STEPS_AT_ONCE = 16  # most steps in one transfer
BLOCK_BYTES = 32 << 20  # most bytes in one transfer of an evaluation
Tree = Any


class StreamedEpochs:
    """Epochs of one pack, step by step from streamed batches.

    Args:
        pack: what is trained.
        dataset: where batches come from.
        seeds: the distinct seeds, in the order of the lanes' slots.
        place, compiled: as the trainer's.
        data: on the device: the splits that are held there, and how inputs are standardized.
        buffer_bytes: bound on the batches that exist at one time.
    """

    def __init__(
        self,
        pack: Pack,
        dataset: Dataset,
        seeds: list[int],
        place: Place,
        compiled: Compiled,
        data: Data,
        buffer_bytes: int,
    ):
        self.pack, self.place, self.compiled, self.data = pack, place, compiled, data
        seeds = seeds + seeds[:1] * (pack.seeds - len(seeds))
        size = pack.setup.run.batch_size
        one = Stream(dataset.train, tuple(seeds), size, buffer_bytes=1 << 62).item_bytes
        at_once = int(np.clip(buffer_bytes // (3 * one), 1, STEPS_AT_ONCE))
        self.stream = Stream(dataset.train, tuple(seeds), size, buffer_bytes, at_once)
        self._blocks: Iterator[tuple[np.ndarray, np.ndarray]] | None = None

    def begin(self, lanes: Lane) -> Partial:
        """An epoch before its first step."""
        none = self.place.split(np.zeros(self.pack.size, np.float32))
        running = np.asarray(jax.device_get(lanes.status)) == Status.RUNNING
        return Partial(lanes.trained, none, none, self.place.split(np.where(running, 0, -1).astype(np.int32)))

    def advance(
        self, partial: Partial, lanes: Lane, numbers: Tree, slots: Any, epoch: int, step: int, until: Callable[[], bool]
    ) -> tuple[Partial, int, bool]:
        """Take steps of an epoch from step `step` on, to its end or until `until()`: state, steps done, whether it ended."""
        setup = self.pack.setup
        last = setup.steps_per_epoch
        if setup.run.steps is not None:
            last = min(last, setup.run.steps - epoch * last)
        key = ("train", self.pack.signature, self.pack.width, self.pack.size, self.pack.seeds, "streamed")
        bare = self.data._replace(splits={})
        for x, y in self.stream.blocks(epoch, step):
            count = min(len(x), last - step)
            args = self._arguments(partial, lanes, numbers, slots, x, y, bare, epoch, step, count)
            block = self.compiled.get(key, self.place, Block(setup, self.pack.width), 4, args)
            partial = block(*args)
            step += count
            if step >= last or until():
                break
        jax.block_until_ready(partial.loss)
        return partial, step, step >= last

    def _arguments(
        self,
        partial: Partial,
        lanes: Lane,
        numbers: Tree,
        slots: Any,
        x: np.ndarray,
        y: np.ndarray,
        bare: Data,
        epoch: int,
        step: int,
        count: int,
    ) -> tuple[Any, ...]:
        """Arguments of the block program; the last item of an epoch is filled up to the others' length."""
        missing = self.stream.steps_at_once - len(x)
        if missing:
            x, y = (np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) for part in (x, y))
        at = epoch * self.pack.setup.steps_per_epoch + step
        batches = self.place.shared((x, y))
        return partial, lanes.plateau.factor, numbers, slots, batches, bare, jnp.int32(at), jnp.int32(count)

    def close(self, lanes: Lane, partial: Partial, numbers: Tree, epoch: int) -> tuple[Lane, dict[str, Any]]:
        """The lanes after the epoch, and what was measured: each metric [P, 1]."""
        splits = {name: split for name, split in self.data.splits.items() if name == "valid"}
        args = (lanes, partial, numbers, self.data._replace(splits=splits), jnp.int32(epoch))
        key = ("close", self.pack.signature, self.pack.width, self.pack.size)
        return self.compiled.get(key, self.place, Close(self.pack.setup, self.pack.width), 3, args)(*args)


def evaluate_streamed(
    dataset: Dataset, pack: Pack, place: Place, compiled: Compiled, best: Tree, numbers: Tree, data: Data
) -> dict[str, np.ndarray]:
    """Metrics [P] on the training split, read block by block in its own order."""
    split, total, done = dataset.train, len(dataset.train), 0
    rows = int(np.clip(BLOCK_BYTES // max(1, split.x[:1].nbytes), 1, total))
    readers = RowReader(split.x), RowReader(split.y)
    sums: dict[str, np.ndarray] = {}
    while done < total:
        places = np.arange(done, min(done + rows, total))
        block = place.shared(tuple(reader.rows(places) for reader in readers))
        args = (best, numbers, data._replace(splits={"train": block}))
        key = ("evaluate", pack.signature, pack.width, pack.size, len(places))
        function = Evaluate(pack.setup, pack.width)
        metrics = jax.device_get(compiled.get(key, place, function, 2, args)(*args)["train"])
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + value.astype(np.float64) * len(places)
        done += len(places)
    return {name: (value / total).astype(np.float32) for name, value in sums.items()}
