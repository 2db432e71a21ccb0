"""GoogLeNet: Inception modules with 1×1 bottlenecks, and auxiliary heads."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.convolution import HiddenConv
from nets.dense import dense
from nets.layers import Dropout, Factory, HiddenDense, Initializer, flatten, hidden_fields, kernel_default, rectifier
from nets.normalization import check_norm
from nets.outputs import Outputs
from nets.pooling import average_pool, global_average_pool, max_pool
from nets.shapes import check_image

# Maps of the 1×1 convolution, the bottleneck and 3×3, the bottleneck and 5×5, and the pool's projection.
_MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
_SMALLEST_WITH_HEADS = 65  # the heads' 5×5 pool must fit into maps of a sixteenth of the side


class Inception(nn.Module):
    """Four branches side by side: [B, H, W, C] → [B, H, W, maps[0] + maps[2] + maps[4] + maps[5]]."""

    maps: tuple[int, int, int, int, int, int]
    window: int = 3
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    bias: float = 0.0
    norm: str | None = "batch_norm"
    norm_position: str = "before"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def conv(name: str, features: int, window: int, h: jax.Array) -> jax.Array:
            layer = HiddenConv(features, window, use_bias=self.norm is None, name=name, **hidden_fields(self))
            return layer(h, train=train)

        direct, narrow_3, wide_3, narrow_5, wide_5, pooled = self.maps
        branches = [
            conv("one", direct, 1, x),
            conv("wide_3", wide_3, 3, conv("narrow_3", narrow_3, 1, x)),
            conv("wide_5", wide_5, self.window, conv("narrow_5", narrow_5, 1, x)),
            conv("pooled", pooled, 1, max_pool(x, 3, 1, "SAME")),
        ]
        return jnp.concatenate(branches, axis=-1)


class AuxiliaryHead(nn.Module):
    """5×5 average pooling, a 1×1 convolution, two dense layers: [B, H, W, C] → logits [B, outputs]."""

    outputs: int
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    bias: float = 0.0
    norm: str | None = "batch_norm"
    norm_position: str = "before"
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = hidden_fields(self)
        h = HiddenConv(128, 1, use_bias=self.norm is None, name="conv", **shared)(average_pool(x, 5, 3), train=train)
        shared["norm"] = None
        h = HiddenDense(1024, dropout=self.dropout, name="hidden", **shared)(flatten(h), train=train)
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)


class GoogLeNet(nn.Module):
    """Nine Inception modules (Szegedy et al. 2014), by default in the widespread form with batch normalization.

    6,624,904 parameters without auxiliary heads, 13,004,888 with them, for 1,000 outputs on 224×224×3: batch
    normalization replaces biases in the convolutions, and 3×3 windows replace the paper's 5×5. The paper's own form,
    `norm=None, window=5`, has 6,998,552 (with biases; its response normalization has no parameters).

    Input [B, H, W, C], prediction [B, outputs]. With auxiliary heads it returns `Outputs`, whose `auxiliary` holds in
    training two more sets of logits, after modules 4a and 4d, to be weighted (0.3 in the paper). Dropout acts before
    the readout (0.4 in the paper) and in the heads (0.7 in the paper; here at the same rate).

    Args:
        auxiliary: whether there are auxiliary heads, which are evaluated in training only.
        window: window of the third branch, 5 in the paper.
        norm, norm_position, bias: as in `MLP`, in every convolution.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    auxiliary: bool = False
    window: int = 3
    norm: str | None = "batch_norm"
    norm_position: str = "before"
    bias: float = 0.0
    outputs: int = 10
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array | Outputs:
        shared = hidden_fields(self)
        use_bias = self.norm is None
        h = HiddenConv(64, 7, 2, 3, use_bias=use_bias, name="conv_0", **shared)(x, train=train)
        h = max_pool(h, 3, 2, "SAME")
        h = HiddenConv(64, 1, use_bias=use_bias, name="conv_1", **shared)(h, train=train)
        h = HiddenConv(192, 3, use_bias=use_bias, name="conv_2", **shared)(h, train=train)
        h = max_pool(h, 3, 2, "SAME")
        heads = []
        for name, maps in _MODULES.items():
            if name in ("4a", "5a"):
                h = max_pool(h, 3, 2, "SAME")
            h = Inception(maps, self.window, name=f"inception_{name}", **shared)(h, train=train)
            if name in ("4a", "4d") and self.auxiliary and (train or self.is_initializing()):
                head = AuxiliaryHead(self.outputs, dropout=self.dropout, name=f"auxiliary_{name}", **shared)
                heads.append(head(h, train=train))
        h = Dropout(self.dropout)(global_average_pool(h), train=train)
        logits = dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)
        return Outputs(prediction=logits, auxiliary=tuple(heads)) if self.auxiliary else logits

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse images too small, a wrong rank, an unknown norm.

        Raises:
            ValueError: with the value got and the rule.
        """
        name = "GoogLeNet with auxiliary heads" if self.auxiliary else "GoogLeNet"
        check_image(name, shape, _SMALLEST_WITH_HEADS if self.auxiliary else 32)
        check_norm(self.norm, self.norm_position)
