"""Convolutional layers, 1-D to 3-D, channels last, over `nets.fast_convolution`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn

from nets.fast_convolution import convolve
from nets.layers import Factory, Initializer, activated, kernel_default, pieces_of, rectifier


def repeated(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """A number per dimension."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def convolution(
    features: int,
    window: int | Sequence[int],
    rank: int,
    *,
    strides: int | Sequence[int] = 1,
    padding: str | int | Sequence[tuple[int, int]] = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    use_bias: bool = True,
    bias: float = 0.0,
    kernel_init: Initializer = kernel_default,
    name: str | None = None,
) -> nn.Conv:
    """A `flax.linen.Conv` over `convolve`: x [B, *space, in] → [B, *space', features].

    Args:
        features: output channels.
        window: a number for all dimensions, or one per dimension.
        rank: number of spatial dimensions, 1 to 3.
        strides, dilation: likewise.
        padding: "SAME", "VALID", a number for all sides, or (low, high) per dimension.
        groups: groups of channels; must divide the numbers of input and output channels.
        use_bias: whether there is a bias, initially `bias`.
        kernel_init: initializer of w [*window, in / groups, features].
        name: name of the layer's parameters.
    """
    return nn.Conv(
        features,
        repeated(window, rank),
        strides=repeated(strides, rank),
        padding=padding if isinstance(padding, (str, int)) else tuple(padding),
        kernel_dilation=repeated(dilation, rank),
        feature_group_count=groups,
        use_bias=use_bias,
        kernel_init=kernel_init,
        bias_init=nn.initializers.constant(bias),
        conv_general_dilated=convolve,
        name=name,
    )


class TransposedConvolution(nn.Module):
    """Transposed convolution: zeros between the inputs, then a convolution of stride 1 (Zeiler et al. 2010).

    x [B, *space, in] → [B, *space', features]: space' = strides * space with "SAME", and strides * space +
    max(window - strides, 0) with "VALID". The kernel is not flipped: the layer is the gradient of a convolution with
    the mirrored kernel.

    Args:
        features: output channels.
        window, strides, padding, kernel_init: as in `convolution`; padding is "SAME" or "VALID".
    """

    features: int
    window: int | tuple[int, ...] = 3
    strides: int | tuple[int, ...] = 2
    padding: str = "SAME"
    kernel_init: Initializer = kernel_default

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        rank = x.ndim - 2
        window, strides = repeated(self.window, rank), repeated(self.strides, rank)
        kernel = self.param("kernel", self.kernel_init, (*window, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        pads = [_transposed_pads(k, s, self.padding) for k, s in zip(window, strides, strict=True)]
        y = convolve(x, kernel, (1,) * rank, pads, lhs_dilation=strides)
        return y + bias.reshape((1,) * (rank + 1) + (-1,))


def _transposed_pads(window: int, stride: int, padding: str) -> tuple[int, int]:
    """Zeros before and after, for an output of length stride * n ("SAME"), or with the window's overhang ("VALID")."""
    total = window + stride - 2 + (max(window - stride, 0) if padding == "VALID" else 0)
    low = window - 1 if padding == "VALID" or stride > window - 1 else -(-total // 2)
    return low, total - low


class HiddenConv(nn.Module):
    """A hidden convolutional layer: x [B, *space, in] → dropout(g(norm(x ∗ w + b))) [B, *space', features].

    Args:
        features: channels after the activation.
        window, strides, padding, dilation, groups, use_bias, bias, kernel_init: as in `convolution`.
        activation, norm, norm_position, dropout: as in `nets.layers.activated`.
    """

    features: int
    window: int | tuple[int, ...] = 3
    strides: int | tuple[int, ...] = 1
    padding: str | int | tuple[tuple[int, int], ...] = "SAME"
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    bias: float = 0.0
    norm: str | None = None
    norm_position: str = "before"
    dropout: Any = 0.0
    use_bias: bool = True
    dilation: int = 1
    groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        z = convolution(
            self.features * pieces_of(self.activation),
            self.window,
            x.ndim - 2,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            use_bias=self.use_bias,
            bias=self.bias,
            kernel_init=self.kernel_init,
            name="conv",
        )(x)
        return activated(self, z, train=train)
