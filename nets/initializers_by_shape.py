"""Initializers that depend only on a kernel's shape.

Dense kernels are [in, out], convolutional kernels [*window, in, out]. fan_in = prod(window) * in is the number of inputs
of a unit, fan_out = prod(window) * out the number of units that an input reaches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers as jax_initializers

Shape = Sequence[int]


def zeros(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """All weights zero: units stay equal, and with hidden layers the gradients vanish.

    Formula: w = 0
    Reference: Rumelhart, Hinton and Williams, Learning internal representations by error propagation, 1986 (symmetry)
    """
    return jax_initializers.zeros(key, tuple(shape), dtype)


@dataclass(frozen=True)
class Constant:
    """All weights equal: the units of a layer never become different from each other.

    Formula: w = c
    Reference: Rumelhart, Hinton and Williams, Learning internal representations by error propagation, 1986 (symmetry)
    """

    value: float = 0.01

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        del key
        return jnp.full(tuple(shape), jnp.asarray(self.value, dtype))

    def check(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"`value` (={self.value}) must be a finite number: 0.01 is usual")


@dataclass(frozen=True)
class Uniform:
    """Uniform on an interval of half-width a around zero, whatever the fan.

    Formula: w ~ U(-a, a); variance a²/3
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, who replace it by one that depends on the fan
    """

    limit: float = 0.01

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, tuple(shape), dtype, -1.0, 1.0) * jnp.asarray(self.limit, dtype)

    def check(self) -> None:
        _check_above_zero("limit", self.limit)


@dataclass(frozen=True)
class FanInUniform:
    """Uniform on an interval that shrinks with the number of inputs; of biases too, by the kernel that they belong to.

    With factor 1, of kernels and biases, it is what PyTorch's dense and convolutional layers start from.

    Formula: w ~ U(-a, a), a = c / √fan_in, c = 1; variance c² / (3 fan_in)
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, with another factor
    """

    factor: float = 1.0

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return self.biases(key, shape, math.prod(shape[:-1]), dtype)

    def biases(self, key: Array, shape: Shape, fan_in: Any, dtype: Any = jnp.float32) -> Array:
        """Biases of units with `fan_in` inputs, a number that may be traced."""
        root = math.sqrt(fan_in) if isinstance(fan_in, int) else jnp.sqrt(fan_in)
        limit = jnp.asarray(self.factor, dtype) / jnp.asarray(root, dtype)
        return jax.random.uniform(key, tuple(shape), dtype, -1.0, 1.0) * limit

    def check(self) -> None:
        _check_above_zero("factor", self.factor)


@dataclass(frozen=True)
class Normal:
    """Normal with standard deviation σ, whatever the fan.

    Formula: w ~ N(0, σ²), not truncated
    Reference: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep CNNs, 2012 (σ = 0.01)
    """

    std: float = 0.01

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return jax.random.normal(key, tuple(shape), dtype) * jnp.asarray(self.std, dtype)

    def check(self) -> None:
        _check_above_zero("std", self.std)


# Of kinds that keep the variance of a signal: variance times fan, and the fan.
XAVIER, LECUN, HE = (1.0, "fan_avg"), (1.0, "fan_in"), (2.0, "fan_in")


# The normal forms are not truncated, as in the papers; jax.nn.initializers.he_normal and the like truncate at two
# standard deviations (with the same variance).
def xavier_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that is a compromise between the forward and the backward pass.

    Formula: w ~ U(-a, a), a = √(6 / (fan_in + fan_out)); variance 2 / (fan_in + fan_out)
    Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010
    """
    return _scaled_to_fan(*XAVIER, "uniform", key, shape, dtype)


def xavier_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that is a compromise between the forward and the backward pass.

    Formula: w ~ N(0, 2 / (fan_in + fan_out)), not truncated
    Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010
    """
    return _scaled_to_fan(*XAVIER, "normal", key, shape, dtype)


def lecun_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that preserves the signal through linear units.

    Formula: w ~ U(-a, a), a = √(3 / fan_in); variance 1 / fan_in
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998
    """
    return _scaled_to_fan(*LECUN, "uniform", key, shape, dtype)


def lecun_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that preserves the signal through linear units; sometimes called "Xavier".

    Formula: w ~ N(0, 1) / √fan_in, not truncated; variance 1 / fan_in
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998
    """
    return _scaled_to_fan(*LECUN, "normal", key, shape, dtype)


def he_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that preserves the signal through rectifiers.

    Formula: w ~ U(-a, a), a = √(6 / fan_in); variance 2 / fan_in
    Reference: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015
    """
    return _scaled_to_fan(*HE, "uniform", key, shape, dtype)


def he_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that preserves the signal through rectifiers.

    Formula: w ~ N(0, 1) / √(fan_in / 2), not truncated; variance 2 / fan_in
    Reference: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015
    """
    return _scaled_to_fan(*HE, "normal", key, shape, dtype)


def orthogonal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Orthonormal columns, or rows if there are fewer of them, uniformly distributed.

    A convolutional kernel is treated as the matrix [prod(window) * in, out]. It takes a QR decomposition, so call it in
    a small program of its own.

    Formula: WᵀW = I where fan_in >= out, WWᵀ = I else; mean square 1 / max(fan_in, out)
    Reference: Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning, 2013
    """
    draw = jax_initializers.orthogonal()
    if jnp.dtype(dtype).itemsize >= 4:
        return draw(key, tuple(shape), dtype)
    return draw(key, tuple(shape), jnp.float32).astype(dtype)  # there is no QR decomposition in half precision


@dataclass(frozen=True)
class Sparse:
    """Exactly k incoming weights of each unit are nonzero, or all if the fan-in is smaller.

    Formula: k weights of each unit, drawn without replacement, ~ N(0, σ²), σ = 1; all others 0; variance σ² k / fan_in
    Reference: Martens, Deep learning via Hessian-free optimization, 2010
    """

    k: int = 15
    std: float = 1.0

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        _check_kernel("sparse", shape)
        matrix = (math.prod(shape[:-1]), shape[-1])  # [fan_in, out]
        value_key, index_key = jax.random.split(key)
        kept = jnp.argsort(jax.random.bits(index_key, matrix), axis=0) < self.k  # a permutation per unit
        values = jax.random.normal(value_key, matrix, dtype) * jnp.asarray(self.std, dtype)
        return jnp.where(kept, values, jnp.zeros_like(values)).reshape(tuple(shape))

    def check(self) -> None:
        if self.k < 1:
            raise ValueError(f"`k` (={self.k}) must be at least 1: 15 is usual")
        _check_above_zero("std", self.std)


@dataclass(frozen=True)
class IdentityRNN:
    """The identity times `scale` for kernels with as many inputs as outputs, small normal numbers for others.

    For recurrent kernels with rectifiers, which then keep the state unchanged. In a convolution the identity is at the
    middle of the window. An input kernel that happens to be square becomes the identity too.

    Formula: W = scale · I where in = out; w ~ N(0, σ²), σ = 0.001, else
    Reference: Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015
    """

    scale: float = 1.0
    std: float = 0.001

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        _check_kernel("identity_rnn", shape)
        *window, inputs, outputs = shape
        if inputs != outputs:
            return jax.random.normal(key, tuple(shape), dtype) * jnp.asarray(self.std, dtype)
        middle = tuple((size - 1) // 2 for size in window)
        identity = jnp.eye(inputs, dtype=dtype) * jnp.asarray(self.scale, dtype)
        return jnp.zeros(tuple(shape), dtype).at[middle].set(identity) if window else identity

    def check(self) -> None:
        if not math.isfinite(self.scale):
            raise ValueError(f"`scale` (={self.scale}) must be a finite number: 1.0 is usual")
        _check_above_zero("std", self.std)


def _scaled_to_fan(scale: float, mode: Any, distribution: Any, key: Array, shape: Shape, dtype: Any) -> Array:
    return jax_initializers.variance_scaling(scale, mode, distribution)(key, tuple(shape), dtype)


def _check_kernel(name: str, shape: Shape) -> None:
    if len(shape) < 2:
        raise ValueError(
            f"the shape (={tuple(shape)}) for `{name}` must be a kernel's, [..., in, out]: it cannot draw a bias"
        )


def _check_above_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` (={value}) must be finite and above 0: for zero weights use `zeros`")
