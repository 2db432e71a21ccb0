"""Inputs that maximize units: linear units, where the answer is known, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.analysis.maximized_inputs import maximized_inputs

W = jax.random.normal(jax.random.key(0), (6, 3))


def linear(x):
    return x.reshape(x.shape[0], -1) @ W


def test_a_linear_unit_is_largest_along_its_weights():
    found = maximized_inputs(linear, [2, 0], (2, 3), jax.random.key(1), radius=2.5)
    directions = np.asarray(W / jnp.linalg.norm(W, axis=0, keepdims=True)).T[[2, 0]]
    np.testing.assert_allclose(found.inputs.reshape(2, 6), 2.5 * directions, atol=1e-4)
    np.testing.assert_allclose(found.values, 2.5 * np.linalg.norm(W, axis=0)[[2, 0]], rtol=1e-5)
    assert (found.starting < found.values).all()


def test_a_bounded_linear_unit_is_largest_in_a_corner():
    found = maximized_inputs(linear, [1], (6,), jax.random.key(1), radius=100.0, bounds=(-0.5, np.full(6, 0.25)))
    np.testing.assert_allclose(found.inputs[0], np.where(W[:, 1] > 0, 0.25, -0.5), atol=1e-6)


def test_the_best_of_several_starts_is_kept_and_dead_units_stay_where_they_start():
    two_hills = maximized_inputs(lambda x: jnp.maximum(x, -2 * x), [0], (1,), jax.random.key(0), radius=1.0)
    np.testing.assert_allclose(two_hills.inputs, [[-1.0]], atol=1e-6)
    dead = maximized_inputs(lambda x: jax.nn.relu(x[:, :1] - 9), [0], (4,), jax.random.key(1), radius=1.0)
    assert dead.values.tolist() == dead.starting.tolist() == [0.0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"radius": 0.0}, "radius=0.0 must be"),
        ({"radius": np.nan}, "radius=nan"),
        ({"steps": 0}, "steps=0 must be 1 or more"),
        ({"bounds": (0.1, 1.0)}, "must have 0"),
    ],
    ids=["radius", "NaN", "steps", "bounds"],
)
def test_what_cannot_be_searched_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        maximized_inputs(linear, [0], (6,), jax.random.key(0), **{"radius": 1.0, **wrong})
