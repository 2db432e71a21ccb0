"""Inputs that maximize a unit, by projected gradient ascent."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
FIRST_STEP = 0.1  # of the radius; steps shrink linearly to 0
STARTS = 4


class Maximized(NamedTuple):
    """The best inputs that were found.

    Attributes:
        inputs: float32 [U, *shape], one for each unit.
        values: float32 [U], the units' values there.
        starting: float32 [U], their mean over the random inputs that the ascent started from.
    """

    inputs: np.ndarray
    values: np.ndarray
    starting: np.ndarray


def maximized_inputs(
    units: Callable[[Array], Array],
    which: Sequence[int],
    shape: tuple[int, ...],
    key: Array,
    *,
    radius: float,
    bounds: tuple[Any, Any] | None = None,
    steps: int = 256,
) -> Maximized:
    """The inputs in a ball on which units are largest, as far as gradient ascent finds them.

    Each ascends from four random inputs, along the gradient scaled to unit length, and the best one is kept: the problem is
    not concave, so another start may find a higher value. For a linear unit the answer is radius · w / ‖w‖.

    Formula: x ← Π(x + η r ∇h(x) / ‖∇h(x)‖), Π the projection on ‖x‖ ≤ r, after clipping to the bounds
    Reference: Erhan, Bengio, Courville and Vincent, 2009

    Args:
        units: x [B, *shape] -> [B, K], each example by itself, as a net is in evaluation.
        which: the units, U of the K columns.
        shape: of one input.
        key: random key of the starts.
        radius: r, in the norm of the inputs as the net sees them.
        bounds: the lowest and the highest input, of one input's shape or scalars, with the ball's centre 0 between them.
        steps: of the ascent, 1 or more.

    Raises:
        ValueError: a radius that is not above 0, no steps, or bounds that exclude 0.
    """
    _check(radius, bounds, steps)
    columns = jnp.repeat(jnp.asarray(which, jnp.int32), STARTS)

    def values(x: Array) -> Array:
        out = units(x)
        return jnp.take_along_axis(out.reshape(out.shape[0], -1).astype(jnp.float32), columns[:, None], axis=1)[:, 0]

    def inside(x: Array) -> Array:
        if bounds is not None:
            low, high = (jnp.broadcast_to(jnp.asarray(b, jnp.float32), shape)[None] for b in bounds)
            x = jnp.clip(x, low, high)
        return x * jnp.minimum(1, radius / jnp.maximum(_norms(x), jnp.finfo(jnp.float32).tiny))

    @jax.jit
    def climbed(key: Array) -> tuple[Array, Array, Array]:
        x = jax.random.normal(key, (columns.size, *shape), jnp.float32)
        x = inside(x * (0.5 * radius / _norms(x)))
        end = _ascended(values, inside, x, FIRST_STEP * radius, steps)
        return end, values(end), values(x)

    end, reached, before = (np.asarray(part) for part in climbed(key))
    reached, before = reached.reshape(-1, STARTS), before.reshape(-1, STARTS)
    best = np.argmax(np.where(np.isnan(reached), -np.inf, reached), axis=1)
    rows = np.arange(len(best))
    return Maximized(end.reshape(-1, STARTS, *shape)[rows, best], reached[rows, best], before.mean(axis=1))


def _ascended(
    values: Callable[[Array], Array], inside: Callable[[Array], Array], x: Array, first: float, steps: int
) -> Array:
    """Inputs [B, …] after steps along their values' gradients, the first of length `first`, each projected by `inside`."""

    def ascend(step: Array, x: Array) -> Array:
        slope = jax.grad(lambda x: jnp.sum(values(x)))(x)
        size = _norms(slope)
        return inside(x + first * (1 - step / steps) * jnp.where(size > 0, slope / jnp.where(size > 0, size, 1), 0))

    return jax.lax.fori_loop(0, steps, ascend, x)


def _norms(x: Array) -> Array:
    """The norm of each example, [B, 1, …]."""
    return jnp.sqrt(jnp.sum(x**2, axis=tuple(range(1, x.ndim)), keepdims=True))


def _check(radius: float, bounds: tuple[Any, Any] | None, steps: int) -> None:
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius={radius} must be a finite number above 0")
    if steps < 1:
        raise ValueError(f"steps={steps} must be 1 or more")
    if bounds is not None and not (np.all(np.asarray(bounds[0]) <= 0) and np.all(np.asarray(bounds[1]) >= 0)):
        raise ValueError("bounds must have 0, the centre of the ball, between them")
