"""Checks of numbers that follow a schedule (`Scheduled`), and of kinds of dropout in the place of a rate."""

import dataclasses
import inspect
from typing import Any

from lanes.describe import descriptions, runs
from lanes.describe.runs import FIELDS, FOLLOWING, SWITCHED, Run
from lanes.errors import RequestError
from lanes.recipe import strengths
from lanes.recipe.strengths import Scheduled
from nets import DropoutKind, bridge


def stands_for_number(value: Any) -> bool:
    """Whether a value is a description in the place of a number."""
    # The protocol last: Python 3.11 takes 40 µs for it.
    return descriptions.is_description(value) and isinstance(value, (Scheduled, DropoutKind))


def check_places(run: Run) -> None:
    """Raise RequestError for a description in the place of a number that must be one."""
    for name in FIELDS:
        value = getattr(run, name)
        if value is None or isinstance(value, (bool, int, float, str)) or inspect.isfunction(value):
            continue
        if name not in FOLLOWING and strengths.scheduled_in(value):
            remedy = (
                "set schedule, which the rate follows"
                if name == "learning_rate"
                else f"use it in {', '.join(SWITCHED[1:5])}, …"
            )
            raise RequestError(f"{name} holds Scheduled, and nothing in {name} follows a schedule: {remedy}")
        if name != "dropout" and isinstance(value, DropoutKind):
            raise RequestError(
                f"{name} is {type(value).__name__}: it is a kind of dropout, dropout={type(value).__name__}(…)"
            )


def check(run: Run) -> None:
    """Raise RequestError for a schedule or a strength that is none, in a resolved run."""
    for name in FOLLOWING:
        for scheduled in strengths.scheduled_in(getattr(run, name)):
            try:
                scheduled.check()
            except ValueError as error:
                raise RequestError(f"{name}: {error}") from None
    if isinstance(run.dropout, DropoutKind) and isinstance(run.net, bridge.Bridged):
        kind = type(run.dropout).__name__
        raise RequestError(
            f"dropout is {kind}, which nets.Dropout of a Linen net computes, and net {type(run.net).__name__} has the layers of "
            "another library: give a rate"
        )


def at_extremes(run: Run, steps_per_epoch: int) -> list[Run]:
    """The run with plain numbers, where all strengths are at the smallest factor of their schedule, and at the largest.

    A strength of an own schedule may leave its range. Empty if nothing follows a schedule.
    """
    if not any(strengths.scheduled_in(getattr(run, name)) for name in FOLLOWING):
        return []
    horizon = run.epochs * steps_per_epoch if run.steps is None else run.steps
    found = []
    for at in (0, 1):

        def extreme(scheduled: Scheduled, at: int = at) -> float:
            return scheduled.strength * strengths.bounds(scheduled, horizon)[at]

        changed = {name: strengths.mapped(getattr(run, name), extreme) for name in FOLLOWING}
        found.append(runs.flat(dataclasses.replace(run, **changed)))
    return found
