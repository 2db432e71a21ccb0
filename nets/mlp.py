"""The multilayer perceptron, of any depth and width."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
from flax import linen as nn

from nets.dense import dense
from nets.layers import (
    Dropout,
    Factory,
    HiddenDense,
    Initializer,
    flatten,
    hidden_fields,
    kernel_default,
    of_layer,
    rectifier,
)
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
        scanned: the hidden layers after the first run in one loop, with stacked parameters `hidden_rest`
            [layers - 1, …]. The function is the same, and its program does not grow with depth. All widths must be
            equal.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    widths: tuple[int, ...] = (128,)
    norm: str | None = None
    norm_position: str = "before"
    bias: float = 0.0
    input_dropout: Any = 0.0
    scanned: bool = dataclasses.field(default=False, metadata={"later": True})
    outputs: int = 10
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        h = Dropout(self.input_dropout)(flatten(x), train=train)
        fields = {"dropout": self.dropout, **hidden_fields(self)}
        alone = 1 if self.scanned else len(self.widths)
        for layer, width in enumerate(self.widths[:alone]):
            fields |= {name: of_layer(getattr(self, name), layer) for name in ("activation", "kernel_init")}
            h = HiddenDense(width, name=f"hidden_{layer}", **fields)(h, train=train)
        if rest := len(self.widths) - alone:
            h = _scanned(HiddenDense(self.widths[0], name="hidden_rest", **fields), h, rest, train)
        return dense(self.outputs, kernel_init=of_layer(self.kernel_init, len(self.widths)), name="output")(h)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse what cannot be built for examples of this shape.

        Raises:
            ValueError: widths that are not positive integers, different or missing ones if `scanned`, an unknown norm or
                position, an empty example.
        """
        check_positive("widths", self.widths)
        if self.scanned and (len(self.widths) < 2 or len(set(self.widths)) > 1):
            raise ValueError(
                f"scanned is True and widths are {self.widths}: a loop needs two or more hidden layers of equal width"
            )
        check_positive("example shape", shape)
        check_norm(self.norm, self.norm_position)


def _scanned(layer: HiddenDense, x: jax.Array, length: int, train: bool) -> jax.Array:
    """The layer `length` times, each time with its own parameters and random draws."""
    scan = nn.scan(
        lambda layer, h, _: (layer(h, train=train), None),
        variable_axes={"params": 0, "batch_stats": 0, "intermediates": 0, "lsuv": 0},
        split_rngs={"params": True, "dropout": True},
        length=length,
    )
    return scan(layer, x, None)[0]
