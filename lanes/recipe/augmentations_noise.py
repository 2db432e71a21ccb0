"""Augmentations that change values, and the base class of all augmentations.

An example may be a vector [F] (rank 1), a series [T, C] (2), an image [H, W, C] (3) or a volume [D, H, W, C] (4).
"""

import dataclasses
import math
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

Array = jax.Array

RANK_NAMES = {1: "vectors [F]", 2: "series [T, C]", 3: "images [H, W, C]", 4: "volumes [D, H, W, C]"}


def uniform(key: Array, shape: tuple[int, ...], amount: float | Array, dtype: Any = jnp.float32) -> Array:
    """Uniform on ±amount."""
    return jnp.asarray(amount, dtype) * jax.random.uniform(key, shape, dtype, minval=-1.0, maxval=1.0)


@runtime_checkable
class AugmentationLike(Protocol):
    """Any augmentation, built in or a function of the user's."""

    def __call__(self, key: Array, x: Array, y: Array, /) -> tuple[Array, Array]:
        """The augmented batch x [B, ...] and its targets y [B, ...]."""
        ...


@runtime_checkable
class MixesTargets(Protocol):
    """An augmentation that, if `mixes_targets`, computes with the targets: classes are one-hot for it."""

    mixes_targets: bool


@runtime_checkable
class AcceptsShape(Protocol):
    """An augmentation that accepts only some shapes of examples."""

    def accepts(self, shape: tuple[int, ...]) -> str | None:
        """None if an example of this shape can be augmented, otherwise the reason, in one line."""
        ...


@runtime_checkable
class Corruption(AcceptsShape, Protocol):
    """An augmentation that leaves the targets alone, which a task may apply to its inputs."""

    def check(self) -> None:
        """Raises ValueError, in one line, for a number out of range."""
        ...

    def inputs(self, key: Array, x: Array) -> Array:
        """The augmented inputs x [B, ...], with an independent draw for each example."""
        ...


@dataclasses.dataclass(frozen=True)
class Augmentation(AugmentationLike):
    """Base of the augmentations: a draw per example, the accepted ranks, and the checks of the fields."""

    ranks: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)

    def accepts(self, shape: tuple[int, ...]) -> str | None:
        """None if an example of this shape can be augmented, otherwise the reason, in one line."""
        if len(shape) in self.ranks:
            return None
        accepted = " or ".join(RANK_NAMES[rank] for rank in self.ranks)
        return f"{type(self).__name__} is for {accepted}, but an example has shape {tuple(shape)}: leave it out"

    def check(self) -> None:
        """Raises ValueError, in one line, for a number out of range."""

    def example(self, key: Array, x: Array) -> Array:
        """One example x without its batch dimension, augmented."""
        raise NotImplementedError

    def inputs(self, key: Array, x: Array) -> Array:
        """The augmented inputs x [B, ...], with an independent draw for each example."""
        self.must_accept(x)
        return jax.vmap(self.example)(jax.random.split(key, x.shape[0]), x)

    def __call__(self, key: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """The augmented batch and its targets, which most augmentations leave as they are."""
        return self.inputs(key, x), y

    def must_accept(self, x: Array) -> None:
        """Raises ValueError, in one line, for a batch of the wrong rank or of integers."""
        reason = self.accepts(x.shape[1:])
        if reason is None and not jnp.issubdtype(x.dtype, jnp.floating):
            reason = f"{type(self).__name__} is for floating point features, but the batch is {x.dtype}: leave it out"
        if reason is not None:
            raise ValueError(reason)

    def within(self, low: float, high: float, **values: float) -> None:
        """Raises ValueError for a field outside [low, high], NaN included."""
        for field, value in values.items():
            if not low <= value <= high:
                raise ValueError(f"{type(self).__name__}: {field}={value} must lie between {low} and {high}")


@dataclasses.dataclass(frozen=True)
class GaussianNoise(Augmentation):
    """Adds independent normal noise to every feature.

    Formula: x' = x + σ n, n ~ N(0, 1)
    Reference: Bishop, 1995
    """

    std: float = 0.1

    def check(self) -> None:
        self.within(0, math.inf, std=self.std)

    def example(self, key: Array, x: Array) -> Array:
        return x + jnp.asarray(self.std, x.dtype) * jax.random.normal(key, x.shape, x.dtype)


@dataclasses.dataclass(frozen=True)
class MaskingNoise(Augmentation):
    """Sets each feature to zero with probability `rate`; the others keep their value (no rescaling).

    Formula: x'_i = 0 with probability rate, x_i otherwise
    Reference: Vincent et al., 2008
    """

    rate: float = 0.2

    def check(self) -> None:
        self.within(0, 1, rate=self.rate)

    def example(self, key: Array, x: Array) -> Array:
        return jnp.where(jax.random.uniform(key, x.shape) < self.rate, 0, x)


@dataclasses.dataclass(frozen=True)
class SaltAndPepper(Augmentation):
    """Sets each feature, with probability `rate`, to `low` or `high` at equal odds.

    Formula: x'_i = low or high with probability rate / 2 each, x_i otherwise
    Reference: Vincent et al., 2010
    """

    rate: float = 0.1
    low: float = 0.0
    high: float = 1.0

    def check(self) -> None:
        self.within(0, 1, rate=self.rate)
        if not self.low < self.high:
            raise ValueError(f"SaltAndPepper: low={self.low} must be below high={self.high}: use the range of the data")

    def example(self, key: Array, x: Array) -> Array:
        draw = jax.random.uniform(key, x.shape)
        low, high = jnp.asarray(self.low, x.dtype), jnp.asarray(self.high, x.dtype)
        return jnp.where(draw < self.rate / 2, low, jnp.where(draw < self.rate, high, x))


@dataclasses.dataclass(frozen=True)
class Cutout(Augmentation):
    """Zeroes a box at a random position; its sides are a fraction of the example's, clipped at the border.

    Formula: x'[p] = 0 where |p_i - c_i| < size · n_i / 2 on every axis i, c uniform over the example
    Reference: DeVries and Taylor, 2017
    """

    size: float = 0.25
    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4)

    def check(self) -> None:
        self.within(0, 1, size=self.size)

    def example(self, key: Array, x: Array) -> Array:
        space = x.shape[:-1]
        centre = jax.random.uniform(key, (len(space),))
        inside = jnp.ones((1,) * x.ndim, bool)
        for axis, n in enumerate(space):
            position = (jnp.arange(n, dtype=jnp.float32) + 0.5) / n
            near = jnp.abs(position - centre[axis]) < jnp.asarray(self.size, jnp.float32) / 2
            inside = inside & near.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        return jnp.where(inside, 0, x)


@dataclasses.dataclass(frozen=True)
class Contrast(Augmentation):
    """Stretches or squeezes values around the mean of each channel of the example.

    Formula: x' = m + c (x - m), c uniform on 1 ± amount
    Reference: Howard, 2013
    """

    amount: float = 0.2
    ranks: ClassVar[tuple[int, ...]] = (3, 4)

    def check(self) -> None:
        self.within(0, 1, amount=self.amount)

    def example(self, key: Array, x: Array) -> Array:
        mean = jnp.mean(x, axis=tuple(range(x.ndim - 1)), keepdims=True)
        return mean + (1 + uniform(key, (), self.amount, x.dtype)) * (x - mean)


@dataclasses.dataclass(frozen=True)
class Brightness(Augmentation):
    """Adds one number, in units of the data, to a whole example; nothing is clipped.

    Formula: x' = x + b, b uniform on ±amount
    Reference: Howard, 2013
    """

    amount: float = 0.2
    ranks: ClassVar[tuple[int, ...]] = (3, 4)

    def check(self) -> None:
        self.within(0, math.inf, amount=self.amount)

    def example(self, key: Array, x: Array) -> Array:
        return x + uniform(key, (), self.amount, x.dtype)


@dataclasses.dataclass(frozen=True)
class PCAJitter(Augmentation):
    """Adds one colour offset per example, drawn along the principal axes of the batch's colours.

    Computed without eigenvectors: with C = P Λ Pᵀ the covariance of the colours, P Λ α for α ~ N(0, σ²) is distributed
    as σ C g for g ~ N(0, I). An eigendecomposition inside a large compiled program is slow, and once hung a CPU client.

    Formula: x' = x + P Λ α, α_i ~ N(0, σ²)
    Reference: Krizhevsky, Sutskever and Hinton, 2012
    """

    std: float = 0.1
    ranks: ClassVar[tuple[int, ...]] = (3, 4)

    def accepts(self, shape: tuple[int, ...]) -> str | None:
        if len(shape) in self.ranks and shape[-1] < 2:
            return (
                f"PCAJitter needs two or more colour channels, but an example has shape {tuple(shape)}: use Brightness"
            )
        return super().accepts(shape)

    def check(self) -> None:
        self.within(0, math.inf, std=self.std)

    def inputs(self, key: Array, x: Array) -> Array:
        self.must_accept(x)
        colours = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
        centred = colours - jnp.mean(colours, axis=0, keepdims=True)
        covariance = jnp.einsum("nc,nd->cd", centred, centred, precision="highest") / colours.shape[0]
        draws = jax.random.normal(key, (x.shape[0], x.shape[-1]))
        offsets = jnp.asarray(self.std, jnp.float32) * jnp.einsum("cd,bd->bc", covariance, draws, precision="highest")
        return x + offsets.reshape(x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1]).astype(x.dtype)
