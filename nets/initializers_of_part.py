"""What an initializer draws for a kernel of traced sizes, as the first rows and columns of a larger one.

Weights are drawn one by one, from random bits that depend on the key and on a weight's position only, and then multiplied by
a number that depends on the kernel's sizes; so one program draws kernels of many sizes.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from nets.initializers_by_shape import (
    HE,
    LECUN,
    XAVIER,
    Constant,
    FanInUniform,
    Normal,
    Shape,
    Uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)


def _ones(key: Array, shape: Shape, dtype: Any) -> Array:
    del key
    return jnp.ones(shape, dtype)


def _uniform(key: Array, shape: Shape, dtype: Any) -> Array:
    return jax.random.uniform(key, shape, dtype, -1.0, 1.0)


_WITH_NUMBERS = (Constant, Uniform, FanInUniform, Normal)
# How weights are drawn, and what to multiply them by so that their variance is 1, with the variance times fan, and the fan.
_OF_FAN: dict[Any, tuple[Callable[..., Array], float, float, str]] = {
    xavier_uniform: (_uniform, 3.0, *XAVIER),
    xavier_normal: (jax.random.normal, 1.0, *XAVIER),
    lecun_uniform: (_uniform, 3.0, *LECUN),
    lecun_normal: (jax.random.normal, 1.0, *LECUN),
    he_uniform: (_uniform, 3.0, *HE),
    he_normal: (jax.random.normal, 1.0, *HE),
    zeros: (_ones, 1.0, 0.0, "fan_in"),
}


def _spread(initializer: Any, fan_in: Array, fan_out: Array) -> tuple[Callable[..., Array], Any]:
    """How weights of a kernel are drawn, (key, shape, dtype) → array, and what they are then multiplied by."""
    match initializer:
        case Constant():
            return _ones, initializer.value
        case Uniform():
            return _uniform, initializer.limit
        case FanInUniform():
            return _uniform, initializer.factor / jnp.sqrt(fan_in)
        case Normal():
            return jax.random.normal, initializer.std
    draws, inverse, scale, of = _OF_FAN[initializer]
    return draws, jnp.sqrt(inverse * (scale / (fan_in if of == "fan_in" else (fan_in + fan_out) / 2)))


def draws_parts(initializer: Any) -> bool:
    """Whether `part` knows how an initializer draws: those of the table that draw each weight by itself."""
    return type(initializer) in _WITH_NUMBERS or any(initializer is one for one in _OF_FAN)


def part(initializer: Any, key: Array, shape: Shape, sizes: tuple[Any, Any], dtype: Any = jnp.float32) -> Array:
    """A kernel of `shape` [in, out] that begins with what the initializer draws for a kernel of `sizes`, which are not larger.

    They agree to 3e-7, since XLA contracts factors where they are constants. What follows the part along either axis is left
    undetermined.
    """
    fan_in, fan_out = (jnp.asarray(size, jnp.float32) for size in sizes)
    count = math.prod(shape)
    row, column = (lax.broadcasted_iota(jnp.int32, tuple(shape), axis) for axis in range(2))
    position = jnp.minimum(row * fan_out.astype(jnp.int32) + column, count - 1)
    draws, factor = _spread(initializer, fan_in, fan_out)
    return draws(key, (count,), dtype)[position] * jnp.asarray(factor, dtype)
