"""Initializers that look at the shape of a kernel alone.

Dense kernels are [in, out], convolutional ones [*window, in, out]. fan_in = prod(window) * in is how many numbers a unit
sums up, fan_out = prod(window) * out how many units a number reaches.
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
    """All weights zero: units stay equal, and behind a hidden layer no gradient arrives.

    Formula: w = 0
    Reference: Rumelhart, Hinton and Williams, Learning internal representations by error propagation, 1986 (symmetry)
    """
    return jax_initializers.zeros(key, tuple(shape), dtype)


@dataclass(frozen=True)
class Constant:
    """All weights equal: the units of a layer never become different.

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
    """Uniform in an interval of half-width a around zero that does not know the fan.

    Formula: w ~ U(-a, a); variance a²/3
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, which replaces it by one that knows the fan
    """

    limit: float = 0.01

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, tuple(shape), dtype, -1.0, 1.0) * jnp.asarray(self.limit, dtype)

    def check(self) -> None:
        _check_above_zero("limit", self.limit)


@dataclass(frozen=True)
class Normal:
    """Normal with a standard deviation σ that does not know the fan.

    Formula: w ~ N(0, σ²), not truncated
    Reference: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep CNNs, 2012 (σ = 0.01)
    """

    std: float = 0.01

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return jax.random.normal(key, tuple(shape), dtype) * jnp.asarray(self.std, dtype)

    def check(self) -> None:
        _check_above_zero("std", self.std)


# The normal forms are not truncated, as in the papers; jax.nn.initializers.he_normal and its like are, at two standard
# deviations (with the same variance).
def xavier_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that is a compromise between the forward and the backward pass.

    Formula: w ~ U(-a, a), a = √(6 / (fan_in + fan_out)); variance 2 / (fan_in + fan_out)
    Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010
    """
    return _scaled_to_fan(1.0, "fan_avg", "uniform", key, shape, dtype)


def xavier_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that is a compromise between the forward and the backward pass.

    Formula: w ~ N(0, 2 / (fan_in + fan_out)), not truncated
    Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010
    """
    return _scaled_to_fan(1.0, "fan_avg", "normal", key, shape, dtype)


def lecun_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that keeps the signal through linear units.

    Formula: w ~ U(-a, a), a = √(3 / fan_in); variance 1 / fan_in
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998
    """
    return _scaled_to_fan(1.0, "fan_in", "uniform", key, shape, dtype)


def lecun_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that keeps the signal through linear units; lectures after CS231n call it "Xavier".

    Formula: w ~ N(0, 1) / √fan_in, not truncated; variance 1 / fan_in
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998
    """
    return _scaled_to_fan(1.0, "fan_in", "normal", key, shape, dtype)


def he_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that keeps the signal through rectifiers.

    Formula: w ~ U(-a, a), a = √(6 / fan_in); variance 2 / fan_in
    Reference: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015
    """
    return _scaled_to_fan(2.0, "fan_in", "uniform", key, shape, dtype)


def he_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that keeps the signal through rectifiers.

    Formula: w ~ N(0, 1) / √(fan_in / 2), not truncated; variance 2 / fan_in
    Reference: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015
    """
    return _scaled_to_fan(2.0, "fan_in", "normal", key, shape, dtype)


def orthogonal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Orthonormal columns, or rows where there are fewer of them, uniformly distributed.

    A convolutional kernel is taken as the matrix [prod(window) * in, out]. It goes through a QR decomposition: make it
    in a small program of its own.

    Formula: WᵀW = I where fan_in >= out, WWᵀ = I else; mean square 1 / max(fan_in, out)
    Reference: Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning, 2013
    """
    draw = jax_initializers.orthogonal()
    if jnp.dtype(dtype).itemsize >= 4:
        return draw(key, tuple(shape), dtype)
    return draw(key, tuple(shape), jnp.float32).astype(dtype)  # there is no QR decomposition of half precision


@dataclass(frozen=True)
class Sparse:
    """Exactly k incoming weights of each unit are not zero, or all where the fan-in is smaller.

    Formula: k weights of each unit, drawn without replacement, ~ N(0, σ²), σ = 1; all others 0; variance σ² k / fan_in
    Reference: Martens, Deep learning via Hessian-free optimization, 2010
    """

    k: int = 15
    std: float = 1.0

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        _check_kernel("sparse", shape)
        matrix = (math.prod(shape[:-1]), shape[-1])  # [fan_in, out]
        value_key, place_key = jax.random.split(key)
        chosen = jnp.argsort(jax.random.bits(place_key, matrix), axis=0) < self.k  # a permutation for each unit
        values = jax.random.normal(value_key, matrix, dtype) * jnp.asarray(self.std, dtype)
        return jnp.where(chosen, values, jnp.zeros_like(values)).reshape(tuple(shape))

    def check(self) -> None:
        if self.k < 1:
            raise ValueError(f"`k` (={self.k}) must be at least 1: 15 is usual")
        _check_above_zero("std", self.std)


@dataclass(frozen=True)
class IdentityRNN:
    """Kernels with as many inputs as outputs start as the identity times `scale`, others small and normal.

    For recurrent kernels with rectifiers: the state is kept as it is. In a convolution the identity stands in the
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
        raise ValueError(f"the shape (={tuple(shape)}) for `{name}` must be a kernel's, [..., in, out]: not for a bias")


def _check_above_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` (={value}) must be finite and above 0: for zero weights use `zeros`")
