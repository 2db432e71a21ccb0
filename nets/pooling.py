"""Pooling over windows of any rank, channels last."""

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
    """The maximum of each tile: over rows by strided slices, then over columns by a reduction, whose result XLA keeps.

    Slices alone would be as fast by themselves, but XLA's CPU backend then recomputes the maximum wherever it is read.
    """
    *outer, inner = window
    columns = functools.reduce(jnp.maximum, _members(x, (*outer, 1)))
    return _tiled(columns, (*(1 for _ in outer), inner)).max(_within(window))


def _members(x: jax.Array, window: tuple[int, ...]) -> list[jax.Array]:
    """For each position within a tile, the values of x at it in all tiles, [B, *space', C]."""
    corners = itertools.product(*(range(k) for k in window))
    return [x[(slice(None), *(slice(i, None, k) for i, k in zip(corner, window, strict=True)))] for corner in corners]


@_tile_max.defjvp
def _tile_max_jvp(
    window: tuple[int, ...], primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """y' is the mean of x' over the positions that attain the tile's maximum."""
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

    Windows that tile the input avoid `reduce_window`, which is slower on CPU; tied maxima then share the gradient,
    whereas `reduce_window` gives it to the first.

    Args:
        x: array with any number of spatial dimensions.
        window: a number for all dimensions, or one per dimension.
        strides: likewise; defaults to the window.
        padding: "VALID", "SAME", or (low, high) per dimension.
    """
    window = repeated(window, x.ndim - 2)
    strides = window if strides is None else repeated(strides, x.ndim - 2)
    if _tiles(x, window, strides, padding):
        return _tile_max(x, window)
    return nn.max_pool(x, window, strides=strides, padding=padding)


def average_pool(
    x: jax.Array, window: int | Sequence[int], strides: int | Sequence[int] | None = None, padding: str | Any = "VALID"
) -> jax.Array:
    """The mean of each window, padding excluded: x [B, *space, C] → [B, *space', C]; arguments as in `max_pool`."""
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
