"""Activations: functions of a unit's weighted sum z.

Every entry of `ACTIVATIONS` maps an array to an array of the same dtype; all but `softmax` and `maxout` act
elementwise. Those without parameters are functions (`nets.activation_functions`); kinds with parameters are small
frozen descriptions. Their float fields may be traced scalars when they are called, so only `check()` inspects the
values. The catalogue page is made from the lines `Formula:` and `Reference:` of each docstring.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from nets.activation_functions import (
    absolute,
    clipped_linear,
    gelu,
    hard_tanh,
    identity,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sinc,
    softmax,
    softplus,
    softsign,
    step,
    step_ste,
    tanh,
)


@runtime_checkable
class Activation(Protocol):
    """Any activation, ours or the user's own."""

    def __call__(self, z: Array, /) -> Array:
        """g(z)."""
        ...


@runtime_checkable
class Learned(Protocol):
    """An activation with its own parameters in each layer."""

    def module(self) -> nn.Module:
        """A new module, for one layer."""
        ...


@runtime_checkable
class Layered(Protocol):
    """An activation or an initializer that differs from layer to layer."""

    def of_layer(self, layer: int) -> Any:
        """That of the layer of this number, from 0."""
        ...


@runtime_checkable
class Widening(Protocol):
    """An activation with several input features per output feature."""

    @property
    def pieces(self) -> int:
        """The factor by which the linear layer before it is widened."""
        ...


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
    """Rectifier whose slope α below zero is learned, one per layer or, with `per_channel`, one per feature.

    `slope` is the initial α (default 0.25). `module()` makes a layer with its own parameter `slope`; called on an array,
    the description itself uses the initial α.

    Formula: g(z) = max(0, z) + α min(0, z); g' = 1 for z > 0, α else; ∂g/∂α = min(0, z)
    Reference: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015
    """

    slope: float = 0.25
    per_channel: bool = False

    def __call__(self, z: Array) -> Array:
        return _leaky(z, _like(self.slope, z))

    def module(self) -> nn.Module:
        """A layer with a learned slope."""
        return PReLULayer(start=self.slope, per_channel=self.per_channel)

    def check(self) -> None:
        _check_finite("slope", self.slope, "0.25 is usual")


class PReLULayer(nn.Module):
    """The layer of `PReLU`: [..., C] to [..., C] with a parameter `slope` of shape [], or [C] if `per_channel`."""

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
    """The maximum of `pieces` (k, default 2) linear units: a layer, not elementwise, [..., k*m] to [..., m].

    The net makes the linear layer before it k times as wide; unit i is the maximum over features i, m+i, 2m+i, …

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
    """The value of a net's field `activation`: called once per layer, it returns that layer's activation.

    A learned activation (one with a method `module`) becomes a new module for each layer, so that no two layers share a
    slope; any other activation is returned as it is. `pieces` is the factor by which the layer before it is widened.
    """

    activation: Activation

    def __call__(self) -> Activation:
        return self.activation.module() if isinstance(self.activation, Learned) else self.activation

    def of_layer(self, layer: int) -> "PerLayer":
        """The value of this field for the hidden layer of this number, from 0."""
        return PerLayer(self.activation.of_layer(layer)) if isinstance(self.activation, Layered) else self

    @property
    def pieces(self) -> int:
        return self.activation.pieces if isinstance(self.activation, Widening) else 1


def _like(parameter: Any, z: Array) -> Array:
    # A traced float32 parameter must not promote a bfloat16 z to float32.
    return jnp.asarray(parameter, z.dtype)


def _leaky(z: Array, slope: Array) -> Array:
    # Not jax.nn.leaky_relu: its gradient at 0 is 1, so slope 0 would differ from relu for units at exactly 0.
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
