"""Training and evaluation on a data set that does not fit on the device: the host sends batches ahead of the steps.

Steps and batches are those of resident training; only the loop around them runs on the host.
"""

import time
from typing import Any

import jax
import numpy as np

from lanes.data.streams import RowReader, Stream
from lanes.engine import order_tables
from lanes.engine.checkpointing import State
from lanes.engine.context import Context
from lanes.engine.regrouping import Seats
from lanes.plan.packs import Pack
from lanes.program.chunks import Block, Close
from lanes.program.epoch import Partial
from lanes.program.lane import Lane, Status
from lanes.program.metrics import Evaluate
from lanes.program.over_lanes import Data
from lanes.program.places import Place
from losses.metrics import is_over_set, name_of_metric

STEPS_AT_ONCE = 16  # most steps in one transfer
BLOCK_BYTES = 32 << 20  # most bytes in one transfer of an evaluation
Tree = Any


class StreamedEpochs:
    """Epochs of one pack, step by step from streamed batches.

    Args:
        pack: the pack to train.
        data: on the device: the splits that fit there, and how inputs are standardized.
        place, context: the trainer's.
    """

    def __init__(self, pack: Pack, data: Data, place: Place, context: Context):
        self.pack, self.data, self.place, self.context = pack, data, place, context
        dataset, buffer_bytes = context.data_of(pack), context.options.data_bytes
        seeds = order_tables.seeds(pack)
        seeds += seeds[:1] * (pack.seeds - len(seeds))
        size = pack.setup.run.batch_size
        step_bytes = Stream(dataset.train, tuple(seeds), size, buffer_bytes=1 << 62).item_bytes
        at_once = int(np.clip(buffer_bytes // (3 * step_bytes), 1, STEPS_AT_ONCE))
        self.stream = Stream(dataset.train, tuple(seeds), size, buffer_bytes, at_once, place.part)

    def advance(self, state: State, seats: Seats, until: int) -> tuple[State, dict[str, Any]]:
        """The state after `chunk_seconds` or at the end of the epoch, and the metrics measured there, each [P, 1]."""
        del until
        deadline = time.monotonic() + self.context.options.chunk_seconds
        partial, step = state.partial, state.step
        if partial is None:
            partial, step = self._begin(state.lanes), 0
        state, has_ended = self._steps(state._replace(step=step), partial, seats, deadline)
        return self._close(state, seats) if has_ended else (state, {})

    def _begin(self, lanes: Lane) -> Partial:
        """An epoch before its first step."""
        zeros = self.place.split(np.zeros(self.pack.size, np.float32))
        running = np.asarray(jax.device_get(lanes.status)) == Status.RUNNING
        return Partial(lanes.trained, zeros, zeros, self.place.split(np.where(running, 0, -1).astype(np.int32)))

    def _steps(self, state: State, partial: Partial, seats: Seats, deadline: float) -> tuple[State, bool]:
        """Take steps of the epoch in progress, to its end or the deadline; the state, and whether the epoch has ended."""
        setup, step = self.pack.setup, state.step
        last = setup.steps_per_epoch
        if setup.run.steps is not None:
            last = min(last, setup.run.steps - state.epoch * last)
        key = ("train", self.pack.signature, self.pack.width, self.pack.size, self.pack.seeds, "streamed")
        bare = self.data._replace(splits={})
        for x, y in self.stream.blocks(state.epoch, step):
            count = min(len(x), last - step)
            at = state.epoch * setup.steps_per_epoch + step
            inputs = (seats.numbers, seats.slots, self._padded(x, y), bare)
            args = (partial, state.lanes.plateau.factor, *inputs, np.int32(at), np.int32(count))
            block = self.context.compiled.get(key, self.place, Block(setup, self.pack.width), 4, args, stored=True)
            partial = block(*args)
            step += count
            if step >= last or self.context.options.hosts.agreed(time.monotonic() > deadline):
                break
        jax.block_until_ready(partial.loss)
        return state._replace(partial=partial, step=step), step >= last

    def _padded(self, x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
        """Batches at the place; an epoch's last block is padded to the length of the others."""
        missing = self.stream.steps_at_once - len(x)
        if missing:
            x, y = (np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) for part in (x, y))
        return self.place.batches((x, y))

    def _close(self, state: State, seats: Seats) -> tuple[State, dict[str, Any]]:
        """The state after the epoch, and its metrics, each [P, 1]."""
        splits = {name: split for name, split in self.data.splits.items() if name == "valid"}
        data = self.data._replace(splits=splits)
        args = (state.lanes, state.partial, seats.numbers, data, np.int32(state.epoch))
        key = ("close", self.pack.signature, self.pack.width, self.pack.size)
        program = self.context.compiled.get(
            key, self.place, Close(self.pack.setup, self.pack.width), 3, args, stored=True
        )
        lanes, measured = program(*args)
        return State(lanes, state.epoch + 1), measured


def evaluate_streamed(
    pack: Pack, data: Data, best: Tree, numbers: Tree, place: Place, context: Context
) -> dict[str, np.ndarray]:
    """Metrics [P] on the training split, read block by block in its own order; NaN for those over a set.

    Args:
        pack: the trained pack.
        data: on the device: how inputs are standardized.
        best: each lane's variables.
        numbers: the lanes' traced numbers.
        place, context: the trainer's.
    """
    split = context.data_of(pack).train
    total, done = len(split), 0
    rows = int(np.clip(BLOCK_BYTES // max(1, split.x[:1].nbytes), 1, total))
    readers = RowReader(split.x), RowReader(split.y)
    sums: dict[str, np.ndarray] = {}
    while done < total:
        indices = np.arange(done, min(done + rows, total))
        block = place.shared(tuple(reader.rows(indices) for reader in readers))
        args = (best, numbers, data._replace(splits={"train": block}))
        key = ("evaluate", pack.signature, pack.width, pack.size, len(indices))
        function = Evaluate(pack.setup, pack.width)
        metrics = jax.device_get(context.compiled.get(key, place, function, 2, args, stored=True)(*args)["train"])
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + value.astype(np.float64) * len(indices)
        done += len(indices)
    of_sets = sorted({name_of_metric(metric) for metric in pack.setup.run.metrics if is_over_set(metric)})
    if of_sets:
        names = ", ".join(f"train_{name}" for name in of_sets)
        context.directory.warn(
            f"{names}: not measured, as the training split is streamed and never whole on the device"
        )
        sums |= {name: np.full_like(sums[name], np.nan) for name in of_sets}
    return {name: (value / total).astype(np.float32) for name, value in sums.items()}
