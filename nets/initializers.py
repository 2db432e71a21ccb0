"""Initializers of kernels.

Every entry of `INITIALIZERS` has Flax's signature, `(key, shape, dtype=float32) -> array`, for the shape of a kernel.
Kinds with parameters are small frozen descriptions. Their float fields may be traced scalars when they are called, so
only `check()` inspects the values.

Most are functions of the shape alone (`nets.initializers_by_shape`). Two, `lsuv` and `zero_residual`, have a
`transform(variables, net, x, key)` that is called after `init` (`nets.initializers_transforming`).
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jax import Array, lax

from nets.activations import Layered
from nets.initializers_by_shape import (
    Constant,
    FanInUniform,
    IdentityRNN,
    Normal,
    Shape,
    Sparse,
    Uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    orthogonal,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from nets.initializers_transforming import LSUV, ScaledTransformed, Transforming, ZeroResidual


@runtime_checkable
class Initializer(Protocol):
    """Any initializer, ours or the user's own."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32, /) -> Array:
        """A kernel of the shape."""
        ...


@dataclass(frozen=True)
class Scaled:
    """An initializer times a gain, which may be a traced scalar; made by `scaled`."""

    initializer: Initializer
    gain: Any

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        # XLA would contract the gain with a factor of the initializer's own, in some programs and not in others.
        return lax.optimization_barrier(self.initializer(key, shape, dtype)) * jnp.asarray(self.gain, dtype)

    def of_layer(self, layer: int) -> "Scaled":
        """The initializer of the layer of this number, from 0, times the gain."""
        return Scaled(self.initializer.of_layer(layer), self.gain) if isinstance(self.initializer, Layered) else self


def scaled(initializer: Initializer, gain: Any) -> Scaled | ScaledTransformed:
    """`initializer` with all its weights multiplied by `gain`, a number or a traced scalar.

    The gain is applied after an initializer's `transform`, as `lsuv` would undo it otherwise.
    """
    return (ScaledTransformed if isinstance(initializer, Transforming) else Scaled)(initializer, gain)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "constant": Constant(),
    "uniform_0.01": Uniform(limit=0.01),
    "uniform_0.1": Uniform(limit=0.1),
    "fan_in_uniform": FanInUniform(),
    "normal": Normal(),
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "orthogonal": orthogonal,
    "sparse": Sparse(),
    "identity_rnn": IdentityRNN(),
    "lsuv": LSUV(),
    "zero_residual": ZeroResidual(),
}
