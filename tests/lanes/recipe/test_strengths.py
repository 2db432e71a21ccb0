"""Strengths that follow a schedule: where they stand, and what stands in their place in a step and in an evaluation."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes import Elbo, Linear, Mixup, Ramp, Scheduled
from lanes.recipe import strengths
from losses import L1
from nets import GaussianDropout


def late(step, horizon, at=0.5):
    """0, then 1."""
    return jnp.where(step < at * horizon, 0.0, 1.0)


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [
        (Ramp(), [0.0, 0.25, 0.5, 0.75, 0.975]),
        (Ramp(start=0.5), [0.0, 0.0, 0.0, 0.5, 0.95]),
        (Ramp(start=0.25, end=0.5), [0.0, 0.0, 1.0, 1.0, 1.0]),
        (Ramp(start=0.5, end=0.5), [0.0, 0.0, 1.0, 1.0, 1.0]),
        (Ramp(end=0.0), [1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_a_ramp_rises_between_its_fractions_of_the_run(ramp, expected):
    ramp.check()
    found = [ramp(jnp.int32(step), jnp.int32(40)) for step in (0, 10, 20, 30, 39)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("start", "end"), [(0.6, 0.5), (-0.1, 1.0), (0.0, 1.1), (float("nan"), 1.0)])
def test_a_ramp_outside_the_run_is_refused(start, end):
    with pytest.raises(ValueError, match="fractions of the run"):
        Ramp(start, end).check()


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (Scheduled(0.2, Ramp()), lambda value: value),
        (GaussianDropout(Scheduled(0.2, Ramp())), lambda value: value.rate),
        ((L1(0.5), L1(Scheduled(0.2, Ramp()))), lambda value: value[1].strength),
        (Elbo(beta=Scheduled(0.2, Ramp())), lambda value: value.beta),
        (functools.partial(optax.adam, b1=Scheduled(0.2, Ramp())), lambda value: value.keywords["b1"]),
    ],
    ids=["alone", "in a kind of dropout", "in a penalty", "in a task", "bound to a factory"],
)
def test_a_strength_stands_anywhere_in_a_value(value, number):
    step, horizon = jnp.int32(30), jnp.int32(40)
    (scheduled,) = strengths.scheduled_in(value)
    expected = 0.2 * scheduled.schedule(step, horizon)
    np.testing.assert_allclose(number(strengths.at_step(value, step, horizon)), expected, rtol=1e-6)
    assert number(strengths.at_full(value)) == 0.2


def test_a_value_without_a_schedule_is_itself():
    for value in (0.5, None, (L1(), Mixup()), functools.partial(optax.adam, b1=0.5)):
        assert strengths.at_step(value, jnp.int32(0), jnp.int32(1)) is value


def test_the_number_of_a_description_is_what_it_stands_for():
    assert strengths.number_of(GaussianDropout(Scheduled(0.2, Ramp()))) == 0.2
    assert strengths.number_of(0.3) == 0.3


def test_the_range_of_a_schedule_is_over_the_steps_of_the_run():
    assert strengths.bounds(Scheduled(1.0, late), 10) == (0.0, 1.0)
    assert strengths.bounds(Scheduled(1.0, late), 1) == (0.0, 0.0)
    assert strengths.bounds(Scheduled(1.0, Linear(final=0.5)), 100) == pytest.approx((0.505, 1.0))


@pytest.mark.parametrize(
    ("scheduled", "words"),
    [
        (Scheduled(GaussianDropout(0.5), Ramp()), "GaussianDropout\\(Scheduled"),
        (Scheduled(True, Ramp()), "must be a number"),
        (Scheduled(0.1, 0.5), "must be one of"),
        (Scheduled(0.1, Ramp(0.6, 0.5)), "fractions of the run"),
        (Scheduled(0.1, strengths.SCHEDULES["reduce_on_plateau"]), "follows the step only"),
    ],
)
def test_what_is_no_schedule_of_a_number_is_refused(scheduled, words):
    with pytest.raises(ValueError, match=words) as error:
        scheduled.check()
    assert "\n" not in str(error.value)
