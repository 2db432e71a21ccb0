"""Activations without parameters: functions that keep the shape and dtype of z.

All but `softmax` act elementwise. The catalogue page is made from the lines `Formula:` and `Reference:` of each
docstring.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array


def identity(z: Array) -> Array:
    """The linear unit; compositions of linear units are linear.

    Formula: g(z) = z; g' = 1
    Reference: Widrow and Hoff, Adaptive switching circuits, 1960 (Adaline)
    """
    return z


def step(z: Array) -> Array:
    """The threshold unit; no gradient passes through it.

    Formula: g(z) = 1[z > 0], 0 at z = 0; g' = 0 everywhere, as computed
    Reference: McCulloch and Pitts 1943; Rosenblatt, The perceptron, 1958
    """
    return (z > 0).astype(z.dtype)


@jax.custom_jvp
def _straight_through(z: Array) -> Array:
    return step(z)


_straight_through.defjvps(lambda tangent, _value, _z: tangent)


def step_ste(z: Array) -> Array:
    """The threshold unit with a straight-through gradient: that of the identity, not clipped.

    Formula: g(z) = 1[z > 0]; g' is taken to be 1 everywhere
    Reference: Bengio, Léonard and Courville, Estimating or propagating gradients through stochastic neurons, 2013
    """
    return _straight_through(z)


def clipped_linear(z: Array) -> Array:
    """The thresholded linear unit.

    Formula: g(z) = max(0, min(1, z)); g' = 1[0 < z < 1], 0 at both kinks
    Reference: Courbariaux, Bengio and David, BinaryConnect, 2015 (section 2.2, "hard sigmoid" up to a shift and scale)
    """
    # Not jnp.clip, which shares the gradient at ties: it would be 1/2 at the kinks.
    return jnp.where((z > 0) & (z < 1), z, (z >= 1).astype(z.dtype))


def tanh(z: Array) -> Array:
    """Hyperbolic tangent, a scaled sigmoid: tanh z = 2σ(2z) - 1.

    Formula: g(z) = tanh z; g' = 1 - g²
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998
    """
    return jnp.tanh(z)


def relu(z: Array) -> Array:
    """Rectified linear unit.

    Formula: g(z) = max(0, z); g' = 1[z > 0], 0 at z = 0
    Reference: Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, 2010
    """
    return jax.nn.relu(z)


def absolute(z: Array) -> Array:
    """Absolute value rectification: slope -1 below zero.

    Formula: g(z) = |z|; g' = sign(z), 0 at z = 0
    Reference: Jarrett, Kavukcuoglu, Ranzato and LeCun, What is the best multi-stage architecture?, 2009
    """
    # Not jnp.abs: its gradient at 0 is 1.
    return z * jnp.sign(z)


def softplus(z: Array) -> Array:
    """Smooth rectifier (also SReLU), without overflow.

    Formula: g(z) = log(1 + e^z); g' = σ(z)
    Reference: Dugas, Bengio, Bélisle, Nadeau and Garcia, Incorporating second-order functional knowledge, 2001
    """
    return jax.nn.softplus(z)


def selu(z: Array) -> Array:
    """Self-normalizing exponential linear unit.

    Formula: g(z) = λz for z > 0, λα(e^z - 1) else; λ = 1.0507009873554805, α = 1.6732632423543772;
        g' = λ for z > 0, λαe^z else
    Reference: Klambauer, Unterthiner, Mayr and Hochreiter, Self-normalizing neural networks, 2017
    """
    return jax.nn.selu(z)


def softsign(z: Array) -> Array:
    """A sigmoid that saturates polynomially.

    Formula: g(z) = z / (1 + |z|); g' = 1 / (1 + |z|)²
    Reference: Turian, Bergstra and Bengio, Quadratic features and deep architectures for chunking, 2009
    """
    return jax.nn.soft_sign(z)


def log_sigmoid(z: Array) -> Array:
    """Logarithm of the logistic function, without underflow.

    Formula: g(z) = log σ(z) = -log(1 + e^-z); g' = σ(-z)
    Reference: Cox, The regression analysis of binary sequences, 1958 (the log-likelihood of one positive answer)
    """
    return jax.nn.log_sigmoid(z)


# sin z / z = Σ (-1)^k z^2k / (2k+1)!: the first omitted term is 2e-20 at |z| = 1, below float64's resolution.
_SINC_SERIES = [(-1) ** k / math.factorial(2 * k + 1) for k in range(10)]


def sinc(z: Array) -> Array:
    """Cardinal sine, not normalised: `jnp.sinc` is sin(πz) / (πz).

    Formula: g(z) = sin z / z, 1 at z = 0; g' = (z cos z - sin z) / z², 0 at z = 0
    Reference: Parascandolo, Huttunen and Virtanen, Taming the waves: sine as activation function, 2016 (periodic units)
    """
    # g' of the quotient cancels near zero (1e8 - 1e8 at z = 1e-8), so the series is used for |z| < 1. Each branch gets
    # only its own arguments, otherwise the gradient of the branch not taken would be NaN.
    near = jnp.abs(z) < 1
    square = jnp.where(near, z, 0.0) ** 2
    series = jnp.full_like(z, _SINC_SERIES[-1])
    for coefficient in reversed(_SINC_SERIES[:-1]):
        series = series * square + coefficient
    far = jnp.where(near, 1.0, z)
    return jnp.where(near, series, jnp.sin(far) / far)


def mish(z: Array) -> Array:
    """A smooth unit with a small negative dip.

    Formula: g(z) = z tanh(softplus z); g' = g/z + z σ(z) (1 - tanh²(softplus z)), 0.6 at z = 0
    Reference: Misra, Mish: a self regularized non-monotonic activation function, 2019
    """
    return jax.nn.mish(z)


def gelu(z: Array) -> Array:
    """Gaussian error linear unit, the exact form (not the tanh approximation).

    Formula: g(z) = z Φ(z), Φ the standard normal distribution function; g' = Φ(z) + z φ(z)
    Reference: Hendrycks and Gimpel, Gaussian error linear units, 2016
    """
    return jax.nn.gelu(z, approximate=False)


def hard_tanh(z: Array) -> Array:
    """Piecewise linear tanh.

    Formula: g(z) = max(-1, min(1, z)); g' = 1[-1 <= z <= 1], 1 at both kinks
    Reference: Collobert, Large scale machine learning, 2004 (thesis)
    """
    return jax.nn.hard_tanh(z)


def relu6(z: Array) -> Array:
    """Rectified linear unit with a ceiling.

    Formula: g(z) = min(6, max(0, z)); g' = 1[0 < z < 6], 0 at both kinks
    Reference: Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010
    """
    return jax.nn.relu6(z)


def softmax(z: Array) -> Array:
    """Normalised exponential over the last axis, [..., C] to [..., C], shifted by the maximum: an output unit.

    Formula: g(z)_i = e^(z_i) / Σ_k e^(z_k); ∂g_i/∂z_j = g_i (1[i = j] - g_j)
    Reference: Bridle, Probabilistic interpretation of feedforward classification network outputs, 1990
    """
    return jax.nn.softmax(z, axis=-1)
