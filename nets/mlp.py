"""The multilayer perceptron, of any depth and width."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn

from nets.layers import Dropout, Factory, HiddenDense, Initializer, flatten, hidden_fields, kernel_default, rectifier
from nets.normalization import check_norm
from nets.shapes import check_positive


class MLP(nn.Module):
    """h_0 = x, h_l = g(h_(l-1) W_l + b_l), prediction = h_L W + b (Rumelhart, Hinton and Williams 1986).

    Input [B, …] is flattened to [B, F]; the prediction is [B, outputs]. Widths (4, 3) on 6 inputs with one output make
    a 6-4-3-1 net of 47 parameters (weights and biases); empty widths make a linear map. With a maxout activation each
    hidden layer computes `pieces` linear maps and keeps the largest (Goodfellow et al. 2013).

    Args:
        widths: units of the hidden layers.
        norm: "batch_norm", "layer_norm" or "group_norm" in each hidden layer, or None.
        norm_position: "before" or "after" the activation.
        bias: initial value of the hidden biases.
        input_dropout: dropout rate on the inputs.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    widths: tuple[int, ...] = (128,)
    norm: str | None = None
    norm_position: str = "before"
    bias: float = 0.0
    input_dropout: Any = 0.0
    outputs: int = 10
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        h = Dropout(self.input_dropout)(flatten(x), train=train)
        for layer, width in enumerate(self.widths):
            h = HiddenDense(width, dropout=self.dropout, name=f"hidden_{layer}", **hidden_fields(self))(h, train=train)
        return nn.Dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse what cannot be built for examples of this shape.

        Raises:
            ValueError: widths that are not positive integers, an unknown norm or position, an empty example.
        """
        check_positive("widths", self.widths)
        check_positive("example shape", shape)
        check_norm(self.norm, self.norm_position)
