"""Pooling in windows of any rank, channels last."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from nets.convolution import repeated


def _tiles(x: jax.Array, window: tuple[int, ...], strides: tuple[int, ...], padding: str | Any) -> bool:
    whole = all(size % k == 0 for size, k in zip(x.shape[1:-1], window, strict=True))
    return window == strides and whole and isinstance(padding, str)


def _tiled(x: jax.Array, window: tuple[int, ...]) -> jax.Array:
    """x [B, s k, …, C] -> [B, s, k, …, C]."""
    shape = [x.shape[0]]
    for size, k in zip(x.shape[1:-1], window, strict=True):
        shape += [size // k, k]
    return x.reshape(*shape, x.shape[-1])


def _within(window: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a tiled array that run within a tile."""
    return tuple(range(2, 2 * len(window) + 1, 2))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _tile_max(x: jax.Array, window: tuple[int, ...]) -> jax.Array:
    """The largest of each tile: rows by strided slices, then columns by a reduction, whose result XLA keeps.

    A maximum that is slices throughout is as fast by itself, but XLA's CPU backend then computes it anew wherever it is read.
    """
    *outer, inner = window
    columns = functools.reduce(jnp.maximum, _members(x, (*outer, 1)))
    return _tiled(columns, (*(1 for _ in outer), inner)).max(_within(window))


def _members(x: jax.Array, window: tuple[int, ...]) -> list[jax.Array]:
    """For each place within a tile, x there in all tiles [B, *space', C]."""
    starts = itertools.product(*(range(k) for k in window))
    return [x[(slice(None), *(slice(at, None, k) for at, k in zip(start, window, strict=True)))] for start in starts]


@_tile_max.defjvp
def _tile_max_jvp(
    window: tuple[int, ...], primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """y' = the mean of x' where x is its tile's largest value."""
    (x,), (x_dot,) = primals, tangents
    y = _tile_max(x, window)
    count = functools.reduce(jnp.add, [(member == y).astype(x.dtype) for member in _members(x, window)])
    within = _within(window)
    largest = _tiled(x, window) == jnp.expand_dims(y, within)
    return y, jnp.where(largest, _tiled(x_dot, window), 0).sum(within) / count


def max_pool(
    x: jax.Array, window: int | Sequence[int], strides: int | Sequence[int] | None = None, padding: str | Any = "VALID"
) -> jax.Array:
    """The largest value in each window: x [B, *space, C] → [B, *space', C].

    Windows that tile the input go without `reduce_window`, which is slower on CPU; the gradient of equal largest values
    is then shared among them, where `reduce_window` gives it to the first.

    Args:
        x: in any number of dimensions.
        window: one number for all dimensions, or one each.
        strides: likewise; default the window.
        padding: "VALID", "SAME", or (low, high) each dimension.
    """
    window = repeated(window, x.ndim - 2)
    strides = window if strides is None else repeated(strides, x.ndim - 2)
    if _tiles(x, window, strides, padding):
        return _tile_max(x, window)
    return nn.max_pool(x, window, strides=strides, padding=padding)


def average_pool(
    x: jax.Array, window: int | Sequence[int], strides: int | Sequence[int] | None = None, padding: str | Any = "VALID"
) -> jax.Array:
    """The mean of each window, padding not counted: x [B, *space, C] → [B, *space', C]; arguments as in `max_pool`."""
    window = repeated(window, x.ndim - 2)
    strides = window if strides is None else repeated(strides, x.ndim - 2)
    if _tiles(x, window, strides, padding):
        return _tiled(x, window).mean(_within(window))
    ones = jnp.ones((1, *x.shape[1:-1], 1), x.dtype)
    total, count = (nn.pooling.pool(values, 0.0, lax.add, window, strides, padding) for values in (x, ones))
    return total / count


def global_average_pool(x: jax.Array) -> jax.Array:
    """The mean over space: x [B, *space, C] → [B, C] (Lin, Chen and Yan 2013)."""
    return x.mean(axis=tuple(range(1, x.ndim - 1)))
