"""Training on a data set held on the device, in chunks of whole epochs; a chunk is one call of the compiled program."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lanes.engine import group_calls, order_tables
from lanes.engine.checkpointing import State
from lanes.engine.context import ProgramContext
from lanes.engine.order_tables import OrderTables
from lanes.engine.regrouping import Seats
from lanes.plan.packs import Pack
from lanes.program.chunks import Chunk
from lanes.program.lane import Lane
from lanes.program.over_lanes import Data
from lanes.program.places import Place

MOST_EPOCHS = 256  # most epochs in a chunk
BEGINNING = 0.1  # seconds that the first call of a program takes longer than others, at least
Tree = Any


def training_key(pack: Pack) -> tuple[Any, ...]:
    """The key of a pack's training program; packs with equal keys share it."""
    return "train", pack.signature, pack.width, pack.size, pack.seeds


class ResidentEpochs:
    """Trains packs at one place in chunks of whole epochs, whose length follows the options."""

    def __init__(self, place: Place, context: ProgramContext):
        self.place, self.context = place, context
        self._orders = OrderTables(place)
        self._epoch_seconds: dict[str, float] = {}  # by signature

    def advancing(self, pack: Pack, data: Data) -> Callable[[State, Seats, int], tuple[State, dict[str, Any]]]:
        """A function that trains one more chunk: (state, seats, last epoch allowed) -> (state after it, its metrics)."""
        chunk: Callable | None = None

        def advance(state: State, seats: Seats, until: int) -> tuple[State, dict[str, Any]]:
            nonlocal chunk
            chunk = chunk or self.program(pack, state.lanes, seats.numbers, data)
            longest = self.longest(pack)
            left = min(until - state.epoch, longest - state.epoch % longest)
            count = self.context.options.hosts.agreed(self._length(pack, left))
            table = self._orders.table(pack, longest, state.epoch, pack.epochs)
            before = time.perf_counter()
            own, shared = (
                (state.lanes, seats.numbers, seats.slots),
                (table, data, np.int32(state.epoch), np.int32(count)),
            )
            per_call = group_calls.lanes_per_call(self.place, pack)
            lanes, history = group_calls.call(chunk, per_call, own, shared)
            lanes = self.place.split(lanes) if per_call < pack.size else lanes
            jax.block_until_ready(lanes.status)
            seconds, is_first = time.perf_counter() - before, pack.signature not in self._epoch_seconds
            self._epoch_seconds[pack.signature] = (without_beginning(seconds) if is_first else seconds) / count
            history = jax.device_get(history)
            names = self._function(pack).metrics(data)
            return State(lanes, state.epoch + count), {name: history[..., at] for at, name in enumerate(names)}

        return advance

    def longest(self, pack: Pack) -> int:
        """Most epochs in one call of the training program; the same for all packs of a signature."""
        return max(1, min(MOST_EPOCHS, self.context.options.chunk_steps // pack.setup.steps_per_epoch))

    def program(
        self, pack: Pack, lanes: Lane, numbers: Tree, data: Data, traced: Callable[[], None] | None = None
    ) -> Callable:
        """A pack's training program, compiled for the place; the arguments may be shapes. `traced`: as in `Programs.get`."""
        longest = self.longest(pack)
        own = lanes, numbers, jax.ShapeDtypeStruct((pack.size,), np.int32)
        own = group_calls.first_lanes(self.place, own, group_calls.lanes_per_call(self.place, pack))
        table = jax.ShapeDtypeStruct(order_tables.shape(pack, longest), np.int32)
        number = jax.ShapeDtypeStruct((), np.int32)
        shared = self.place.like((table, data, number, number), split=False)
        args = (*own, *shared)
        get, function = self.context.compiled.get, self._function(pack)
        return get(training_key(pack), self.place, function, 3, args, traced, stored=True)

    def _function(self, pack: Pack) -> Chunk:
        return Chunk(pack.setup, pack.width, self.longest(pack))

    def _length(self, pack: Pack, left: int) -> int:
        """Number of epochs for the next call; 1 until the program's speed is known."""
        seconds = self._epoch_seconds.get(pack.signature)
        count = 1 if seconds is None else int(self.context.options.chunk_seconds / max(seconds, 1e-6))
        return max(1, min(count, left, self.longest(pack)))


def without_beginning(seconds: float) -> float:
    """What the first call of a training program would have taken later, an estimate that is rather too long.

    It touches memory for the first time, and what is needed next is imported and compiled beside it: an epoch of 0.17 s takes
    0.25 to 0.35 s there. The estimate is at least 1/1.4 of what was measured, so no chunk is longer than 1.4 times its target.
    """
    return max(seconds - BEGINNING, seconds / 1.4)
