"""LeNet-5, and a small convolutional net of any dimension and depth on its pattern."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn

from nets.convolution import HiddenConv
from nets.dense import dense
from nets.layers import Factory, HiddenDense, Initializer, flatten, hidden_fields, kernel_default, rectifier
from nets.normalization import check_norm
from nets.pooling import global_average_pool, max_pool
from nets.shapes import check_image, check_positive


class LeNet5(nn.Module):
    """Two 5×5 convolutions with 2×2 pooling, two dense layers (LeCun, Bottou, Bengio and Haffner 1998).

    61,706 parameters on 28×28×1 with padding "SAME", or on 32×32×1 with "VALID". Unlike the paper's, the second
    convolution sees all maps of the first (not 60 of 96 pairs), pooling takes the maximum and has no parameters, and
    the output is linear (not radial basis functions).

    Input [B, H, W, C], prediction [B, outputs]; dropout acts on the dense layers.

    Args:
        padding: of the first convolution.
        widths: units of the dense layers.
        maps: channels of the convolutions.
        norm, norm_position, bias: as in `MLP`, in every hidden layer.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    padding: str = "SAME"
    widths: tuple[int, ...] = (120, 84)
    maps: tuple[int, int] = (6, 16)
    norm: str | None = None
    norm_position: str = "before"
    bias: float = 0.0
    outputs: int = 10
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = hidden_fields(self)
        h = HiddenConv(self.maps[0], 5, padding=self.padding, name="conv_0", **shared)(x, train=train)
        h = max_pool(h, 2)
        h = HiddenConv(self.maps[1], 5, padding="VALID", name="conv_1", **shared)(h, train=train)
        h = flatten(max_pool(h, 2))
        for layer, width in enumerate(self.widths):
            h = HiddenDense(width, dropout=self.dropout, name=f"hidden_{layer}", **shared)(h, train=train)
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse images too small, a wrong rank, an unknown norm or padding.

        Raises:
            ValueError: with the value got and the rule.
        """
        if self.padding not in ("SAME", "VALID"):
            raise ValueError(f"padding {self.padding!r} is unknown: use 'SAME' or 'VALID'")
        check_image("LeNet5", shape, 12 if self.padding == "SAME" else 16)
        check_positive("widths", self.widths)
        check_positive("maps", self.maps)
        check_norm(self.norm, self.norm_position)


class CNN(nn.Module):
    """Strided convolutions and a linear readout, in one to three dimensions: [B, *space, C] → [B, outputs].

    The defaults are the convolutional net of MNIST-1D (Greydanus and Kobak 2024): 5,210 parameters on 40×1 with ten
    classes (windows 5, 3, 3, padding 1, stride 2).

    Args:
        widths: channels of the layers.
        windows: window of each layer, the same in all dimensions.
        stride: stride of every layer.
        padding: zeros on each side.
        pooled: average over space before the readout (translation invariance) instead of flattening.
        norm, norm_position, bias: as in `MLP`.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    widths: tuple[int, ...] = (25, 25, 25)
    windows: tuple[int, ...] = (5, 3, 3)
    stride: int = 2
    padding: int = 1
    pooled: bool = False
    norm: str | None = None
    norm_position: str = "before"
    bias: float = 0.0
    outputs: int = 10
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = hidden_fields(self)
        h = x
        for index, (width, window) in enumerate(zip(self.widths, self.windows, strict=True)):
            layer = HiddenConv(
                width, window, self.stride, self.padding, dropout=self.dropout, name=f"conv_{index}", **shared
            )
            h = layer(h, train=train)
        h = global_average_pool(h) if self.pooled else flatten(h)
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse examples that are not [*space, C] or too small, and lists of different length.

        Raises:
            ValueError: with the value got and the rule.
        """
        if len(self.widths) != len(self.windows):
            raise ValueError(
                f"CNN has {len(self.widths)} widths and {len(self.windows)} windows: give one window per layer"
            )
        check_positive("widths", self.widths)
        check_positive("windows", self.windows)
        check_norm(self.norm, self.norm_position)
        if not 2 <= len(shape) <= 4:
            raise ValueError(f"CNN takes examples of shape [*space, C] with 1 to 3 dimensions of space, got {shape}")
        sides = list(shape[:-1])
        for layer, window in enumerate(self.windows):
            sides = [(side + 2 * self.padding - window) // self.stride + 1 for side in sides]
            if min(sides) < 1:
                raise ValueError(f"examples of shape {shape} are too small for layer {layer} of CNN: use fewer layers")
