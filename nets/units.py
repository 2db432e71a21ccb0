"""A single layer of linear or threshold units, where neural networks began."""

from __future__ import annotations

import jax
from flax import linen as nn

from nets.dense import dense
from nets.layers import Initializer, flatten, kernel_default
from nets.shapes import check_positive


class Linear(nn.Module):
    """z = x W + b, a single layer of units without hidden ones: [B, …] → [B, outputs].

    Depending on the run's output unit and loss this is a linear regression, a logistic regression (one output,
    `binary_cross_entropy`), a softmax regression (30,730 parameters on CIFAR-10), or an Adaline (Widrow and Hoff 1960:
    squared error of z, trained by the delta rule). With `threshold` it is the perceptron (Rosenblatt 1958), 1[z > 0],
    whose gradient is zero almost everywhere: the perceptron rule trains it.

    Args:
        threshold: whether the prediction is 1[z > 0] instead of z.
        bias: initial value of b.
        outputs, kernel_init: filled by the engine.
    """

    threshold: bool = False
    bias: float = 0.0
    outputs: int = 10
    kernel_init: Initializer = kernel_default

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        del train
        bias_init = nn.initializers.constant(self.bias)
        z = dense(self.outputs, kernel_init=self.kernel_init, bias_init=bias_init, name="output")(flatten(x))
        return (z > 0).astype(z.dtype) if self.threshold else z

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse empty examples.

        Raises:
            ValueError: with the shape.
        """
        check_positive("example shape", shape)
