"""Schedules against their closed forms in float64, and the plateau rule against a plain Python loop."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.recipe.schedules import SCHEDULES, Cosine, Exponential, Linear, ReduceOnPlateau, Step, Warmup

NAN = math.nan


def factors(schedule, horizon):
    """Factors at every step of a run of `horizon` steps, every number traced: [horizon]."""
    fields = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule)}
    traced = {name: value for name, value in fields.items() if isinstance(value, float)}

    @jax.jit
    def run(traced, steps, horizon):
        out = jax.vmap(lambda step: dataclasses.replace(schedule, **traced)(step, horizon))(steps)
        assert out.dtype == jnp.float32
        return out

    return np.asarray(run(jax.tree.map(jnp.float32, traced), jnp.arange(horizon), jnp.int32(horizon)))


def ramp(s, warmup):
    return np.minimum(1.0, (s + 1) / max(warmup, 1.0))


def cosine(s, h, warmup=0.0, final=0.0):
    t = np.clip((s - warmup) / (h - warmup), 0, 1)
    return ramp(s, warmup) * (final + (1 - final) * (1 + np.cos(np.pi * t)) / 2)


CLOSED = [
    (SCHEDULES["constant"], lambda _, h: np.ones(h)),
    (SCHEDULES["step"], lambda s, h: 0.1 ** ((s >= h // 2).astype(int) + (s >= 3 * h // 4))),
    (Step(at=(0.1,), factor=0.5), lambda s, h: np.where(s >= h // 10, 0.5, 1.0)),
    (Exponential(final=0.04), lambda s, h: 0.04 ** (s / h)),
    (Linear(final=0.2), lambda s, h: 1 - 0.8 * s / h),
    (Linear(warmup=20.0), lambda s, h: ramp(s, 20.0) * (1 - np.clip((s - 20) / (h - 20), 0, 1))),
    (SCHEDULES["cosine"], cosine),
    (Cosine(warmup=25.0, final=0.1), lambda s, h: cosine(s, h, 25.0, 0.1)),
    (Cosine(warmup=25), lambda s, h: cosine(s, h, 25)),
    (Warmup(warmup=50.0), lambda s, _: ramp(s, 50.0)),
    (SCHEDULES["reduce_on_plateau"], lambda _, h: np.ones(h)),
]


@pytest.mark.parametrize(("schedule", "closed"), CLOSED, ids=lambda value: repr(value) if value in SCHEDULES else None)
@pytest.mark.parametrize("horizon", [200, 1000])
def test_schedule_equals_its_closed_form(schedule, closed, horizon):
    np.testing.assert_allclose(factors(schedule, horizon), closed(np.arange(horizon), horizon), rtol=2e-5, atol=1e-6)


def test_warm_up_rises_to_one_and_meets_the_cosine_there():
    got = factors(Cosine(warmup=10.0), 100)
    assert np.all(np.diff(got[:10]) > 0)
    assert got[0] == np.float32(0.1)
    assert got[9] == got[10] == 1.0
    assert np.all(np.diff(got[10:]) < 0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_lie_between_zero_and_one(name):
    for horizon in (1, 2, 77):
        got = factors(SCHEDULES[name], horizon)
        assert np.all((got >= 0.0) & (got <= 1.0))


def test_lanes_with_their_own_horizon_share_a_program():
    schedule = Cosine(warmup=4.0)
    together = jax.jit(jax.vmap(schedule, (None, 0)))(jnp.int32(30), jnp.array([40, 100], jnp.int32))
    np.testing.assert_allclose(together, [cosine(30, h, 4.0) for h in (40, 100)], rtol=1e-5)


# Eight runs of twelve epochs: falling, stalling, jumping, or NaN for some or all epochs.
LOSSES = np.array(
    [
        np.linspace(12, 1, 12),
        np.ones(12),
        [5, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3],
        [NAN, NAN, NAN, 2, 2, 2, 1, 1, 1, 1, 1, 1],
        [NAN] * 12,
        [3, NAN, 2, NAN, 1, NAN, NAN, NAN, NAN, 0, NAN, NAN],
        [9, 8.9, 8.8, 8.7, 8.6, 8.5, 8.4, 8.3, 8.2, 8.1, 8.0, 7.9],
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0],
    ],
    np.float32,
)
RULE = {
    "factor": [0.1, 0.5, 0.5, 0.2, 0.5, 0.5, 0.5, 0.1],
    "patience": [1.0, 2.0, 3.0, 2.0, 4.0, 2.0, 2.0, 1.0],
    "min_delta": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.15, 0.0],
    "cooldown": [0.0, 0.0, 1.0, 2.0, 0.0, 1.0, 0.0, 0.0],
    "floor": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 1e-4],
}


def plain_plateau(losses, factor, patience, min_delta, cooldown, floor):
    """Factor after each epoch, written as a plain loop over a single run."""
    factor_now, best, bad, rest, path = 1.0, math.inf, 0, 0, []
    for loss in losses:
        if np.float32(loss) < np.float32(best) - np.float32(min_delta):
            best, bad = loss, 0
        elif rest > 0:
            bad = 0
        else:
            bad += 1
        rest = max(rest - 1, 0)
        if bad >= patience:
            factor_now, bad, rest = max(factor_now * factor, floor), 0, int(cooldown)
        path.append(factor_now)
    return path


def test_plateau_in_a_pack_of_eight_lanes_decides_like_eight_plain_loops():
    @jax.jit
    def pack(losses, rule):
        def run(losses, rule):
            schedule = ReduceOnPlateau(**rule)

            def epoch(state, loss):
                state = schedule.update(state, loss)
                return state, state.factor

            return jax.lax.scan(epoch, schedule.init(), losses)[1]

        return jax.vmap(run)(losses, rule)

    together = pack(LOSSES, {name: jnp.array(values, jnp.float32) for name, values in RULE.items()})
    for lane in range(8):
        rule = {name: values[lane] for name, values in RULE.items()}
        np.testing.assert_allclose(together[lane], plain_plateau(LOSSES[lane], **rule), rtol=1e-5)


def test_plateau_known_decisions():
    assert plain_plateau(LOSSES[0], 0.1, 1, 0, 0, 0)[-1] == 1.0
    assert plain_plateau(np.ones(6), 0.5, 2, 0.0, 0, 0.0) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert plain_plateau(np.ones(6), 0.5, 2, 0.0, 1, 0.0) == [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Step(at=(0.7, 0.5)), "at"),
        (Step(at=(1.5,)), "at"),
        (Step(factor=0.0), "factor"),
        (Exponential(final=0.0), "final"),
        (Linear(final=2.0), "final"),
        (Cosine(warmup=-1.0), "warmup"),
        (Cosine(final=NAN), "final"),
        (Warmup(warmup=NAN), "warmup"),
        (ReduceOnPlateau(factor=1.0), "factor"),
        (ReduceOnPlateau(patience=0.0), "patience"),
        (ReduceOnPlateau(floor=2.0), "floor"),
        (ReduceOnPlateau(min_delta=-1.0), "min_delta"),
    ],
)
def test_fields_out_of_range_are_refused_in_one_line(schedule, field):
    with pytest.raises(ValueError, match=field) as error:
        schedule.check()
    assert "\n" not in str(error.value)


def test_defaults_are_in_range():
    for schedule in SCHEDULES.values():
        schedule.check()
        assert "Formula:" in type(schedule).__doc__
        assert "Reference:" in type(schedule).__doc__
