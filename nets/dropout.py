"""Kinds of dropout: what takes the place of a rate, `Run(dropout=GaussianDropout(0.3))`, in every `nets.Dropout` of a net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from nets.masks import kept

NEGATIVE_SATURATION = -1.7580993408473766  # of selu: -λα


@runtime_checkable
class DropoutKind(Protocol):
    """A kind of dropout other than the inverted one, which a plain rate means."""

    rate: Any

    def dropped(self, key: jax.Array, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """x in training; `shape` is that of the draws, which broadcasts to the shape of x."""
        ...


@dataclass(frozen=True)
class GaussianDropout:
    """Multiplies by Gaussian noise with the mean and the variance of inverted dropout: E = x, Var = x²·p/(1 - p).

    Formula: x·(1 + √(p/(1 - p))·ξ), ξ ~ N(0, 1), in training; x in evaluation
    Reference: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014, section 10

    Attributes:
        rate: p in [0, 1).
    """

    rate: float = 0.5

    def dropped(self, key: jax.Array, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        rate = jnp.asarray(self.rate, jnp.float32)
        noise = jax.random.normal(key, shape, x.dtype)
        return x * (1 + jnp.sqrt(rate / jnp.maximum(1 - rate, 2.0**-24)).astype(x.dtype) * noise)


@dataclass(frozen=True)
class AlphaDropout:
    """Sets to selu's negative saturation α' instead of 0, then restores mean 0 and variance 1: for `selu` activations.

    Formula: a·(x·d + α'·(1 - d)) + b, d ~ Bernoulli(1 - p), α' = -1.7581, a = ((1 - p)·(1 + p·α'²))^(-1/2), b = -a·p·α'
    Reference: Klambauer et al., Self-Normalizing Neural Networks, 2017

    Attributes:
        rate: p in [0, 1).
    """

    rate: float = 0.1

    def dropped(self, key: jax.Array, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        rate = jnp.asarray(self.rate, jnp.float32)
        keep = jnp.maximum(1 - rate, 2.0**-24)
        a = 1 / jnp.sqrt(keep * (1 + rate * NEGATIVE_SATURATION**2))
        b = -a * rate * NEGATIVE_SATURATION
        saturated = jnp.asarray(NEGATIVE_SATURATION, x.dtype)
        return a.astype(x.dtype) * jnp.where(kept(key, rate, shape), x, saturated) + b.astype(x.dtype)


def is_without_effect(rate: Any) -> bool:
    """Whether a rate, or the rate of a kind, is the plain number 0."""
    number = rate.rate if isinstance(rate, DropoutKind) else rate
    return isinstance(number, (int, float)) and number == 0
