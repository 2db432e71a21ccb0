"""Convolutions whose transposes, the gradients of their kernels, are matrix products: for CPUs.

The gradient of a kernel as a convolution has a window as large as the image, for which XLA gathers a patch of
batch × height × width numbers for each of the kernel's.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nets import convolution_as_product as as_product
from nets.convolution_as_product import Form

# Multiply-adds of an image with one of the kernel's positions, below which copies cost what they gain.
SMALL = 2**14
SMALL_STRIDED = 2**15
CACHED = 2**18  # numbers of a block that mostly stay in a core's cache
LARGE = 2**22  # numbers of one image that are too many for a copy


def convolved(x: jax.Array, w: jax.Array, form: Form, precision: Any) -> jax.Array | None:
    """y[b, i, o] = Σ_{j, c} x[b, s i + d j - p, c] w[j, c, o], where its transpose is worth it as a product; None elsewhere.

    Args:
        x: [B, *space, in].
        w: [*window, in, out].
        form: s, p and d, and the dilation of x.
        precision: of the products, as in `jnp.dot`.
    """
    ones = (1,) * (x.ndim - 2)
    strides, inner, outer = (tuple(of) for of in (form.strides, form.lhs_dilation, form.rhs_dilation))
    if outer != ones or (strides != ones and inner != ones):
        return None
    if inner != ones:
        return _by_positions(x, w, form, precision)
    sides = as_product.positions(x.shape, w.shape, form)
    if x.ndim != 4 or min(map(min, form.padding)) < 0 or min(sides) < 1:
        return None
    work = math.prod(sides) * math.prod(w.shape[-2:])
    if strides == ones:
        k, m, channels, features = w.shape
        block = _images_at_once(x.shape[0], x.shape[1] * sides[1] * (m * channels + k * features))
        return _by_rows_and_columns(x, w, form, precision, block) if block and work >= SMALL else None
    # The patches of larger windows overlap so much that copying them costs more than it gains.
    block = _images_at_once(x.shape[0], math.prod(sides) * (math.prod(w.shape[:-1]) + w.shape[-1]))
    overlaps = math.prod(w.shape[:-2]) >= 4 * math.prod(strides)
    return None if not block or overlaps or work < SMALL_STRIDED else _by_patches(x, w, form, precision, block)


def _images_at_once(images: int, numbers: int) -> int:
    """How many images, of so many numbers each, are one block: a divisor of all; 0 if one is too large."""
    blocks = (b for b in range(1, images + 1) if images % b == 0 and b * numbers <= max(numbers, CACHED))
    return 0 if numbers > LARGE else max(blocks)


def _in_blocks(some: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, w: jax.Array, block: int) -> jax.Array:
    """`some` of a block of images and the kernel, block by block. Nothing is kept: the backward pass copies inputs again."""
    again = jax.checkpoint(some, prevent_cse=False)
    blocks = x.reshape(x.shape[0] // block, block, *x.shape[1:])
    _, y = lax.scan(lambda _, x: (None, again(x, w)), None, blocks)
    return y.reshape(x.shape[0], *y.shape[2:])


def _by_rows_and_columns(x: jax.Array, w: jax.Array, form: Form, precision: Any, block: int) -> jax.Array:
    """x ∗ w by one product of inputs side by side, [positions, m C], with all rows of the kernel, [m C, k O].

    Row i of the kernel gives y's row r from x's row r + i - p, so the results are added at k offsets; rows of padding give
    nothing and are left out. The transpose is a product of the same inputs with k shifted copies of y's slopes, [m C, positions]
    by [positions, k O]: nearly square, from (m + k) / (m k) of the memory that the patches of a convolution take. The results
    are padded before they are added, so that the slopes are padded once and then copied: XLA pads slowly while it joins.
    """
    k, m, channels, features = w.shape
    width = as_product.positions(x.shape, w.shape, form)[1]
    kernel = w.transpose(1, 2, 0, 3).reshape(m * channels, k * features)

    def some(x: jax.Array, kernel: jax.Array) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (0, 0), form.padding[1], (0, 0)))
        columns = jnp.concatenate([x[:, :, j : j + width] for j in range(m)], axis=-1)
        positions = columns.reshape(-1, m * channels)  # as a matrix: XLA copies what contracts over more than one axis
        rows = jnp.dot(positions, kernel, precision=precision).reshape(*columns.shape[:3], -1)
        parts = lax.split(rows, (features,) * k, axis=-1)  # transposed, a concatenation; slices would be a sum
        shifted = [jnp.pad(part, ((0, 0), (k - 1 - i, i), (0, 0), (0, 0))) for i, part in enumerate(parts)]
        low, high = (pad - (k - 1) for pad in form.padding[0])
        y = functools.reduce(jnp.add, shifted)
        return lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), (low, high, 0), (0, 0, 0), (0, 0, 0)))

    return _in_blocks(some, x, kernel, block)


def _by_patches(x: jax.Array, w: jax.Array, form: Form, precision: Any, block: int) -> jax.Array:
    """x ∗ w with strides by one product of patches, [positions, k m C], with the kernel.

    Taken in blocks, the inputs are stored before they are copied. Otherwise XLA computes what made them, such as a
    normalization, once for each copy.
    """
    return _in_blocks(lambda x, w: as_product.product(x, w, form, precision), x, w, block)


def _by_positions(x: jax.Array, w: jax.Array, form: Form, precision: Any) -> jax.Array:
    """x ∗ w of a transposed convolution, y[s i + p - j] += x[i] w[j], by one product, [positions, C] by [C, k m O].

    Its transpose is a product as well, of the inputs with y's slopes at the k m positions that each input reaches. As a
    convolution it has a window as large as the image, most of it zeros.
    """
    *window, channels, features = w.shape
    kernel = jnp.moveaxis(w, -2, 0).reshape(channels, -1)
    products = jnp.dot(x.reshape(-1, channels), kernel, precision=precision).reshape(*x.shape[:-1], -1)
    y: Any = 0.0
    parts = lax.split(products, (features,) * math.prod(window), axis=-1)
    axes = [*zip(window, form.padding, form.lhs_dilation, strict=True)]
    for position, part in zip(itertools.product(*map(range, window)), parts, strict=True):
        pads = [(low - j, high + j - size + 1, s - 1) for j, (size, (low, high), s) in zip(position, axes, strict=True)]
        y = y + lax.pad(part, jnp.zeros((), part.dtype), [(0, 0, 0), *pads, (0, 0, 0)])
    return y
