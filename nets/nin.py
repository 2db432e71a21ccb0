"""Network in network: convolutions followed by 1×1 convolutions, without dense layers."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn

from nets.convolution import HiddenConv, convolution
from nets.layers import Dropout, Factory, Initializer, hidden_fields, kernel_default, rectifier
from nets.normalization import check_norm
from nets.pooling import average_pool, global_average_pool, max_pool
from nets.shapes import check_image, check_positive


class NIN(nn.Module):
    """Three "mlpconv" layers and global average pooling (Lin, Chen and Yan 2013).

    966,986 parameters on 32×32×3 with ten classes: windows 5, 5, 3, each followed by two 1×1 convolutions of
    160, 96 / 192, 192 / 192, outputs channels, with biases. The last convolution is linear (the paper rectifies it).

    Input [B, H, W, C], prediction [B, outputs]; dropout follows each of the two pools (0.5 in the paper).

    Args:
        widths: channels of all layers but the last, three to a stage.
        norm, norm_position, bias: as in `MLP`, in every hidden layer.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    widths: tuple[int, int, int, int, int, int, int, int] = (192, 160, 96, 192, 192, 192, 192, 192)
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
        windows = (5, 1, 1, 5, 1, 1, 3, 1)
        for layer, (width, window) in enumerate(zip(self.widths, windows, strict=True)):
            h = HiddenConv(width, window, name=f"conv_{layer}", **shared)(h, train=train)
            if layer in (2, 5):
                pool = max_pool if layer == 2 else average_pool
                h = Dropout(self.dropout)(pool(h, 3, 2, "SAME"), train=train)
        h = convolution(self.outputs, 1, 2, kernel_init=self.kernel_init, name="output")(h)
        return global_average_pool(h)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse images too small, a wrong rank, an unknown norm.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_image("NIN", shape, 8)
        check_positive("widths", self.widths)
        check_norm(self.norm, self.norm_position)
        if len(self.widths) != 8:
            raise ValueError(f"NIN has eight hidden layers, got {len(self.widths)} widths: give eight")
