"""Output units: functions that turn a net's raw output into its prediction.

A loss from logits (softmax_cross_entropy, binary_cross_entropy, …) takes the raw output, and the unit is applied only
to report predictions. Any other loss (squared_error, …) is computed after the unit. `losses.pairs` has the table.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

Array = jax.Array


def identity(z: Array) -> Array:
    """Linear unit for real targets: the mean of a Gaussian.

    Formula: ŷ = z
    Reference: Legendre, 1805
    """
    return z


def sigmoid(z: Array) -> Array:
    """Probability that the target is 1, for each output independently.

    Formula: ŷ = 1 / (1 + e^(-z))
    Reference: Verhulst, 1845
    """
    return jax.nn.sigmoid(z)


def softmax(z: Array) -> Array:
    """Probabilities of K exclusive classes over the last axis, shifted by the maximum so that nothing overflows.

    Formula: ŷ_i = e^(z_i) / Σ_k e^(z_k)
    Reference: Bridle, 1990
    """
    return jax.nn.softmax(z, axis=-1)


def tanh(z: Array) -> Array:
    """Outputs in (-1, 1), for targets coded as -1 and 1.

    Formula: ŷ = tanh z = 2 σ(2z) - 1
    Reference: LeCun et al., 1998
    """
    return jnp.tanh(z)


def clipped_linear(z: Array) -> Array:
    """Thresholded linear unit; outside [0, 1] its gradient is zero, so such examples do not train it.

    Formula: ŷ = max(0, min(1, z))
    Reference: Goodfellow, Bengio and Courville, 2016, section 6.2.2.2
    """
    inside = (z > 0) & (z < 1)
    # jnp.clip would halve the gradient at the two kinks.
    return jnp.where(inside, z, (z >= 1).astype(z.dtype))


def softplus(z: Array) -> Array:
    """Positive outputs.

    Formula: ŷ = log(1 + e^z)
    Reference: Dugas et al., 2001
    """
    return jax.nn.softplus(z)


def relu(z: Array) -> Array:
    """Outputs of zero or more.

    Formula: ŷ = max(0, z)
    Reference: Nair and Hinton, 2010
    """
    return jax.nn.relu(z)


def step(z: Array) -> Array:
    """The perceptron's threshold unit; its gradient is zero, so only gradient-free rules train it.

    Formula: ŷ = 1[z > 0]
    Reference: Rosenblatt, 1958
    """
    return (z > 0).astype(z.dtype)


@runtime_checkable
class OutputUnit(Protocol):
    """Any output unit, ours or the user's own."""

    def __call__(self, z: Array, /) -> Array:
        """What the net predicts, from its outputs z."""
        ...


OUTPUT_UNITS: dict[str, OutputUnit] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "tanh": tanh,
    "clipped_linear": clipped_linear,
    "softplus": softplus,
    "relu": relu,
    "step": step,
}
