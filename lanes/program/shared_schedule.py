"""One program for several schedules: the factors of all that the program needs are computed, and each lane takes its own.

A factor is one number a step, so that no condition is needed.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from lanes.recipe.schedules import SCHEDULES, Schedule

# Those that adapt to the validation loss are left out.
BRANCHES: dict[str, Schedule] = {
    name: SCHEDULES[name] for name in ("constant", "step", "exponential", "linear", "cosine", "warmup")
}


@dataclasses.dataclass(frozen=True)
class AnySchedule(Schedule):
    """The schedule at `index` of `schedules`; all numbers are traced.

    Attributes:
        schedules: one for each branch; of those of other lanes, the numbers do not matter.
        index: position in `schedules`.
    """

    schedules: tuple[Schedule, ...] = ()
    index: float = 0.0

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        """Factor (float32 scalar) at the 0-based `step` of `horizon` steps."""
        first, *others = [schedule(step, horizon) for schedule in self.schedules]
        for at, factor in enumerate(others, 1):
            first = jnp.where(self.index == at, factor, first)
        return first


def branch_of(schedule: Any) -> str | None:
    """The name of the branch that computes a schedule; None for one that no branch does, such as the user's own."""
    for name, entry in BRANCHES.items():
        if type(schedule) is type(entry) and getattr(schedule, "at", None) == getattr(entry, "at", None):
            return name
    return None


def shared(schedule: Any, branches: tuple[str, ...]) -> AnySchedule:
    """The schedule as a position in `branches`, which must have a branch for it."""
    own = branch_of(schedule)
    assert own is not None
    index = branches.index(own)
    return AnySchedule(tuple(schedule if name == own else BRANCHES[name] for name in branches), float(index))
