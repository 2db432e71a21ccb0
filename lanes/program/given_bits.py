"""Random keys that stand for bits drawn before: functions that each draw once from equal keys draw from the same bits.

So the bits stand in a program once for all of these functions. What is made of them is computed where it was, and rounded
as it was.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.random import define_prng_impl

BITS = 32  # of a number; float32 is drawn from as many


def drawn(key: Array, shape: Sequence[int]) -> Array:
    """A key from which one array of `shape`, or of any other as large, is drawn as it is from `key`.

    The array must be of 32-bit numbers; everything else that keys are for raises NotImplementedError.
    """
    bits = jax.random.bits(key, tuple(shape), jnp.uint32)
    return jax.random.wrap_key_data(bits.reshape(-1), impl=_implementation(bits.size))


@functools.cache
def _implementation(count: int) -> Any:
    """What JAX does with a key that stands for so many numbers."""

    def random_bits(bits: Array, width: int, shape: tuple[int, ...]) -> Array:
        if width != BITS or math.prod(shape) != count:
            raise NotImplementedError(f"{width} bits of shape {shape} from a key of {count} numbers of {BITS} bits")
        return bits.reshape(shape)

    def refused(*_: Any) -> Any:
        raise NotImplementedError("this key stands for one array of random bits: it cannot be split or folded")

    name = f"given bits, {count}"
    return define_prng_impl(
        key_shape=(count,), seed=refused, split=refused, random_bits=random_bits, fold_in=refused, name=name, tag=name
    )
