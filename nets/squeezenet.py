"""SqueezeNet: AlexNet's accuracy with a fiftieth of its parameters, by 1×1 bottlenecks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.convolution import HiddenConv, convolution
from nets.layers import Dropout, Factory, Initializer, hidden_fields, kernel_default, rectifier
from nets.normalization import check_norm
from nets.pooling import global_average_pool, max_pool
from nets.shapes import check_form, check_image

# (squeeze, expand) channels of the eight fire modules, whose output has 2 · expand.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
_POOLED_BEFORE = {"1.0": (0, 3, 7), "1.1": (0, 2, 4)}


class Fire(nn.Module):
    """Squeeze by 1×1, expand by 1×1 and 3×3 side by side: [B, H, W, C] → [B, H, W, 2 * expand]."""

    squeeze: int
    expand: int
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    bias: float = 0.0
    norm: str | None = None
    norm_position: str = "before"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = hidden_fields(self)
        h = HiddenConv(self.squeeze, 1, name="squeeze", **shared)(x, train=train)
        narrow = HiddenConv(self.expand, 1, name="expand_1", **shared)(h, train=train)
        wide = HiddenConv(self.expand, 3, name="expand_3", **shared)(h, train=train)
        return jnp.concatenate([narrow, wide], axis=-1)


class SqueezeNet(nn.Module):
    """A convolution, eight fire modules, a 1×1 convolution to the classes, global pooling (Iandola et al. 2016).

    1,248,424 parameters in form "1.0" and 1,235,496 in "1.1" with 1,000 outputs on 3 channels: biases, no
    normalization, no bypass. The last convolution is linear (the paper rectifies it).

    Input [B, H, W, C], prediction [B, outputs]; dropout precedes the last convolution (0.5 in the paper).

    Args:
        form: "1.0" (7×7 first convolution of 96 maps, late pools) or "1.1" (3×3 of 64, early pools, 2.4 times faster).
        norm, norm_position, bias: as in `MLP`, in every hidden layer.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    form: str = "1.1"
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
        features, window = (96, 7) if self.form == "1.0" else (64, 3)
        h = HiddenConv(features, window, 2, name="conv", **shared)(x, train=train)
        for index, (squeeze, expand) in enumerate(_FIRES):
            if index in _POOLED_BEFORE[self.form]:
                h = max_pool(h, 3, 2, "SAME")
            h = Fire(squeeze, expand, name=f"fire_{index}", **shared)(h, train=train)
        h = Dropout(self.dropout)(h, train=train)
        return global_average_pool(convolution(self.outputs, 1, 2, kernel_init=self.kernel_init, name="output")(h))

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse images too small, a wrong rank, an unknown form or norm.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_form("SqueezeNet", self.form, tuple(_POOLED_BEFORE))
        check_image("SqueezeNet", shape, 16)
        check_norm(self.norm, self.norm_position)
