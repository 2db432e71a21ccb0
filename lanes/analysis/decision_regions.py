"""Which class a classifier of two numbers decides for, over a rectangle of the plane."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
BLOCK = 4096  # points in one call


class Regions(NamedTuple):
    """A classifier on a grid.

    Attributes:
        x: float32 [P], the grid's first coordinate.
        y: float32 [P], its second.
        classes: int32 [P, P], the class decided for at (x[j], y[i]).
        values: float32 [P, P], the output of that class: its probability, if the outputs are probabilities.
    """

    x: np.ndarray
    y: np.ndarray
    classes: np.ndarray
    values: np.ndarray


def decision_regions(
    outputs: Callable[[Array], Array], low: Any, high: Any, *, points: int = 200, threshold: float = 0.5
) -> Regions:
    """The class decided for on a grid of points; boundaries lie where it changes.

    Args:
        outputs: x [B, 2] -> [B, K], of which the largest decides; or [B, 1], which decides for class 1 of two above the
            threshold.
        low, high: corners [2] of the rectangle.
        points: P, along each side, 2 or more.
        threshold: of a single output; the value of class 0 is as far above it as the output is below.

    Raises:
        ValueError: corners that are not two numbers each, a rectangle without area, or too few points.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if low.shape != (2,) or high.shape != (2,):
        raise ValueError(f"the corners have shapes {list(low.shape)} and {list(high.shape)}: each must be two numbers")
    if not (np.isfinite([low, high]).all() and (low < high).all()):
        raise ValueError(f"the rectangle from {low.tolist()} to {high.tolist()} has no area: low must be below high")
    if points < 2:
        raise ValueError(f"points={points} must be 2 or more")
    x, y = (np.linspace(low[i], high[i], points, dtype=np.float32) for i in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)

    @jax.jit
    def decided(block: Array) -> tuple[Array, Array]:
        given = outputs(block)
        if given.shape[-1] == 1:
            given = jnp.concatenate([2 * threshold - given, given], axis=-1)
        return jnp.argmax(given, axis=-1).astype(jnp.int32), jnp.max(given, axis=-1)

    classes, likely = [], []
    for start in range(0, len(grid), BLOCK):
        part = grid[start : start + BLOCK]
        padded = np.concatenate([part, np.repeat(part[:1], min(BLOCK, len(grid)) - len(part), axis=0)])
        one, other = decided(jnp.asarray(padded))
        classes.append(np.asarray(one)[: len(part)])
        likely.append(np.asarray(other)[: len(part)])
    square = (points, points)
    return Regions(x, y, np.concatenate(classes).reshape(square), np.concatenate(likely).reshape(square))
