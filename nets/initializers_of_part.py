"""What an initializer draws for a kernel of traced sizes, as the first rows and columns of a larger one.

Weights are drawn one by one, from random bits that depend on the key and on a weight's position only, and then multiplied by
a number that depends on the kernel's sizes; so one program draws kernels of many sizes, and by several initializers from the
same numbers.
"""

import math
from collections.abc import Callable, Sequence
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
    return chosen((initializer,), jnp.int32(0), key, shape, sizes, dtype)


def chosen(
    initializers: Sequence[Any],
    index: Array,
    key: Array,
    shape: Shape,
    sizes: tuple[Any, Any] | None = None,
    dtype: Any = jnp.float32,
) -> Array:
    """What the initializer at `index`, which is traced, draws for a kernel, or for a part of it as `part` does; 0 for others.

    Uniform and normal numbers are drawn once for all initializers that draw such, and so stand once in a program.
    """
    fans = _fans(shape) if sizes is None else tuple(jnp.asarray(size, jnp.float32) for size in sizes)
    spreads = [_spread(initializer, *fans) for initializer in initializers]
    drawn = {draws: _drawn(draws, key, shape, sizes, dtype) for draws in dict.fromkeys(draws for draws, _ in spreads)}
    out = jnp.zeros(tuple(shape), dtype)
    for at, (draws, factor) in enumerate(spreads):
        out = jnp.where(index == at, drawn[draws] * jnp.asarray(factor, dtype), out)
    return out


def _fans(shape: Shape) -> tuple[Array, Array]:
    """fan_in and fan_out of a kernel [*window, in, out]."""
    window = math.prod(shape[:-2])
    return jnp.float32(window * shape[-2]), jnp.float32(window * shape[-1])


def _drawn(draws: Callable[..., Array], key: Array, shape: Shape, sizes: tuple[Any, Any] | None, dtype: Any) -> Array:
    """The numbers of a kernel before they are multiplied by a factor."""
    if sizes is None:
        return draws(key, tuple(shape), dtype)
    count = math.prod(shape)
    row, column = (lax.broadcasted_iota(jnp.int32, tuple(shape), axis) for axis in range(2))
    position = jnp.minimum(row * jnp.asarray(sizes[1], jnp.int32) + column, count - 1)
    return draws(key, (count,), dtype)[position]
