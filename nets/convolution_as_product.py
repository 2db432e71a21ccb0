"""A convolution as one matrix product of patches with the kernel: how many small nets convolve at once on a GPU.

Nets that are mapped over have a kernel each, and XLA makes one convolution with a group per net of theirs. On an H200 that took
some 50 µs a net, forward and backward, however little there was to do. A product of batches has no such cost.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nets import dense

# Numbers in the patches of a batch (docs/performance.md, an H200).
MOST = 10_000_000  # up to which the product was timed; near it, it gains an eighth
KEPT = 8_000_000  # to which they are kept for the backward pass, which takes memory; above, made again


class Form(NamedTuple):
    """What a convolution is besides its arrays, a number or a pair per dimension.

    Attributes:
        strides: s.
        padding: (low, high).
        lhs_dilation: number of zeros between inputs, plus one.
        rhs_dilation: d.
    """

    strides: Sequence[int]
    padding: Sequence[tuple[int, int]]
    lhs_dilation: Sequence[int]
    rhs_dilation: Sequence[int]


def pays(x: tuple[int, ...], w: tuple[int, ...], form: Form) -> bool:
    """Whether the product takes less time than a convolution with a group per net, by the shapes of `convolved`."""
    return 0 < _numbers(x, w, form) <= MOST


def convolved(x: jax.Array, w: jax.Array, form: Form, precision: object) -> jax.Array:
    """y[b, i, o] = Σ_{j, c} x[b, s i + d j - p, c] w[j, c, o].

    Args:
        x: [B, *space, in].
        w: [*window, in, out].
        form: s, p and d.
        precision: of the product, as in `jnp.dot`.

    Returns:
        y [B, *space', out].
    """
    of_arrays = functools.partial(product, form=form, precision=precision)
    is_kept = _numbers(x.shape, w.shape, form) <= KEPT
    return (of_arrays if is_kept else jax.checkpoint(of_arrays))(x, w)


def product(x: jax.Array, w: jax.Array, form: Form, precision: object) -> jax.Array:
    """`convolved`, whatever its size: the patches are kept for the backward pass."""
    between = [(low, high, inner - 1) for (low, high), inner in zip(form.padding, form.lhs_dilation, strict=True)]
    padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *between, (0, 0, 0)])
    patches = _patches(padded, w.shape[:-2], form)
    kernel = w.reshape(-1, w.shape[-1])
    matrix = patches.reshape(-1, kernel.shape[0])  # XLA copies what contracts over more than one axis, on a CPU
    y = dense.product(matrix, kernel, dense.MATRICES, precision)
    return y.reshape(*patches.shape[:-1], -1)


def positions(x: tuple[int, ...], w: tuple[int, ...], form: Form) -> list[int]:
    """Positions of the window along each axis: the sides of y, below 1 where it fits nowhere."""
    axes = zip(x[1:-1], form.padding, form.lhs_dilation, strict=True)
    padded = [low + (size - 1) * inner + 1 + high for size, (low, high), inner in axes]
    return [_positions(*axis) for axis in zip(padded, w[:-2], form.strides, form.rhs_dilation, strict=True)]


def _numbers(x: tuple[int, ...], w: tuple[int, ...], form: Form) -> int:
    """Numbers in the patches of a batch; 0 where the window fits nowhere."""
    return x[0] * math.prod(max(0, count) for count in positions(x, w, form)) * math.prod(w[:-1])


def _positions(size: int, window: int, stride: int, dilation: int) -> int:
    """Positions of a window along an axis of `size`."""
    return (size - (window - 1) * dilation - 1) // stride + 1


def _patches(x: jax.Array, window: Sequence[int], form: Form) -> jax.Array:
    """x [B, *space, C] -> the window's inputs at each position, [B, *space', window · C]."""
    sizes = [_positions(*axis) for axis in zip(x.shape[1:-1], window, form.strides, form.rhs_dilation, strict=True)]
    parts = []
    for offsets in itertools.product(*map(range, window)):
        first = [j * d for j, d in zip(offsets, form.rhs_dilation, strict=True)]
        last = [start + (size - 1) * s + 1 for start, size, s in zip(first, sizes, form.strides, strict=True)]
        parts.append(lax.slice(x, (0, *first, 0), (x.shape[0], *last, x.shape[-1]), (1, *form.strides, 1)))
    return jnp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
