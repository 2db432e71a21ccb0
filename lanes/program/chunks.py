"""The training programs of one static signature: chunks of epochs on the device, or blocks of streamed steps.

A pack of P lanes runs as G groups of `width` lanes: `lax.map` over the groups, `vmap` over the lanes of a group (at
width 1 the plain step, without `vmap`). Loops are outside the `vmap`, so their conditions are not batched: a group whose
lanes have all ended costs nothing, and neither does a group of padding. On a CPU the programs take one group, and the host
loops over them (`lanes.engine.group_calls`).
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from lanes.program.epoch import Epoch, Partial
from lanes.program.lane import Lane, Status
from lanes.program.over_lanes import Data, Numbers, over_groups
from lanes.program.step import Setup, standardize


@dataclasses.dataclass(frozen=True)
class Chunk:
    """The training program for a data set held on the device: `count` epochs of a pack of lanes, starting at epoch `first`.

    Attributes:
        setup, width: as in `Epoch`.
        longest: most epochs in one call, and the length of the history.
    """

    setup: Setup
    width: int
    longest: int

    def __call__(
        self, lanes: Lane, numbers: Numbers, slots: Array, orders: Array, data: Data, first: Array, count: Array
    ) -> tuple[Lane, Array]:
        """Lanes [P] after the chunk, and the history [P, longest, `metrics`], NaN where nothing was measured.

        Args:
            lanes: [P], before the chunk.
            numbers: the runs' traced numbers [P].
            slots: [P], each lane's row in `orders`.
            orders: [S, longest, steps per epoch · B] indices of training examples, one row per distinct seed; epoch e is at
                index e modulo `longest`.
            data: the data set.
            first: number of the first epoch, from 0.
            count: epochs to train, at most `longest`.
        """
        program, size, per_epoch = Epoch(self.setup, self.width), self.setup.run.batch_size, self.setup.steps_per_epoch
        x, y = data.splits["train"]

        def batch(rows: Array) -> tuple[Array, Array]:
            return standardize(x[rows], data.offset, data.scale), y[rows]

        names = program.metrics(data)

        def group(lanes: Lane, numbers: Numbers, slots: Array) -> tuple[Lane, Array]:
            def going(carry: tuple[Array, Lane, Any]) -> Array:
                return (carry[0] < count) & jnp.any(carry[1].status == Status.RUNNING)

            def epoch(carry: tuple[Array, Lane, Any]) -> tuple[Array, Lane, Any]:
                at, lanes, history = carry
                number = first + at
                order = orders[:, number % self.longest]

                def rows(i: Array) -> tuple[Array]:
                    return (lax.dynamic_slice_in_dim(order, i * size, size, axis=1)[slots],)

                partial = program.advance(
                    program.begin(lanes),
                    numbers,
                    lanes.plateau.factor,
                    number * per_epoch,
                    program.steps(number),
                    rows,
                    batch,
                )
                lanes, measured = program.close(lanes, partial, numbers, data, number)
                row = jnp.stack([measured[name].astype(history.dtype) for name in names], axis=-1)
                return at + 1, lanes, lax.dynamic_update_slice_in_dim(history, row[:, None], at, axis=1)

            history = jnp.full((self.width, self.longest, len(names)), jnp.nan)
            _, lanes, history = lax.while_loop(going, epoch, (jnp.int32(0), lanes, history))
            return lanes, history

        return over_groups(group, self.width, lanes, numbers, slots)

    def metrics(self, data: Data) -> tuple[str, ...]:
        """Names of the metrics in the history, in its order."""
        return Epoch(self.setup, self.width).metrics(data)


@dataclasses.dataclass(frozen=True)
class Block:
    """The training program for streamed batches: some steps of one epoch, for a pack of lanes."""

    setup: Setup
    width: int

    def __call__(
        self,
        partial: Partial,
        factors: Array,
        numbers: Numbers,
        slots: Array,
        batches: tuple[Array, Array],
        data: Data,
        at: Array,
        count: Array,
    ) -> Partial:
        """The epoch in progress [P] after `count` more steps, starting at step `at` of the run.

        Args:
            partial: [P], before these steps.
            factors: [P], learning-rate factors of the plateau schedule.
            numbers: the runs' traced numbers [P].
            slots: [P], each lane's row in the batches.
            batches: raw x and y [k, S, B, …] of k steps for S distinct seeds; the first `count` steps are trained on.
            data: how inputs are standardized; no splits.
            at: number of the first step, from 0.
            count: at most k.
        """
        program = Epoch(self.setup, self.width)
        x, y = batches

        def batch(x: Array, y: Array) -> tuple[Array, Array]:
            return standardize(x, data.offset, data.scale), y

        def group(partial: Partial, factors: Array, numbers: Numbers, slots: Array) -> Partial:
            return program.advance(partial, numbers, factors, at, count, lambda i: (x[i][slots], y[i][slots]), batch)

        return over_groups(group, self.width, partial, factors, numbers, slots)


@dataclasses.dataclass(frozen=True)
class Close:
    """The program that ends an epoch whose batches were streamed."""

    setup: Setup
    width: int

    def __call__(
        self, lanes: Lane, partial: Partial, numbers: Numbers, data: Data, number: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes [P] after epoch `number`, and its metrics, each [P, 1]; `data` holds the validation split."""
        program = Epoch(self.setup, self.width)

        def group(lanes: Lane, partial: Partial, numbers: Numbers) -> tuple[Lane, dict[str, Array]]:
            return program.close(lanes, partial, numbers, data, number)

        lanes, measured = over_groups(group, self.width, lanes, partial, numbers)
        return lanes, {name: value[:, None] for name, value in measured.items()}
