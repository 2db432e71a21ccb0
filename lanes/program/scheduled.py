"""A run whose strengths follow schedules, as a step or an evaluation sees it: with plain numbers."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jax import Array

from lanes.describe.runs import FOLLOWING, Run
from lanes.recipe import strengths


def at_step(run: Run, step: Array, horizon: Any) -> Run:
    """The run with its strengths at a step, which is traced; the same object if none follows a schedule."""
    return _mapped(run, lambda value: strengths.at_step(value, step, horizon))


def at_full(run: Run) -> Run:
    """The run with its strengths as an evaluation takes them: at factor 1."""
    return _mapped(run, strengths.at_full)


def _mapped(run: Run, function: Callable[[Any], Any]) -> Run:
    values = {name: getattr(run, name) for name in FOLLOWING}
    new = {name: function(value) for name, value in values.items()}
    changed = {name: value for name, value in new.items() if value is not values[name]}
    return dataclasses.replace(run, **changed) if changed else run
