"""Random masks: Threefry is JAX's, each entry has its exact probability, and entries, layers and steps are independent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax
from jax.extend.random import threefry_2x32
from scipy import stats

from nets import Dropout
from nets.masks import folded, kept, threefry

ENTRIES = (8, 125_000)
RATES = [1e-6, 1e-3, 0.1, 1 / 3, 0.5, 0.9, 0.999]

masks = jax.jit(jax.vmap(kept, in_axes=(0, None, None)), static_argnums=2)


def test_the_hash_is_that_of_jax():
    counters = jnp.arange(10, dtype=jnp.uint32)
    key = jax.random.key_data(jax.random.key(7))
    ours = jnp.concatenate(threefry(key[0], key[1], counters[:5], counters[5:]))
    np.testing.assert_array_equal(ours, threefry_2x32(key, counters))


@pytest.mark.parametrize("rate", RATES)
def test_entries_are_dropped_at_their_rate_wherever_they_are(rate):
    """By quarters, which are decided by different bits: as many as a binomial count may have (p > 1e-5)."""
    dropped = ~np.asarray(masks(jax.random.split(jax.random.key(3), 4), jnp.float32(rate), ENTRIES))
    counts = dropped.reshape(4, 4, -1).sum(axis=(0, 2))
    number = dropped.size // 4
    # Two tails of a binomial, since 1e-6 has too few entries for chi-square.
    for count in counts:
        tail = min(stats.binom.cdf(count, number, rate), stats.binom.sf(count - 1, number, rate))
        assert tail > 1e-5, counts


def test_rate_zero_drops_nothing_and_the_largest_keeps_almost_nothing():
    keys = jax.random.split(jax.random.key(0), 1)
    assert masks(keys, jnp.float32(0), ENTRIES).all()
    assert not masks(keys, np.nextafter(np.float32(1), np.float32(0)), (1000,)).any()


def test_the_threshold_is_exact(monkeypatch):
    """With known bits, rate r drops exactly the words below r · 2³², each of them turned by half for its neighbour."""
    words = np.array([0, 2**29 - 1, 2**29, 2**32 - 1], np.uint32)
    monkeypatch.setattr("nets.masks._bits", lambda *_: (jnp.asarray(words), jnp.asarray(words)))
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")  # which draws all at once
    turned = (words << np.uint32(16)) | (words >> np.uint32(16))
    expected = np.concatenate([words, turned, words, turned]) >= 2**29
    np.testing.assert_array_equal(kept(jax.random.key(0), 0.125, (16,)), expected)


def test_a_loop_or_none_makes_the_same_mask(monkeypatch):
    looped = kept(jax.random.key(5), 0.4, (3, 7))
    monkeypatch.setattr("jax.default_backend", lambda: "tpu")
    np.testing.assert_array_equal(kept(jax.random.key(5), 0.4, (3, 7)), looped)


def test_entries_are_independent():
    """All 16 patterns of the four entries of one call, and products at several distances: chi-square and z tests."""
    rate = 0.3
    mask = np.asarray(masks(jax.random.split(jax.random.key(1), 4), jnp.float32(rate), ENTRIES)).reshape(4, 4, -1)
    patterns = (mask * (2 ** np.arange(4))[:, None]).sum(axis=1).ravel()
    probability = np.array([np.prod([1 - rate if i >> bit & 1 else rate for bit in range(4)]) for i in range(16)])
    observed = np.bincount(patterns, minlength=16)
    assert stats.chisquare(observed, probability * len(patterns)).pvalue > 1e-4
    flat = mask[0].ravel() - (1 - rate)
    for apart in (1, 2, 64, len(flat) // 2):
        assert abs((flat[apart:] * flat[:-apart]).mean()) < 4 * rate * (1 - rate) / np.sqrt(len(flat) - apart), apart


def test_layers_steps_and_seeds_are_independent():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            return [Dropout(0.5)(x, train=True), Dropout(0.5)(x, train=True)]

    def drawn(seed, step):
        key = jax.random.fold_in(jax.random.key(seed), step)
        return jnp.stack(Two().apply({}, jnp.ones((40, 500)), rngs={"dropout": key}))

    all_masks = jax.vmap(drawn)(jnp.array([0, 0, 1]), jnp.array([0, 1, 0])).reshape(6, -1) - 1
    between = np.asarray(all_masks @ all_masks.T) / all_masks.shape[1]
    assert (np.abs(between - np.eye(6)) < 4.5 / np.sqrt(all_masks.shape[1])).all()


def test_a_key_is_folded_as_jax_does_it():
    keys, steps = jax.random.split(jax.random.key(4), 3), jnp.array([0, 1, 2**31 - 1], jnp.int32)
    np.testing.assert_array_equal(
        jax.random.key_data(jax.vmap(folded)(keys, steps)),
        jax.random.key_data(jax.vmap(jax.random.fold_in)(keys, steps)),
    )
    other = jax.random.key(0, impl="rbg")
    np.testing.assert_array_equal(
        jax.random.key_data(folded(other, 3)), jax.random.key_data(jax.random.fold_in(other, 3))
    )


def test_a_lane_draws_the_same_mask_alone_among_others_and_under_a_condition():
    keys, rates = jax.random.split(jax.random.key(2), 3), jnp.array([0.0, 0.2, 0.7], jnp.float32)
    together = jax.vmap(lambda key, rate: kept(key, rate, (5, 9)))(keys, rates)
    mapped = lax.map(lambda one: kept(*one, (5, 9)), (keys, rates))
    alone = [kept(key, rate, (5, 9)) for key, rate in zip(keys, rates, strict=True)]
    conditional = lax.cond(
        rates.any(), lambda: jax.vmap(lambda k, r: kept(k, r, (5, 9)))(keys, rates), lambda: jnp.ones((3, 5, 9), bool)
    )
    for other in (mapped, jnp.stack(alone), conditional):
        np.testing.assert_array_equal(together, other)


def test_other_generators_draw_masks_too():
    mask = kept(jax.random.key(0, impl="rbg"), 0.25, (100, 101))
    assert abs(float(mask.mean()) - 0.75) < 4 * np.sqrt(0.25 * 0.75 / 10_100)
