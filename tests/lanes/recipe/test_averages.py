"""Averages of the iterates in a pack of lanes, against explicit sums in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.recipe.averages import AVERAGES, EMA, SWA

STEPS, LANES = 12, 8
ITERATES = np.random.default_rng(0).normal(size=(LANES, STEPS, 2, 3))
DECAYS = [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.3, 0.7]
STARTS = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.3, 0.99]


def pack(average, field, values):
    """The average after every step in eight lanes, each with its own number: [LANES, STEPS, 2, 3]."""

    @jax.jit
    def run(iterates, values):
        def lane(iterates, value):
            mine = dataclasses.replace(average, **{field: value})

            def step(state, item):
                state = mine.update(state, {"w": item[0]}, item[1], jnp.int32(STEPS))
                return state, mine.params(state)["w"]

            return jax.lax.scan(step, mine.init({"w": jnp.ones((2, 3))}), (iterates, jnp.arange(STEPS)))[1]

        return jax.vmap(lane)(iterates, values)

    return np.asarray(run(jnp.asarray(ITERATES, jnp.float32), jnp.array(values, jnp.float32)))


def test_ema_is_the_weighted_mean_with_weights_that_sum_to_one():
    got = pack(EMA(), "decay", DECAYS)
    for lane, decay in enumerate(DECAYS):
        for t in range(1, STEPS + 1):
            weights = (1 - decay) * decay ** np.arange(t - 1, -1, -1.0) / (1 - decay**t)
            assert np.isclose(weights.sum(), 1.0)
            expected = np.einsum("t,tij->ij", weights, ITERATES[lane, :t])
            np.testing.assert_allclose(got[lane, t - 1], expected, rtol=1e-4, atol=1e-4)


def test_swa_is_the_mean_from_the_start_on_and_the_iterate_before():
    got = pack(SWA(), "start", STARTS)
    for lane, start in enumerate(STARTS):
        first = round(start * STEPS)
        for t in range(STEPS):
            expected = ITERATES[lane, first : t + 1].mean(axis=0) if t >= first else ITERATES[lane, t]
            np.testing.assert_allclose(got[lane, t], expected, rtol=1e-4, atol=1e-6)


def test_before_the_start_swa_is_the_iterate_bit_for_bit():
    got = pack(SWA(), "start", [0.99] * LANES)
    np.testing.assert_array_equal(got[:, :-1], ITERATES[:, :-1].astype(np.float32))


@pytest.mark.parametrize("name", AVERAGES)
def test_the_average_of_equal_iterates_is_the_iterate(name):
    average = AVERAGES[name]
    params = {"w": jnp.full((2,), 3.0), "b": jnp.full((1,), -1.0)}
    state = average.init(params)
    for step in range(5):
        state = average.update(state, params, jnp.int32(step), jnp.int32(5))
    got = average.params(state)
    for leaf in params:
        assert got[leaf].dtype == params[leaf].dtype
        np.testing.assert_allclose(got[leaf], params[leaf], rtol=1e-6)


def test_defaults_are_in_range_and_values_out_of_range_are_refused():
    for average in AVERAGES.values():
        average.check()
        assert "Formula:" in type(average).__doc__
        assert "Reference:" in type(average).__doc__
    for average, field in ((EMA(decay=1.0), "decay"), (EMA(decay=float("nan")), "decay"), (SWA(start=1.0), "start")):
        with pytest.raises(ValueError, match=field):
            average.check()
