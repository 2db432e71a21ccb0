"""One epoch of a group of lanes: begin, steps, close. The loops over epochs are those of `lanes.program.chunks`."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from lanes.describe import runs
from lanes.describe.runs import Run, metric_names
from lanes.program import lane as lane_
from lanes.program.lane import RUNNING, Lane, Measured
from lanes.program.metrics import measure
from lanes.program.over_lanes import Data, Numbers, apart, over_lanes, split_batch
from lanes.program.step import (
    Setup,
    StepMetrics,
    Trained,
    all_finite,
    evaluated_params,
    train_step,
    weight_penalty,
)


class Partial(NamedTuple):
    """An epoch that is under way: what its steps made so far, and the sums of what they told, of lanes [P]."""

    trained: Trained
    loss: Array
    penalty: Array
    bad: Array  # the first step, counted from 1, that was not finite; 0: none; -1: of no interest, the lane has ended


def _first(bad: Array, fine: Array, step: Array) -> Array:
    """The first bad step [width]: `step`, counted from 1, where none was known and this is not fine."""
    return jnp.where((bad == 0) & ~fine, step, bad)


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
        none = jnp.zeros(lanes.status.shape[0])
        return Partial(lanes.trained, none, none, jnp.where(lanes.status == RUNNING, 0, -1).astype(jnp.int32))

    def run_of(self, common: Numbers) -> Callable[[Numbers], Run]:
        """From a lane's numbers to its run, with the numbers that the group has in common."""
        return lambda numbers: runs.with_numbers(self.setup.run, numbers | common)

    def advance(
        self,
        before: Partial,
        numbers: Numbers,
        factors: Array,
        at: Array,
        count: Any,
        batches: Callable[[Array], tuple[Any, ...]],
        batch: Callable,
    ) -> Partial:
        """After `count` steps from step `at` of the run on; steps that end badly are taken again to find the first bad one.

        That a loss is finite each step tells for nothing. That all parameters are takes up to a quarter of one: it is asked
        once, at the end, and of each step only where the steps are taken again, which changes no other number.

        Args:
            before: the group's lanes [width].
            numbers, factors: of the lanes.
            at: number of the first of these steps in the run, from 0.
            count: steps.
            batches: the lanes' parts of the batches of step i of these.
            batch: from a lane's part to its standardized batch.
        """

        def attempt(carry: tuple[Array, Array, Partial]) -> tuple[Array, Array, Partial]:
            careful, _, _ = carry

            def step(i: Array, partial: Partial) -> Partial:
                return self._step(partial, numbers, factors, batches(i), batch, at + i, careful)

            _, payable = self._sound(before.trained, numbers)
            start = before._replace(bad=_first(before.bad, ~careful | payable, at + 1))
            after = lax.fori_loop(0, count, step, start)
            finite, payable = self._sound(after.trained, numbers)
            taken = jnp.where(
                after.bad > at + count, 0, after.bad
            )  # the penalty on the last update: of no step taken here
            bad = _first(taken, finite, at + count)
            suspect = (before.bad == 0) & ((bad > 0) | ~payable)
            return jnp.bool_(True), ~careful & jnp.any(suspect), after._replace(bad=bad)

        return lax.while_loop(lambda carry: carry[1], attempt, (jnp.bool_(False), jnp.bool_(True), before))[2]

    def _step(
        self,
        partial: Partial,
        numbers: Numbers,
        factors: Array,
        batches: tuple[Any, ...],
        batch: Callable,
        at: Array,
        careful: Array,
    ) -> Partial:
        """Step number `at` of the run; if `careful`, what it made of the parameters is looked at."""
        each, common = apart(numbers)
        run_of = self.run_of(common)

        def one(trained: Trained, numbers: Numbers, factor: Array, *part: Array) -> tuple[Trained, StepMetrics]:
            return train_step(self.setup, run_of(numbers), trained, split_batch(batch(*part)), factor, at)

        def unasked() -> tuple[Array, Array]:
            return jnp.ones(partial.bad.shape, bool), jnp.ones(partial.bad.shape, bool)

        trained, told = over_lanes(one, self.width)(partial.trained, each, factors, *batches)
        finite, payable = lax.cond(careful, lambda: self._sound(trained, numbers), unasked)
        bad = _first(partial.bad, finite & jnp.isfinite(told.loss + told.batch_penalty), at + 1)
        bad = _first(bad, payable, at + 2)
        return Partial(trained, partial.loss + told.loss, partial.penalty + told.batch_penalty, bad)

    def _sound(self, trained: Trained, numbers: Numbers) -> tuple[Array, Array]:
        """Whether each lane's parameters are finite, and whether the penalties on them are."""
        each, common = apart(numbers)
        run_of = self.run_of(common)

        def one(trained: Trained, numbers: Numbers) -> tuple[Array, Array]:
            return all_finite(trained.params), jnp.isfinite(weight_penalty(run_of(numbers), trained.params))

        return over_lanes(one, self.width)(trained, each)

    def steps(self, number: Array) -> Any:
        """Steps in epoch `number`: fewer in the last one where the run's length is given in steps."""
        whole, total = self.setup.steps_per_epoch, self.setup.run.steps
        return whole if total is None else jnp.minimum(whole, total - number * whole)

    def close(
        self, lanes: Lane, partial: Partial, numbers: Numbers, data: Data, number: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes after epoch `number`, and what was measured, NaN where the epoch was not kept.

        Loss and penalties of the batches are means over the epoch; penalties on the weights alone are those at its end.
        """
        each, common = apart(numbers)
        run_of = self.run_of(common)
        steps = jnp.asarray(self.steps(number), jnp.float32)
        on_weights = over_lanes(lambda one, numbers: weight_penalty(run_of(numbers), one.params), self.width)
        loss, penalty = partial.loss / steps, partial.penalty / steps + on_weights(partial.trained, each)

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
