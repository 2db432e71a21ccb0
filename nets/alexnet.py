"""AlexNet in its one-tower form, for 224×224 and 32×32 images."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn

from nets.convolution import HiddenConv
from nets.dense import dense
from nets.layers import Dropout, Factory, HiddenDense, Initializer, flatten, hidden_fields, kernel_default, rectifier
from nets.normalization import check_norm
from nets.pooling import max_pool
from nets.shapes import check_form, check_image, check_positive


class AlexNet(nn.Module):
    """Five convolutions and two wide dense layers (Krizhevsky 2014, after Krizhevsky, Sutskever and Hinton 2012).

    61,100,840 parameters in form "imagenet" with 1,000 outputs and 224×224×3: one tower (no groups), 64-192-384-256-256
    maps, biases everywhere, no response normalization, 6×6 maps flattened. Form "cifar" takes 32×32: its first
    convolution is 5×5 with stride 1 and its pools halve exactly, so that 4×4 maps are flattened.

    Input [B, H, W, C], prediction [B, outputs]; dropout precedes each hidden dense layer (0.5 in the paper).

    Args:
        form: "imagenet" or "cifar".
        widths: units of the dense layers.
        norm, norm_position, bias: as in `MLP`, in every hidden layer.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    form: str = "imagenet"
    widths: tuple[int, ...] = (4096, 4096)
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
        large = self.form == "imagenet"
        window, stride, pad = (11, 4, 2) if large else (5, 1, 2)
        pool = (3, 2) if large else (2, 2)
        h = HiddenConv(64, window, stride, pad, name="conv_0", **shared)(x, train=train)
        h = HiddenConv(192, 5, name="conv_1", **shared)(max_pool(h, *pool), train=train)
        h = HiddenConv(384, 3, name="conv_2", **shared)(max_pool(h, *pool), train=train)
        h = HiddenConv(256, 3, name="conv_3", **shared)(h, train=train)
        h = HiddenConv(256, 3, name="conv_4", **shared)(h, train=train)
        h = flatten(max_pool(h, *pool))
        for layer, width in enumerate(self.widths):
            h = Dropout(self.dropout)(h, train=train)
            h = HiddenDense(width, name=f"hidden_{layer}", **shared)(h, train=train)
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse images too small for the form, a wrong rank, an unknown form or norm.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_form("AlexNet", self.form, ("imagenet", "cifar"))
        check_image("AlexNet", shape, 63 if self.form == "imagenet" else 8)
        check_positive("widths", self.widths)
        check_norm(self.norm, self.norm_position)
