"""Schedules of the user's own: any function (step, horizon) -> factor."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lanes.recipe.optimizers_own import name_of
from lanes.recipe.partials import read_in_python, with_arguments
from lanes.recipe.schedules import ScheduleLike

EXAMPLE = "def decay(step, horizon): return 1 - step / horizon"


@dataclasses.dataclass(frozen=True)
class FromFunction(ScheduleLike):
    """The schedule that a function computes.

    The function gets step and horizon as traced float32 scalars, exact up to 2²⁴, so that neither `step / horizon` nor
    `step**2` is integer arithmetic; write `step.astype(int)` for an index.

    Attributes:
        function: (step, horizon) -> factor.
    """

    function: Callable[[Any, Any], Any]
    adapts: ClassVar[bool] = False

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        """Factor (float32 scalar) at the 0-based `step` of `horizon` steps."""
        with jax.numpy_dtype_promotion("standard"):
            factor = self.function(jnp.asarray(step, jnp.float32), jnp.asarray(horizon, jnp.float32))
        return jnp.asarray(factor, jnp.float32)

    def check(self) -> None:
        """Trace the function.

        Raises ValueError, in one line, if it fails or returns anything but one number.
        """
        name = name_of(self.function)
        number = jax.ShapeDtypeStruct((), jnp.float32)
        returned: list[Any] = []

        def called(step: jax.Array, horizon: jax.Array) -> Any:
            with jax.numpy_dtype_promotion("standard"):
                returned.append(self.function(step, horizon))

        try:
            jax.eval_shape(called, number, number)
        except jax.errors.ConcretizationTypeError as error:
            raise ValueError(
                f"schedule {name} takes step or horizon as a Python number ({type(error).__name__}): they are traced; use "
                "jnp.where or jax.lax.cond in place of `if`, and jnp in place of math and numpy; of Optax's schedules one of "
                "length 1, optax.cosine_decay_schedule(1.0, 1)(step / horizon)"
            ) from error
        except Exception as error:
            line = (str(error).strip().splitlines() or [""])[0]
            raise ValueError(
                f"schedule {name} raises {type(error).__name__}: {line} (it gets step and horizon as float32 scalars)"
            ) from error
        (factor,) = returned
        if not _is_number(factor):
            got = type(factor).__name__ if not hasattr(factor, "shape") else f"shape {list(factor.shape)}"
            raise ValueError(
                f"schedule {name} returns {got}: it must return one number, the factor on the learning rate: {EXAMPLE}"
            )


def schedule_of(value: Any) -> Any:
    """A schedule as it is, and a function of (step, horizon) as the schedule that it computes.

    Raises ValueError, in one line, for a function that takes other arguments.
    """
    function = inspect.isroutine(value) or isinstance(value, functools.partial)
    if isinstance(value, (ScheduleLike, type)) or not (function or takes_two(value)):
        return value
    if not takes_two(value):
        raise ValueError(
            f"schedule {name_of(value)} cannot be called with (step, horizon): write a function such as {EXAMPLE}"
        )
    return FromFunction(value)


def static_arguments(value: Any) -> frozenset[str]:
    """The floats of a function, bound by a partial or fields of a description, that it reads in Python: they are static."""
    if isinstance(value, ScheduleLike) or not callable(value):
        return frozenset()
    return read_in_python(value, _works)


def _works(function: Any, traced: tuple[str, ...]) -> bool:
    """Whether the function can be called with these arguments traced."""
    number = jax.ShapeDtypeStruct((), jnp.float32)

    def call(step: jax.Array, horizon: jax.Array, numbers: Mapping[str, jax.Array]) -> jax.Array:
        return FromFunction(with_arguments(function, numbers))(step, horizon)

    try:
        jax.eval_shape(call, number, number, dict.fromkeys(traced, number))
    except Exception:  # whatever the user's function raises
        return False
    return True


def refusal(value: Any) -> str | None:
    """Why a value cannot be a schedule: it is one of Optax's, which has a length of its own."""
    module = getattr(value, "__module__", None) or ""
    if not (inspect.isfunction(value) and module.split(".")[0] == "optax" and "<locals>" in value.__qualname__):
        return None
    return (
        f"schedule is Optax's {value.__qualname__.split('.')[0]}, whose length is fixed: use a schedule of lanes, or a function "
        f"of the step and the run's length, {EXAMPLE}"
    )


def takes_two(function: Any) -> bool:
    """Whether a function can be called with two positional arguments."""
    try:
        inspect.signature(function).bind(0, 0)
    except (TypeError, ValueError):
        return False
    return True


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float, np.generic, np.ndarray, jax.Array)) or np.shape(value) != ():
        return False
    dtype = jnp.result_type(value)
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
