"""Schedules that are functions of (step, horizon): their factors, and what is refused."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes.recipe import schedules_own
from lanes.recipe.schedules import SCHEDULES
from lanes.recipe.schedules_own import schedule_of


def tent(step, horizon):
    """Up, then down."""
    half = horizon / 2
    return 1 - abs(step - half) / half


def squares(step, horizon):
    """Would overflow in int32."""
    return 1 - step**2 / horizon**2


def power(exponent, step, horizon):
    """With an argument to bind."""
    return (1 - step / horizon) ** exponent


def table(step, horizon):
    """Looked up by epoch."""
    return jnp.asarray([1.0, 0.5, 0.1])[(3 * step / horizon).astype(int)]


def whole(step, horizon):
    """An integer."""
    del step, horizon
    return 1


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (tent, lambda s, h: 1 - np.abs(s - h / 2) / (h / 2)),
        (squares, lambda s, h: 1 - s**2 / h**2),
        (functools.partial(power, 2.0), lambda s, h: (1 - s / h) ** 2),
        (table, lambda s, h: np.asarray([1.0, 0.5, 0.1])[(3 * s / h).astype(int)]),
        (whole, lambda s, h: np.ones_like(s / h)),
    ],
)
def test_a_function_gives_the_factor_of_each_step(function, expected):
    schedule = schedule_of(function)
    schedule.check()
    assert not schedule.adapts
    for horizon in (10, 100_000):
        steps = np.asarray([0, 1, horizon // 2, horizon - 1])
        factors = jax.jit(jax.vmap(schedule, (0, None)))(jnp.asarray(steps, jnp.int32), jnp.int32(horizon))
        assert factors.dtype == jnp.float32
        np.testing.assert_allclose(factors, expected(steps.astype(float), float(horizon)), rtol=1e-5, atol=1e-6)


def warming(step, horizon):
    """Compares in Python."""
    del horizon
    return 0.1 if step < 5 else 1.0


def numpys(step, horizon):
    """Computes with math."""
    return math.cos(step / horizon)


def two_numbers(step, horizon):
    """Returns an array."""
    return jnp.stack([step, horizon])


def none(step, horizon):
    """Forgets to return."""
    del step, horizon


def one_argument(step):
    """As Optax's schedules are called."""
    return 1.0 / (1 + step)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (warming, "jnp.where"),
        (numpys, "jnp in place of math"),
        (two_numbers, r"returns shape \[2\]"),
        (none, "returns NoneType"),
        (one_argument, "cannot be called with"),
        (optax.cosine_decay_schedule, "cosine_decay_schedule"),
        (optax.constant_schedule, "cannot be called with"),
        (optax.linear_schedule, "cannot be called with"),
    ],
)
def test_another_function_is_refused_in_one_line(function, words):
    with pytest.raises(ValueError, match=words) as error:
        schedule_of(function).check()
    assert "\n" not in str(error.value)


def test_built_in_schedules_are_as_they_were():
    for schedule in SCHEDULES.values():
        assert schedule_of(schedule) is schedule


def of_optax(step, horizon, begin=0.2):
    """A schedule of Optax of length 1, at the fraction of the run that is done."""
    return optax.warmup_cosine_decay_schedule(0.0, 1.0, begin, 1.0, 0.05)(step / horizon)


def sharp(step, horizon, at, floor=0.1):
    """Reads its floor in Python."""
    return jnp.where(step < at * horizon, 1.0, floor if floor > 0 else 0.0)


def test_a_schedule_of_optax_of_length_one_is_that_of_the_runs_length():
    ours, plain = schedule_of(of_optax), optax.warmup_cosine_decay_schedule(0.0, 1.0, 10, 50, 0.05)
    ours.check()
    for step in (0, 3, 10, 30, 49):
        np.testing.assert_allclose(ours(jnp.int32(step), jnp.int32(50)), plain(step), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("function", "static"),
    [
        (functools.partial(sharp, at=0.5, floor=0.2), {"floor"}),
        (functools.partial(sharp, at=0.5), set()),
        (functools.partial(of_optax, begin=0.3), {"begin"}),
        (tent, set()),
    ],
)
def test_numbers_that_a_schedule_reads_in_python_are_static(function, static):
    assert schedules_own.static_arguments(function) == static
