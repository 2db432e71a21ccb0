"""The training programs of one static signature: chunks of epochs on the device, or blocks of streamed steps.

A pack of P lanes goes through as G groups of `width` lanes: `lax.map` over the groups, `vmap` over a group's lanes
(width 1: neither, the plain step). Loops stand outside the `vmap`, so their conditions are not batched: a group whose
lanes have all ended costs nothing, and neither does padding.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from lanes import lane as lane_
from lanes import runs
from lanes.groups import Data, Numbers, apart, over_groups, over_lanes, split_batch
from lanes.lane import RUNNING, Lane, Measured
from lanes.measuring import measure, metric_names
from lanes.runs import Run
from lanes.step import Setup, StepMetrics, Trained, evaluated_params, standardize, train_step


class Partial(NamedTuple):
    """An epoch that is under way: what its steps made so far, and the sums of what they told, of lanes [P]."""

    trained: Trained
    loss: Array
    penalty: Array
    bad: Array  # the first step, counted from 1, that was not finite; 0: none


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch of a group of lanes: begin, steps, close. The loops around it are those of the programs below.

    Attributes:
        setup: what is static about the lanes.
        width: lanes computed at once.
    """

    setup: Setup
    width: int

    def begin(self, lanes: Lane) -> Partial:
        """Before the first step."""
        count = lanes.status.shape[0]
        return Partial(lanes.trained, jnp.zeros(count), jnp.zeros(count), jnp.zeros(count, jnp.int32))

    def run_of(self, common: Numbers) -> Callable[[Numbers], Run]:
        """From a lane's numbers to its run, with the numbers that the group has in common."""
        return lambda numbers: runs.with_numbers(self.setup.run, numbers | common)

    def step(
        self, partial: Partial, numbers: Numbers, factors: Array, batches: tuple[Any, ...], batch: Callable, at: Array
    ) -> Partial:
        """Step number `at` of the run; `batch` makes a lane's standardized batch from its part of `batches` [width, …]."""
        each, common = apart(numbers)
        run_of = self.run_of(common)

        def one(trained: Trained, numbers: Numbers, factor: Array, *part: Array) -> tuple[Trained, StepMetrics]:
            return train_step(self.setup, run_of(numbers), trained, split_batch(batch(*part)), factor, at)

        trained, told = over_lanes(one, self.width)(partial.trained, each, factors, *batches)
        bad = jnp.where((partial.bad == 0) & ~told.finite, at + 1, partial.bad)
        return Partial(trained, partial.loss + told.loss, partial.penalty + told.penalty, bad)

    def steps(self, number: Array) -> Any:
        """Steps in epoch `number`: fewer in the last one where the run's length is given in steps."""
        whole, total = self.setup.steps_per_epoch, self.setup.run.steps
        return whole if total is None else jnp.minimum(whole, total - number * whole)

    def close(
        self, lanes: Lane, partial: Partial, numbers: Numbers, data: Data, number: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes after epoch `number`, and what was measured, NaN where the epoch was not kept."""
        each, common = apart(numbers)
        run_of = self.run_of(common)
        steps = jnp.asarray(self.steps(number), jnp.float32)
        loss, penalty = (total / jnp.asarray(steps, jnp.float32) for total in (partial.loss, partial.penalty))

        def is_due(numbers: Numbers) -> Array:
            run = run_of(numbers)
            last = number + 1 >= lane_.length(self.setup, run)
            return jnp.asarray(((number + 1) % run.eval_every == 0) | last)

        due = over_lanes(is_due, self.width)(each)
        valid = self._validate(partial.trained, each, run_of, data, due)

        def one(lane: Lane, numbers: Numbers, trained: Trained, seen: Measured) -> Lane:
            run = run_of(numbers)
            last = number + 1 >= lane_.length(self.setup, run)
            return lane_.close_epoch(run, lane, trained, seen, last, validated="valid" in data.splits)

        measured = Measured(loss, penalty, partial.bad, valid, due)
        after = over_lanes(one, self.width)(lanes, each, partial.trained, measured)
        kept = (lanes.status == RUNNING) & (partial.bad == 0)
        history = {"batch_loss": loss, "penalty": penalty, **{f"valid_{name}": value for name, value in valid.items()}}
        return after, {name: jnp.where(kept, value, jnp.nan) for name, value in history.items()}

    def metrics(self, data: Data) -> tuple[str, ...]:
        """Names in the history."""
        return ("batch_loss", "penalty", *(f"valid_{name}" for name in self._valid_metrics(data)))

    def _valid_metrics(self, data: Data) -> tuple[str, ...]:
        return metric_names(self.setup.run) if "valid" in data.splits else ()

    def _validate(
        self, trained: Trained, numbers: Numbers, run_of: Callable[[Numbers], Run], data: Data, due: Array
    ) -> dict[str, Array]:
        """Validation metrics [width] of the lanes that are due, NaN for the others."""
        names = self._valid_metrics(data)
        if not names:
            return {}

        def one(trained: Trained, numbers: Numbers) -> dict[str, Array]:
            run = run_of(numbers)
            variables = {"params": evaluated_params(run, trained), "rest": trained.rest}
            return measure(self.setup, run, variables, ("valid",), data)["valid"]

        def nothing() -> dict[str, Array]:
            return {name: jnp.full(self.width, jnp.nan) for name in names}

        def everything() -> dict[str, Array]:
            return over_lanes(one, self.width)(trained, numbers)

        if self.setup.run.eval_every == 1:
            return everything()
        values = lax.cond(jnp.any(due), everything, nothing)
        return {name: jnp.where(due, value, jnp.nan) for name, value in values.items()}


@dataclasses.dataclass(frozen=True)
class Chunk:
    """The training program where the data set is on the device: `count` epochs from epoch `first` on, for a pack of lanes.

    Attributes:
        setup, width: as in `Epoch`.
        longest: most epochs in one call; the history has room for so many.
    """

    setup: Setup
    width: int
    longest: int

    def __call__(
        self, lanes: Lane, numbers: Numbers, slots: Array, orders: Array, data: Data, first: Array, count: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes [P] after the chunk, and the history: each metric [P, longest], NaN where nothing was measured.

        Args:
            lanes: [P], before.
            numbers: the runs' traced numbers [P].
            slots: [P], each lane's row in `orders`.
            orders: [S, longest, steps per epoch · B] indices of training examples, one row for each distinct seed.
            data: the data set.
            first: number of the first epoch, from 0.
            count: epochs to train, at most `longest`.
        """
        one, size, whole = Epoch(self.setup, self.width), self.setup.run.batch_size, self.setup.steps_per_epoch
        x, y = data.splits["train"]

        def batch(places: Array) -> tuple[Array, Array]:
            return standardize(x[places], data.offset, data.scale), y[places]

        def group(lanes: Lane, numbers: Numbers, slots: Array) -> tuple[Lane, dict[str, Array]]:
            def going(carry: tuple[Array, Lane, Any]) -> Array:
                return (carry[0] < count) & jnp.any(carry[1].status == RUNNING)

            def epoch(carry: tuple[Array, Lane, Any]) -> tuple[Array, Lane, Any]:
                at, lanes, history = carry
                number, order = first + at, orders[:, at]

                def step(i: Array, partial: Partial) -> Partial:
                    places = lax.dynamic_slice_in_dim(order, i * size, size, axis=1)[slots]
                    return one.step(partial, numbers, lanes.plateau.factor, (places,), batch, number * whole + i)

                partial = lax.fori_loop(0, one.steps(number), step, one.begin(lanes))
                lanes, measured = one.close(lanes, partial, numbers, data, number)
                return at + 1, lanes, {name: history[name].at[:, at].set(measured[name]) for name in history}

            history = {name: jnp.full((self.width, self.longest), jnp.nan) for name in one.metrics(data)}
            _, lanes, history = lax.while_loop(going, epoch, (jnp.int32(0), lanes, history))
            return lanes, history

        return over_groups(group, self.width, lanes, numbers, slots)


@dataclasses.dataclass(frozen=True)
class Block:
    """The training program where batches are streamed: some steps of one epoch, for a pack of lanes."""

    setup: Setup
    width: int

    def __call__(
        self,
        partial: Partial,
        factors: Array,
        numbers: Numbers,
        slots: Array,
        x: Array,
        y: Array,
        data: Data,
        at: Array,
        count: Array,
    ) -> Partial:
        """The epoch under way [P] after `count` more steps, the first of which is step `at` of the run.

        Args:
            partial: [P], before.
            factors: [P], of the plateau schedule.
            numbers: [P].
            slots: [P], each lane's row in the batches.
            x, y: [k, S, B, …] raw batches of k steps for S distinct seeds, of which `count` are trained on.
            data: how inputs are standardized; no splits.
            at: number of the step, from 0.
            count: at most k.
        """
        one = Epoch(self.setup, self.width)

        def batch(x: Array, y: Array) -> tuple[Array, Array]:
            return standardize(x, data.offset, data.scale), y

        def group(partial: Partial, factors: Array, numbers: Numbers, slots: Array) -> Partial:
            def step(i: Array, partial: Partial) -> Partial:
                return one.step(partial, numbers, factors, (x[i][slots], y[i][slots]), batch, at + i)

            return lax.fori_loop(0, count, step, partial)

        return over_groups(group, self.width, partial, factors, numbers, slots)


@dataclasses.dataclass(frozen=True)
class Close:
    """The program that ends an epoch whose batches were streamed."""

    setup: Setup
    width: int

    def __call__(
        self, lanes: Lane, partial: Partial, numbers: Numbers, data: Data, number: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes [P] after epoch `number`, and what was measured, each metric [P, 1]; `data` holds the validation split."""
        one = Epoch(self.setup, self.width)

        def group(lanes: Lane, partial: Partial, numbers: Numbers) -> tuple[Lane, dict[str, Array]]:
            return one.close(lanes, partial, numbers, data, number)

        lanes, measured = over_groups(group, self.width, lanes, partial, numbers)
        return lanes, {name: value[:, None] for name, value in measured.items()}
