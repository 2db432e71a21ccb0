"""One epoch of a group of lanes: begin, steps, close. The loops over epochs are in `lanes.program.chunks`."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from lanes.describe.runs import Run, metric_names
from lanes.program import lane as lane_
from lanes.program.lane import Lane, Measured, Status
from lanes.program.metrics import measure
from lanes.program.over_lanes import Data, Numbers, in_group, split_batch
from lanes.program.scheduled import at_full, at_step
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
    """An epoch in progress: the state of lanes [P] after the steps so far, and sums of their metrics."""

    trained: Trained
    loss: Array
    penalty: Array
    bad: Array  # the first non-finite step, counted from 1; 0: none; -1: ignored, the lane has ended


def _first(bad: Array, finite: Array, step: Array) -> Array:
    """The first bad step [width]: `step`, counted from 1, where it is not finite and no earlier one was bad."""
    return jnp.where((bad == 0) & ~finite, step, bad)


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch of a group of lanes: begin, steps, close.

    Attributes:
        setup: what is static about the lanes.
        width: lanes computed at once.
    """

    setup: Setup
    width: int

    def begin(self, lanes: Lane) -> Partial:
        """The epoch before its first step."""
        zeros = jnp.zeros(lanes.status.shape[0])
        return Partial(lanes.trained, zeros, zeros, jnp.where(lanes.status == Status.RUNNING, 0, -1).astype(jnp.int32))

    def _mapper(self, numbers: Numbers) -> Callable[..., Any]:
        """Maps functions of one run over the group's lanes (`over_lanes.in_group`)."""
        return in_group(self.setup.run, self.width, numbers)

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
        """The lanes after `count` steps, starting at step `at` of the run.

        Checking the loss is free; checking every parameter costs up to a quarter of a step, so it is done after the last
        step, and all steps are replayed with the check after each only if it fails. A replay changes no number but the
        first bad step.

        Args:
            before: the group's lanes [width].
            numbers, factors: of the lanes.
            at: number of the first step, from 0.
            count: steps.
            batches: maps i to what each lane needs for its batch of step `at` + i.
            batch: maps one lane's part of that to its standardized batch.
        """

        def attempt(carry: tuple[Array, Array, Partial]) -> tuple[Array, Array, Partial]:
            careful, _, _ = carry

            def step(i: Array, partial: Partial) -> Partial:
                checked = careful | (i == count - 1)
                return self._step(partial, numbers, factors, batches(i), batch, at + i, checked)

            _, payable = self._sound(before.trained, numbers)
            start = before._replace(bad=_first(before.bad, ~careful | payable, at + 1))
            after = lax.fori_loop(0, count, step, start)
            suspect = (before.bad == 0) & (after.bad > 0)
            # A penalty that becomes non-finite in the last update belongs to the next step, which is not taken here.
            taken = jnp.where(after.bad > at + count, 0, after.bad)
            return jnp.bool_(True), ~careful & jnp.any(suspect), after._replace(bad=taken)

        return lax.while_loop(lambda carry: carry[1], attempt, (jnp.bool_(False), jnp.bool_(True), before))[2]

    def _step(
        self,
        partial: Partial,
        numbers: Numbers,
        factors: Array,
        batches: tuple[Any, ...],
        batch: Callable,
        at: Array,
        checked: Array,
    ) -> Partial:
        """The lanes after step `at` of the run; if `checked`, every parameter is looked at."""

        def step(run: Run, trained: Trained, factor: Array, *part: Array) -> tuple[Trained, StepMetrics]:
            return train_step(self.setup, run, trained, split_batch(batch(*part)), factor, at)

        def unchecked() -> tuple[Array, Array]:
            return jnp.ones(partial.bad.shape, bool), jnp.ones(partial.bad.shape, bool)

        trained, metrics = self._mapper(numbers)(step, partial.trained, factors, *batches)
        finite, payable = lax.cond(checked, lambda: self._sound(trained, numbers), unchecked)
        bad = _first(partial.bad, finite & jnp.isfinite(metrics.loss + metrics.batch_penalty), at + 1)
        bad = _first(bad, payable, at + 2)
        return Partial(trained, partial.loss + metrics.loss, partial.penalty + metrics.batch_penalty, bad)

    def _sound(self, trained: Trained, numbers: Numbers) -> tuple[Array, Array]:
        """Whether each lane's parameters are finite, and whether its penalties on weights are."""

        def sound(run: Run, trained: Trained) -> tuple[Array, Array]:
            return all_finite(trained.params), jnp.isfinite(weight_penalty(run, trained.params))

        return self._mapper(numbers)(sound, trained)

    def steps(self, number: Array) -> Any:
        """Steps in epoch `number`: fewer in the last one if the run's length is set in steps."""
        per_epoch, total = self.setup.steps_per_epoch, self.setup.run.steps
        return per_epoch if total is None else jnp.minimum(per_epoch, total - number * per_epoch)

    def close(
        self, lanes: Lane, partial: Partial, numbers: Numbers, data: Data, number: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes after epoch `number`, and its metrics, NaN where the epoch was not kept.

        The loss and penalties of batches are means over the epoch; penalties on weights are those at its end.
        """
        mapped = self._mapper(numbers)
        steps = jnp.asarray(self.steps(number), jnp.float32)

        def on_weights(run: Run, trained: Trained) -> Array:
            last = number * self.setup.steps_per_epoch + self.steps(number) - 1
            return weight_penalty(at_step(run, last, self.setup.horizon(run)), trained.params)

        def is_last(run: Run) -> Any:
            return number + 1 >= lane_.length(self.setup, run)

        def is_due(run: Run, _: Any) -> Array:
            last = is_last(run)
            return jnp.asarray(((number + 1) % run.eval_every == 0) | last)

        loss, penalty = partial.loss / steps, partial.penalty / steps + mapped(on_weights, partial.trained)
        due = mapped(is_due, ())
        valid = self._validate(partial.trained, mapped, data, due)

        def close(run: Run, lane: Lane, trained: Trained, seen: Measured) -> Lane:
            return lane_.close_epoch(run, lane, trained, seen, is_last(run), validated="valid" in data.splits)

        after = mapped(close, lanes, partial.trained, Measured(loss, penalty, partial.bad, valid, due))
        kept = (lanes.status == Status.RUNNING) & (partial.bad == 0)
        history = {"batch_loss": loss, "penalty": penalty, **{f"valid_{name}": value for name, value in valid.items()}}
        return after, {name: jnp.where(kept, value, jnp.nan) for name, value in history.items()}

    def metrics(self, data: Data) -> tuple[str, ...]:
        """Names of the metrics in the history."""
        return ("batch_loss", "penalty", *(f"valid_{name}" for name in self._valid_metrics(data)))

    def _valid_metrics(self, data: Data) -> tuple[str, ...]:
        return metric_names(self.setup.run) if "valid" in data.splits else ()

    def _validate(self, trained: Trained, mapped: Callable[..., Any], data: Data, due: Array) -> dict[str, Array]:
        """Validation metrics [width] of the lanes due for evaluation, NaN for the others."""
        names = self._valid_metrics(data)
        if not names:
            return {}

        def validated(run: Run, trained: Trained) -> dict[str, Array]:
            variables = {"params": evaluated_params(run, trained), "rest": trained.rest}
            return measure(self.setup, at_full(run), variables, ("valid",), data)["valid"]

        def nothing() -> dict[str, Array]:
            return {name: jnp.full(self.width, jnp.nan) for name in names}

        def everything() -> dict[str, Array]:
            return mapped(validated, trained)

        if self.setup.run.eval_every == 1:
            return everything()
        values = lax.cond(jnp.any(due), everything, nothing)
        return {name: jnp.where(due, value, jnp.nan) for name, value in values.items()}
