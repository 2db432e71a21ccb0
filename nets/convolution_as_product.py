"""A convolution as one matrix product of patches with the kernel: how many small nets convolve at once on a GPU.

Nets that are mapped over have a kernel each, and XLA makes one convolution with a group per net of theirs. cuDNN takes some
17 µs for each group, however little there is to do, three times a step. A product of batches has no such cost.
"""

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

# Numbers in the patches of a batch (docs/performance.md, an H200). Above MOST, reading and writing them takes longer than groups.
MOST = 10_000_000
KEPT = 8_000_000  # to which they are kept for the backward pass, which takes memory; above, made again


def pays(
    x: tuple[int, ...],
    w: tuple[int, ...],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
) -> bool:
    """Whether the product takes less time than a convolution with a group per net, by the shapes of `convolved`."""
    return 0 < _numbers(x, w, strides, padding, lhs_dilation, rhs_dilation) <= MOST


def convolved(
    x: jax.Array,
    w: jax.Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    precision: object,
) -> jax.Array:
    """y[b, i, o] = Σ_{j, c} x[b, s i + d j - p, c] w[j, c, o].

    Args:
        x: [B, *space, in].
        w: [*window, in, out].
        strides: s, a number per dimension.
        padding: (low, high) per dimension.
        lhs_dilation: number of zeros between inputs, plus one.
        rhs_dilation: d.
        precision: of the product, as in `jnp.dot`.

    Returns:
        y [B, *space', out].
    """
    between = [(low, high, inner - 1) for (low, high), inner in zip(padding, lhs_dilation, strict=True)]

    def product(x: jax.Array, w: jax.Array) -> jax.Array:
        padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *between, (0, 0, 0)])
        patches = _patches(padded, w.shape[:-2], strides, rhs_dilation)
        return jnp.dot(patches, w.reshape(-1, w.shape[-1]), precision=precision)  # type: ignore[arg-type]

    size = _numbers(x.shape, w.shape, strides, padding, lhs_dilation, rhs_dilation)
    return (product if size <= KEPT else jax.checkpoint(product))(x, w)


def _numbers(
    x: tuple[int, ...],
    w: tuple[int, ...],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
) -> int:
    """Numbers in the patches of a batch; 0 where the window fits nowhere."""
    axes = zip(x[1:-1], padding, lhs_dilation, strict=True)
    padded = [low + (size - 1) * inner + 1 + high for size, (low, high), inner in axes]
    positions = [_positions(*axis) for axis in zip(padded, w[:-2], strides, rhs_dilation, strict=True)]
    return x[0] * math.prod(max(0, count) for count in positions) * math.prod(w[:-1])


def _positions(size: int, window: int, stride: int, dilation: int) -> int:
    """Positions of a window along an axis of `size`."""
    return (size - (window - 1) * dilation - 1) // stride + 1


def _patches(x: jax.Array, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> jax.Array:
    """x [B, *space, C] -> the window's inputs at each position, [B, *space', window · C]."""
    sizes = [_positions(*axis) for axis in zip(x.shape[1:-1], window, strides, dilation, strict=True)]
    parts = []
    for offsets in itertools.product(*map(range, window)):
        first = [j * d for j, d in zip(offsets, dilation, strict=True)]
        last = [start + (size - 1) * s + 1 for start, size, s in zip(first, sizes, strides, strict=True)]
        parts.append(lax.slice(x, (0, *first, 0), (x.shape[0], *last, x.shape[-1]), (1, *strides, 1)))
    return jnp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
