"""Activations: what a unit does with its weighted sum z.

Every entry of `ACTIVATIONS` is called on an array and returns one of the same dtype; all but `softmax` and `maxout`
act on each number by itself. Kinds with parameters are small frozen descriptions: their float fields may be traced
scalars when they are called, so they look at them only in `check()`. Each docstring has a line `Formula:` and a line
`Reference:`, from which the catalogue page is made.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

Activation = Callable[[Array], Array]


def identity(z: Array) -> Array:
    """The linear unit: a composition of linear units is linear.

    Formula: g(z) = z; g' = 1
    Reference: Widrow and Hoff, Adaptive switching circuits, 1960 (Adaline)
    """
    return z


def step(z: Array) -> Array:
    """The threshold unit: no gradient reaches what stands before it.

    Formula: g(z) = 1[z > 0], 0 at z = 0; g' = 0 everywhere, as computed
    Reference: McCulloch and Pitts 1943; Rosenblatt, The perceptron, 1958
    """
    return (z > 0).astype(z.dtype)


@jax.custom_jvp
def _straight_through(z: Array) -> Array:
    return step(z)


_straight_through.defjvps(lambda tangent, _value, _z: tangent)


def step_ste(z: Array) -> Array:
    """The threshold unit with a straight-through gradient: the identity's, not clipped.

    Formula: g(z) = 1[z > 0]; g' is taken to be 1 everywhere
    Reference: Bengio, Léonard and Courville, Estimating or propagating gradients through stochastic neurons, 2013
    """
    return _straight_through(z)


def clipped_linear(z: Array) -> Array:
    """The thresholded linear unit.

    Formula: g(z) = max(0, min(1, z)); g' = 1[0 < z < 1], 0 at both kinks
    Reference: Courbariaux, Bengio and David, BinaryConnect, 2015 (section 2.2, "hard sigmoid" up to a shift and scale)
    """
    # Written as a choice, because jnp.clip shares the gradient at a tie and gives 1/2 at the kinks.
    return jnp.where((z > 0) & (z < 1), z, (z >= 1).astype(z.dtype))


def tanh(z: Array) -> Array:
    """Hyperbolic tangent, a scaled sigmoid: tanh z = 2σ(2z) - 1 (one of our source texts prints 2σ(z) - 1).

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
    # g' of the quotient cancels near zero (1e8 - 1e8 at z = 1e-8), so |z| < 1 goes by the series. Each branch sees only
    # arguments of its own, or the gradient of the branch not taken would be NaN.
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


@dataclass(frozen=True)
class Sigmoid:
    """Logistic function with steepness β (default 1, must be above 0).

    Formula: g(z) = 1 / (1 + e^(-βz)); g' = β g (1 - g)
    Reference: Rumelhart, Hinton and Williams, Learning representations by back-propagating errors, 1986
    """

    steepness: float = 1.0

    def __call__(self, z: Array) -> Array:
        return jax.nn.sigmoid(_like(self.steepness, z) * z)

    def check(self) -> None:
        if not (math.isfinite(self.steepness) and self.steepness > 0):
            raise ValueError(f"`steepness` (={self.steepness}) must be finite and above 0: 1.0 is usual")


@dataclass(frozen=True)
class LeakyReLU:
    """Rectifier with slope α below zero (default 0.01; 0 is relu, 1 the identity, -1 the absolute value).

    Formula: g(z) = max(0, z) + α min(0, z); g' = 1 for z > 0, α else, α at z = 0
    Reference: Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models, 2013
    """

    slope: float = 0.01

    def __call__(self, z: Array) -> Array:
        return _leaky(z, _like(self.slope, z))

    def check(self) -> None:
        _check_finite("slope", self.slope, "0.01 is usual")


@dataclass(frozen=True)
class PReLU:
    """Rectifier whose slope α below zero is learned, one for each layer or, `per_channel`, one for each feature.

    `slope` is where α starts (default 0.25). `module()` makes a layer with a parameter `slope` of its own; the
    description itself can be called on an array too, with α at its start.

    Formula: g(z) = max(0, z) + α min(0, z); g' = 1 for z > 0, α else; ∂g/∂α = min(0, z)
    Reference: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015
    """

    slope: float = 0.25
    per_channel: bool = False

    def __call__(self, z: Array) -> Array:
        return _leaky(z, _like(self.slope, z))

    def module(self) -> nn.Module:
        return PReLULayer(start=self.slope, per_channel=self.per_channel)

    def check(self) -> None:
        _check_finite("slope", self.slope, "0.25 is usual")


class PReLULayer(nn.Module):
    """The layer of `PReLU`: [..., C] to [..., C] with a parameter `slope` of shape [] or, `per_channel`, [C]."""

    start: Any = 0.25  # a number or a traced scalar
    per_channel: bool = False
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: Array) -> Array:
        shape = z.shape[-1:] if self.per_channel else ()
        slope = self.param("slope", lambda _key: jnp.full(shape, self.start, self.param_dtype))
        return _leaky(z, jnp.broadcast_to(_like(slope, z), z.shape))


@dataclass(frozen=True)
class ELU:
    """Exponential linear unit with scale α below zero (default 1, must not be negative).

    Formula: g(z) = z for z > 0, α (e^z - 1) else; g' = 1 or α e^z, α at z = 0
    Reference: Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by ELUs, 2015
    """

    alpha: float = 1.0

    def __call__(self, z: Array) -> Array:
        return jax.nn.elu(z, _like(self.alpha, z))

    def check(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise ValueError(f"`alpha` (={self.alpha}) must be finite and not negative: 1.0 is usual, 0 is relu")


@dataclass(frozen=True)
class Swish:
    """Self-gated unit with gate steepness β (default 1, which is SiLU; must not be negative; 0 is z/2).

    Formula: g(z) = z σ(βz); g' = σ(βz) + βz σ(βz) (1 - σ(βz))
    Reference: Ramachandran, Zoph and Le, Searching for activation functions, 2017; Elfwing, Uchibe and Doya 2017 (SiLU)
    """

    beta: float = 1.0

    def __call__(self, z: Array) -> Array:
        return z * jax.nn.sigmoid(_like(self.beta, z) * z)

    def check(self) -> None:
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise ValueError(f"`beta` (={self.beta}) must be finite and not negative: 1.0 is SiLU")


@dataclass(frozen=True)
class Maxout:
    """The largest of `pieces` (k, default 2) linear units: a layer, not elementwise, [..., k*m] to [..., m].

    The net makes its linear layer k times as wide; unit i is the maximum over features i, m+i, 2m+i, …

    Formula: g_i = max_k (w_ki·x + b_ki); the gradient goes to the largest piece, shared equally on ties
    Reference: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, Maxout networks, 2013
    """

    pieces: int = 2

    def __call__(self, z: Array) -> Array:
        features = z.shape[-1]
        if features % self.pieces:
            raise ValueError(
                f"the last axis (={features}) must be divisible by `pieces` (={self.pieces}): widen the layer before it"
            )
        return jnp.max(z.reshape(*z.shape[:-1], self.pieces, features // self.pieces), axis=-2)

    def check(self) -> None:
        if self.pieces < 2:
            raise ValueError(f"`pieces` (={self.pieces}) must be at least 2: with one piece, use identity")


@dataclass(frozen=True)
class PerLayer:
    """What a net holds as its field `activation`: called once for each layer, it makes that layer's activation.

    A learned activation (one with a method `module`) becomes a module of the layer's own, so that no two layers share a
    slope; every other activation is returned as it is. `pieces` is how many times as wide the layer before must be.
    """

    activation: Activation

    def __call__(self) -> Activation:
        module = getattr(self.activation, "module", None)
        return self.activation if module is None else module()

    @property
    def pieces(self) -> int:
        return getattr(self.activation, "pieces", 1)


def _like(parameter: Any, z: Array) -> Array:
    # A traced float32 parameter must not lift a bfloat16 z to float32.
    return jnp.asarray(parameter, z.dtype)


def _leaky(z: Array, slope: Array) -> Array:
    # Not jax.nn.leaky_relu: its gradient at 0 is 1, so slope 0 would not be relu for units that start at exactly 0.
    return jnp.where(z > 0, z, slope * z)


def _check_finite(name: str, value: float, advice: str) -> None:
    if not math.isfinite(value):
        raise ValueError(f"`{name}` (={value}) must be a finite number: {advice}")


ACTIVATIONS: dict[str, Activation] = {
    "identity": identity,
    "step": step,
    "step_ste": step_ste,
    "sigmoid": Sigmoid(),
    "clipped_linear": clipped_linear,
    "tanh": tanh,
    "relu": relu,
    "abs": absolute,
    "leaky_relu": LeakyReLU(),
    "prelu": PReLU(),
    "softplus": softplus,
    "elu": ELU(),
    "selu": selu,
    "softsign": softsign,
    "log_sigmoid": log_sigmoid,
    "swish": Swish(),
    "silu": Swish(),  # an alias: swish with β = 1
    "sinc": sinc,
    "mish": mish,
    "maxout": Maxout(),
    "gelu": gelu,
    "hard_tanh": hard_tanh,
    "relu6": relu6,
    "softmax": softmax,
}
