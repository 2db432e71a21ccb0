"""The run's initializer in place of a library's own draws: how its layers lay out their kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from nets.bridge_leaves import Names
from nets.layers import Initializer


class Layout(NamedTuple):
    """How a stored kernel [*stack, …] is laid out.

    Attributes:
        shape: as initializers take it, [*window, in, out].
        stored: from that shape to the stored one.
        stack: number of leading axes over layers that are stacked, each of which is drawn by itself.
    """

    shape: tuple[int, ...]
    stored: Callable[[jax.Array], jax.Array]
    stack: int


def inputs_first(leaf: Any, window: int = 0) -> Layout:
    """[*stack, *window, in, out], the layout of Flax."""
    stack = leaf.ndim - window - 2
    return Layout(leaf.shape[stack:], lambda kernel: kernel, stack)


def outputs_first(leaf: Any, window: int = 0) -> Layout:
    """[*stack, out, in, *window], the layout of Equinox."""
    stack = leaf.ndim - window - 2
    out, inputs, *sizes = leaf.shape[stack:]
    axes = (window + 1, window, *range(window))
    return Layout((*sizes, inputs, out), lambda kernel: kernel.transpose(axes), stack)


def several(leaf: Any, inputs: int, outputs: int) -> Layout:
    """[*stack, *in, *out], several axes of inputs and of outputs: the matrix [prod(in), prod(out)]."""
    stack = leaf.ndim - inputs - outputs
    shape = leaf.shape[stack:]
    matrix = math.prod(shape[:inputs]), math.prod(shape[inputs:])
    return Layout(matrix, lambda kernel: kernel.reshape(shape), stack)


def redrawn(
    net: str, initializer: Initializer, key: jax.Array, kernels: Mapping[Names, tuple[Any, Layout | None]]
) -> dict[Names, jax.Array]:
    """A draw of the initializer for each kernel, with a key of its own.

    Args:
        net: its name.
        initializer: (key, shape, dtype) -> array.
        key: random key.
        kernels: the library's own draw of each, and its layout; None if that is not known.

    Raises:
        ValueError: a kernel without a layout, or no kernels.
    """
    if not kernels:
        raise ValueError(f"net {net} has no kernels that redraw_kernels could draw: leave it out")
    out = {}
    for path, own_key in zip(kernels, jax.random.split(key, len(kernels))):
        leaf, layout = kernels[path]
        if layout is None:
            raise ValueError(
                f"{'.'.join(path)} of net {net} has shape {leaf.shape}, and which of its axes are inputs is not known: "
                "draw it in the constructor, by its argument kernel_init, and leave redraw_kernels out"
            )
        out[path] = _drawn(initializer, own_key, leaf, layout)
    return out


def _drawn(initializer: Initializer, key: jax.Array, leaf: Any, layout: Layout) -> jax.Array:
    def draw(key: jax.Array) -> jax.Array:
        return layout.stored(initializer(key, layout.shape, leaf.dtype))

    stack = leaf.shape[: layout.stack]
    for _ in stack:
        draw = jax.vmap(draw)
    return draw(jax.random.split(key, stack) if stack else key)
