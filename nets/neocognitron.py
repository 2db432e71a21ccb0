"""The neocognitron's S- and C-cells, the historical origin of convolution and pooling."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.dense import dense
from nets.fast_convolution import convolve
from nets.layers import Dropout, Factory, Initializer, flatten, kernel_default, pieces_of, rectifier
from nets.pooling import average_pool
from nets.shapes import check_elementwise, check_image, check_positive


class SCells(nn.Module):
    """Feature-extracting cells with shunting inhibition: u [B, H, W, C] ≥ 0 → [B, H, W, planes].

    s = r g((1 + |a| ∗ u) / (1 + r / (1 + r) |b| v) - 1), v = √(mean of u² over window and channels); a [window, window,
    C, planes], b [planes] starting at 1, r the selectivity.
    """

    planes: int
    window: int
    selectivity: float
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default

    @nn.compact
    def __call__(self, u: jax.Array) -> jax.Array:
        channels = u.shape[-1]
        excitation = self.param("kernel", self.kernel_init, (self.window, self.window, channels, self.planes))
        inhibition = jnp.abs(self.param("inhibition", nn.initializers.ones, (self.planes,)))
        mean = jnp.full((self.window, self.window, channels, 1), 1 / (self.window**2 * channels), u.dtype)
        # The slope of the root is infinite at 0: stay a small step above.
        v = jnp.sqrt(convolve(u**2, mean, (1, 1), "SAME") + 1e-6)
        r = self.selectivity
        shunt = 1 + r / (1 + r) * inhibition.reshape(1, 1, 1, -1) * v
        s = r * self.activation()((1 + convolve(u, jnp.abs(excitation), (1, 1), "SAME")) / shunt - 1)
        self.sow("intermediates", "hidden", s)
        return s


class Neocognitron(nn.Module):
    """Stages of S-cells, which extract features, and C-cells, which tolerate shifts of them (Fukushima 1980).

    C-cells average their S-cells over a window and saturate: c = m / (1 + m). The original learns its weights
    unsupervised; here they and a linear readout of the last C-cells are trained by gradient, like those of any net.

    Input [B, H, W, C] (negative values are clipped to 0), prediction [B, outputs]; dropout precedes the readout.

    Args:
        planes: cell planes of the stages.
        window: window of the S-cells.
        pool: window and stride of the C-cells.
        selectivity: r; larger makes the S-cells more selective.
        outputs, activation, kernel_init, dropout: filled by the engine; the activation is the S-cells' rectifier.
    """

    planes: tuple[int, ...] = (12, 24)
    window: int = 5
    pool: int = 2
    selectivity: float = 4.0
    outputs: int = 10
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        u = jnp.maximum(x, 0)
        for stage, planes in enumerate(self.planes):
            cells = SCells(
                planes, self.window, self.selectivity, self.activation, self.kernel_init, name=f"s_cells_{stage}"
            )
            mean = average_pool(cells(u), self.pool, padding="SAME")
            u = mean / (1 + jnp.abs(mean))
        h = Dropout(self.dropout)(flatten(u), train=train)
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse examples that are not images, sizes that are not positive, maxout.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_image("Neocognitron", shape, 2)
        check_positive("planes, window and pool", (*self.planes, self.window, self.pool))
        check_elementwise("Neocognitron", pieces_of(self.activation))
