"""Augmentations that move values within an example: mirror, shift, rotate, affine, crop."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from lanes.recipe.augmentations_noise import Augmentation, uniform

Array = jax.Array


def _resample(x: Array, matrix: Array, shift: Array, perspective: Array | None = None) -> Array:
    """Linear interpolation of x [*space, C] at the positions p ↦ (M p + shift) / (1 + perspective·p); zero outside.

    Positions p are measured from the centre, in units of half the longest side, so that a rotation of a rectangle is rigid.
    """
    space = x.shape[:-1]
    half = max((max(space) - 1) / 2, 0.5)
    centre = [(n - 1) / 2 for n in space]
    axes = [(jnp.arange(n, dtype=jnp.float32) - c) / half for n, c in zip(space, centre)]
    grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"))  # [D, *space]
    moved = jnp.einsum("ij,j...->i...", matrix, grid, precision="highest")
    if perspective is not None:
        moved = moved / (1 + jnp.einsum("j,j...->...", perspective, grid, precision="highest"))[None]
    moved = moved + shift.reshape((-1,) + (1,) * len(space))
    coordinates = [moved[i] * half + c for i, c in enumerate(centre)]
    sample = jax.vmap(
        lambda plane: map_coordinates(plane, coordinates, order=1, mode="constant"), in_axes=-1, out_axes=-1
    )
    return sample(x.astype(jnp.float32)).astype(x.dtype)


def _rotation(key: Array, dimensions: int, degrees: float | Array) -> Array:
    """Rotation matrix for an angle uniform on ±degrees; in three dimensions around a random axis (Rodrigues' formula)."""
    to_angle, to_axis = jax.random.split(key)
    angle = uniform(to_angle, (), degrees) * (math.pi / 180)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    if dimensions == 2:
        return jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
    x, y, z = axis = jax.random.normal(to_axis, (3,))
    norm = jnp.sqrt(jnp.sum(axis**2))
    zero = jnp.zeros(())
    cross = jnp.stack([jnp.stack([zero, -z, y]), jnp.stack([z, zero, -x]), jnp.stack([-y, x, zero])]) / norm
    squared = jnp.einsum("ij,jk->ik", cross, cross, precision="highest")
    return jnp.eye(3) + sin * cross + (1 - cos) * squared


def _shifted(x: Array, step: Array, axis: int, *, wrap: bool) -> Array:
    """x shifted by a traced whole number of entries along an axis; vacated entries are zero unless it wraps."""
    size = x.shape[axis]
    source = jnp.arange(size) - step
    moved = jnp.take(x, source % size, axis=axis)
    if wrap:
        return moved
    inside = ((source >= 0) & (source < size)).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return jnp.where(inside, moved, 0)


@dataclasses.dataclass(frozen=True)
class Mirror(Augmentation):
    """Flips images and volumes left to right with probability p.

    Formula: x'[…, w, c] = x[…, W - 1 - w, c] with probability p
    Reference: Krizhevsky, Sutskever and Hinton, 2012
    """

    probability: float = 0.5
    ranks: ClassVar[tuple[int, ...]] = (3, 4)

    def check(self) -> None:
        self.within(0, 1, probability=self.probability)

    def example(self, key: Array, x: Array) -> Array:
        return jnp.where(jax.random.uniform(key) < self.probability, jnp.flip(x, axis=-2), x)


@dataclasses.dataclass(frozen=True)
class Translate(Augmentation):
    """Shifts by up to a fraction of each side and fills with zeros; by whole entries if `whole`, else interpolated.

    Formula: x'[p] = x[p - s], s uniform on ±amount · size per axis
    Reference: Simard, Steinkraus and Platt, 2003
    """

    amount: float = 0.1
    whole: bool = True
    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4)

    def check(self) -> None:
        self.within(0, 1, amount=self.amount)

    def example(self, key: Array, x: Array) -> Array:
        space = x.shape[:-1]
        steps = uniform(key, (len(space),), self.amount) * jnp.asarray(space, jnp.float32)
        if not self.whole:
            half = max((max(space) - 1) / 2, 0.5)
            return _resample(x, jnp.eye(len(space)), -steps / half)
        for axis, step in enumerate(jnp.round(steps).astype(jnp.int32)):
            x = _shifted(x, step, axis, wrap=False)
        return x


@dataclasses.dataclass(frozen=True)
class TimeShift(Augmentation):
    """Shifts a series in time by up to a fraction of its length; wraps around or, with `wrap=False`, fills with zeros.

    Formula: x'[t] = x[(t - s) mod T], s uniform on ±amount · T, rounded
    Reference: Um et al., 2017
    """

    amount: float = 0.1
    wrap: bool = True
    ranks: ClassVar[tuple[int, ...]] = (2,)

    def check(self) -> None:
        self.within(0, 1, amount=self.amount)

    def example(self, key: Array, x: Array) -> Array:
        step = jnp.round(uniform(key, (), self.amount) * x.shape[0]).astype(jnp.int32)
        return _shifted(x, step, 0, wrap=self.wrap)


@dataclasses.dataclass(frozen=True)
class Rotate(Augmentation):
    """Rotates around the centre (a volume: around a random axis), with linear interpolation and zeros outside.

    Formula: x'[p] = x[R(θ) p], θ uniform on ±degrees
    Reference: Simard, Steinkraus and Platt, 2003
    """

    degrees: float = 10.0
    ranks: ClassVar[tuple[int, ...]] = (3, 4)

    def check(self) -> None:
        self.within(0, 180, degrees=self.degrees)

    def example(self, key: Array, x: Array) -> Array:
        dimensions = x.ndim - 1
        return _resample(x, _rotation(key, dimensions, self.degrees), jnp.zeros(dimensions))


@dataclasses.dataclass(frozen=True)
class Affine(Augmentation):
    """Rotation, stretch, shear, shift and perspective in one map, in two or three dimensions.

    Formula: x'[p] = x[(R(θ) (I + diag(s) + K) p) / (1 + v·p) + t], each number uniform on ± its field; p from the
      centre in units of half the longest side, so that shift=0.1 is a twentieth of that side; K has a zero diagonal
    Reference: Simard, Steinkraus and Platt, 2003; Hartley and Zisserman, 2004 (perspective)
    """

    degrees: float = 10.0
    stretch: float = 0.1
    shear: float = 0.1
    shift: float = 0.1
    perspective: float = 0.0
    ranks: ClassVar[tuple[int, ...]] = (3, 4)

    def check(self) -> None:
        self.within(0, 180, degrees=self.degrees)
        self.within(0, 0.9, stretch=self.stretch, shear=self.shear)
        self.within(0, 1, shift=self.shift)
        self.within(0, 0.3, perspective=self.perspective)

    def example(self, key: Array, x: Array) -> Array:
        n = x.ndim - 1
        to_rotate, to_stretch, to_shear, to_shift, to_view = jax.random.split(key, 5)
        diagonal = jnp.eye(n)
        stretch = diagonal * uniform(to_stretch, (n, 1), self.stretch)
        shear = (1 - diagonal) * uniform(to_shear, (n, n), self.shear)
        matrix = jnp.einsum("ij,jk->ik", _rotation(to_rotate, n, self.degrees), diagonal + stretch + shear)
        view = uniform(to_view, (n,), self.perspective)
        return _resample(x, matrix, uniform(to_shift, (n,), self.shift), view)


@dataclasses.dataclass(frozen=True)
class Crop(Augmentation):
    """Pads each side with zeros and cuts out a window of the original size at a random position.

    Formula: x' = pad(x, k)[o : o + size], o uniform on 0 … 2k per axis
    Reference: He et al., 2016 (padding 4 for CIFAR-10)
    """

    padding: int = 4
    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4)

    def check(self) -> None:
        if self.padding < 1:
            raise ValueError(f"Crop: padding={self.padding} must be 1 or more; 4 is usual")

    def example(self, key: Array, x: Array) -> Array:
        space = x.ndim - 1
        padded = jnp.pad(x, [(self.padding, self.padding)] * space + [(0, 0)])
        starts = jax.random.randint(key, (space,), 0, 2 * self.padding + 1)
        return jax.lax.dynamic_slice(padded, [*starts, jnp.zeros((), starts.dtype)], x.shape)
