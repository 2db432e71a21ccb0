"""Strengths that follow a schedule: descriptions that stand where a run has a number."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lanes.recipe.partials import arguments_of, with_arguments
from lanes.recipe.schedules import SCHEDULES, Constant, ScheduleLike
from lanes.recipe.schedules_own import schedule_of
from nets import DropoutKind


@dataclasses.dataclass(frozen=True)
class Scheduled:
    """A strength, rate or other number of a run that changes over the run: strength · schedule(step, horizon).

    It takes the place of a number in `l1`, `l2`, `weight_decay`, `dropout`, `input_noise`, `label_smoothing`, `clip` and
    `momentum`, and inside penalties, augmentations, tasks and optimizers: `l1=Scheduled(1e-4, Ramp(start=0.5))`,
    `penalties=(Contractive(Scheduled(0.1, "cosine")),)`, `task=Elbo(beta=Scheduled(1.0, "ramp"))`. It acts in training; an
    evaluation takes the strength itself. The penalty that is recorded for an epoch has, for penalties on weights, the
    strength of the epoch's last step.

    Attributes:
        strength: at factor 1.
        schedule: a name in SCHEDULES, a description, or a function (step, horizon) -> factor; "constant" changes nothing.
    """

    strength: float
    schedule: Any = "ramp"

    def check(self) -> None:
        """Raises ValueError, in one line, for a schedule that is none, or a strength that is no number."""
        if isinstance(self.strength, bool) or not isinstance(self.strength, (int, float)):
            raise ValueError(
                f"strength (={self.strength!r}) of Scheduled must be a number; a kind of dropout is outside, "
                "GaussianDropout(Scheduled(0.3, …))"
            )
        schedule = schedule_of(self.schedule)
        if not isinstance(schedule, ScheduleLike):
            raise ValueError(
                f"schedule (={self.schedule!r}) of Scheduled must be one of {', '.join(SCHEDULES)}, or a function (step, "
                "horizon) -> factor"
            )
        if schedule.adapts:
            raise ValueError("reduce_on_plateau is a schedule of the learning rate: a strength follows the step only")
        check = getattr(schedule, "check", None)
        if check is not None:
            check()


def number_of(value: Any) -> Any:
    """The number in the place of which a description stands; any other value is returned unchanged."""
    if value is None or isinstance(value, (bool, int, float, str, tuple)):
        return value  # the protocol last: Python 3.11 takes 10 to 40 µs for it
    if isinstance(value, Scheduled):
        return value.strength
    return number_of(value.rate) if isinstance(value, DropoutKind) else value


def mapped(value: Any, function: Callable[[Scheduled], Any]) -> Any:
    """The value with `function(scheduled)` in place of every `Scheduled` in it; the same object if there is none."""
    if isinstance(value, Scheduled):
        return function(value)
    if isinstance(value, tuple):
        items = tuple(mapped(item, function) for item in value)
        return items if any(new is not old for new, old in zip(items, value)) else value
    if not isinstance(value, functools.partial) and not _is_description(value):
        return value
    inside = arguments_of(value)
    new = {name: mapped(item, function) for name, item in inside.items()}
    return with_arguments(value, {name: item for name, item in new.items() if item is not inside[name]})


def _is_description(value: Any) -> bool:
    # A net is none: its fields are static. Flax modules are dataclasses that are not frozen in this sense.
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "scope")


def at_step(value: Any, step: jax.Array, horizon: Any) -> Any:
    """The value with the strength at this step in place of every `Scheduled`."""

    def strength(scheduled: Scheduled) -> jax.Array:
        factor = schedule_of(scheduled.schedule)(step, horizon)
        return jnp.asarray(scheduled.strength, jnp.float32) * factor

    return mapped(value, strength)


def at_full(value: Any) -> Any:
    """The value with its strength in place of every `Scheduled`: what an evaluation takes."""
    return mapped(value, lambda scheduled: scheduled.strength)


def named(value: Any) -> Any:
    """The value with every `Scheduled` by the name of an entry of SCHEDULES resolved."""

    def resolved(scheduled: Scheduled) -> Scheduled:
        schedule = SCHEDULES.get(scheduled.schedule) if isinstance(scheduled.schedule, str) else scheduled.schedule
        if schedule is None or schedule is scheduled.schedule:
            return scheduled
        return dataclasses.replace(scheduled, schedule=schedule)

    return mapped(value, resolved)


def scheduled_in(value: Any) -> list[Scheduled]:
    """Every `Scheduled` in a value."""
    found: list[Scheduled] = []

    def note(scheduled: Scheduled) -> Scheduled:
        found.append(scheduled)
        return scheduled

    mapped(value, note)
    return found


def bounds(scheduled: Scheduled, horizon: int, most: int = 257) -> tuple[float, float]:
    """The smallest and the largest factor of a schedule over a run, of at most `most` steps spread over it."""
    if isinstance(scheduled.schedule, Constant):
        return 1.0, 1.0
    steps = jnp.unique(jnp.linspace(0, max(horizon - 1, 0), min(most, max(horizon, 1))).astype(jnp.int32))
    factors = jax.vmap(lambda step: schedule_of(scheduled.schedule)(step, jnp.int32(horizon)))(steps)
    return float(factors.min()), float(factors.max())
