"""Hopfield nets: the energy never rises, stored patterns are recalled, and recall breaks down near 0.14 N."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import hopfield


def test_hebbian_weights_are_symmetric_with_zero_diagonal():
    patterns = jax.random.rademacher(jax.random.key(0), (3, 8), jnp.float32)
    weights = hopfield.store(patterns)
    p = np.asarray(patterns, np.float64)
    expected = p.T @ p / 8
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_energy_never_rises_in_asynchronous_recall():
    patterns = jax.random.rademacher(jax.random.key(0), (30, 100), jnp.float32)  # far beyond capacity
    start = jax.random.rademacher(jax.random.key(1), (100,), jnp.float32)
    weights = hopfield.store(patterns)
    final, energies = jax.jit(lambda s, k: hopfield.recall(weights, s, steps=15, key=k))(start, jax.random.key(2))
    assert (jnp.diff(energies) <= 1e-4).all()
    assert energies[-1] < energies[0]
    np.testing.assert_array_equal(hopfield.update(weights, final), final)  # a fixed point
    expected = -0.5 * np.asarray(start) @ np.asarray(weights) @ np.asarray(start)
    np.testing.assert_allclose(energies[0], expected, rtol=1e-4)


@pytest.mark.parametrize("key", [None, 3])
def test_a_noisy_pattern_is_restored(key):
    patterns = jax.random.rademacher(jax.random.key(0), (5, 100), jnp.float32)
    noisy = patterns[2].at[:15].multiply(-1)
    recalled, _ = hopfield.recall(hopfield.store(patterns), noisy, key=key if key is None else jax.random.key(key))
    np.testing.assert_array_equal(recalled, patterns[2])


@pytest.mark.slow
def test_recall_breaks_down_near_a_load_of_0_14():
    below, above = hopfield.capacity(jax.random.key(0), 400, (0.1, 0.2), repeats=2, steps=8).mean(axis=0)
    assert below > 0.98
    assert above < 0.8


def test_a_load_below_one_pattern_is_refused():
    with pytest.raises(ValueError, match="holds no pattern: use at least"):
        hopfield.capacity(jax.random.key(0), 10, [0.01])
