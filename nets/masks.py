"""Random masks: four decisions from each call of Threefry, each with the exact probability."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def kept(key: jax.Array, rate: Any, shape: tuple[int, ...]) -> jax.Array:
    """A mask of Trues, each with probability 1 - rate; rate is a float32 number in [0, 1), which may be traced.

    An entry is False if its 32 random bits are below rate · 2³². That is exact for a rate from 2⁻⁸, since a float32 has 24
    bits, and within 2⁻³³ below; rate 0 gives no False. Threefry makes two words a call, and a word decides two entries,
    the second by its halves exchanged. So the exact probability costs 16 bits an entry, and only the two entries of a
    word depend on each other: their correlation is at most 2⁻¹⁵, or 2⁻³² / rate at rates below 2⁻¹⁷.

    The mask depends on the key, the rate and the shape alone. On a CPU, where XLA repeats cheap operations in each of
    their readers, a loop over two halves keeps the hash from being computed for each entry and once more for the
    gradient.
    """
    count = math.prod(shape)
    calls = 2 * -(-count // 8)
    below = jnp.asarray(rate, jnp.float32) * 2.0**32
    threshold = jnp.round(jnp.clip(below, 0.0, 2.0**32 - 2.0**8)).astype(jnp.uint32)
    counters = jnp.arange(calls, dtype=jnp.uint32)

    def decided(first: jax.Array) -> jax.Array:
        """Bit i of each word: whether the entry in quarter i is kept."""
        bits = _bits(key, first, calls)
        draws = [turned for word in bits for turned in (word, _rotated(word, 16))]
        return sum(
            (jnp.where(draw >= threshold, jnp.uint32(1 << i), jnp.uint32(0)) for i, draw in enumerate(draws)),
            jnp.uint32(0),
        )

    if jax.random.key_impl(key) == "threefry2x32" and jax.default_backend() == "cpu":
        words = lax.map(decided, counters.reshape(2, -1)).reshape(-1)
    else:
        words = decided(counters)
    quarters = words[None] >> jnp.arange(4, dtype=jnp.uint32)[:, None]
    return ((quarters & jnp.uint32(1)) != 0).reshape(-1)[:count].reshape(shape)


def _bits(key: jax.Array, first: jax.Array, calls: int) -> tuple[jax.Array, jax.Array]:
    """Two words of random bits for each counter."""
    if jax.random.key_impl(key) != "threefry2x32":
        both = jax.random.bits(key, (2, calls), jnp.uint32)
        return both[0], both[1]
    data = jax.random.key_data(key)
    return threefry(data[0], data[1], first, first + jnp.uint32(calls))


def folded(key: jax.Array, number: Any) -> jax.Array:
    """`jax.random.fold_in`, without its loop on a CPU, which takes a dozen operations of a step."""
    if jax.random.key_impl(key) != "threefry2x32" or jax.default_backend() != "cpu":
        return jax.random.fold_in(key, number)
    data = jax.random.key_data(key)
    words = threefry(data[0], data[1], jnp.zeros((), jnp.uint32), jnp.asarray(number).astype(jnp.uint32))
    return jax.random.wrap_key_data(jnp.stack(words), impl="threefry2x32")


@jax.jit
def threefry(k0: jax.Array, k1: jax.Array, x0: jax.Array, x1: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011), uint32: the function of `jax.extend.random.threefry_2x32`.

    JAX's own is a loop on a CPU, which computes each of the two words in a pass that computes both. Jitted, since the hundred
    operations of this one are then traced once, not for each key.
    """
    keys = (k0, k1, k0 ^ k1 ^ jnp.uint32(PARITY))
    x0, x1 = x0 + k0, x1 + k1
    for i in range(5):
        for distance in ROTATIONS[i % 2]:
            x0 = x0 + x1
            x1 = x0 ^ _rotated(x1, distance)
        x0 = x0 + keys[(i + 1) % 3]
        x1 = x1 + keys[(i + 2) % 3] + jnp.uint32(i + 1)
    return x0, x1


def _rotated(word: jax.Array, distance: int) -> jax.Array:
    """The bits turned to the left."""
    return (word << jnp.uint32(distance)) | (word >> jnp.uint32(32 - distance))
