"""The convex regions into which a ReLU net of two inputs divides the plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def activation_regions(layers: Sequence[tuple[Any, Any]], low: Any = (-1, -1), high: Any = (1, 1)) -> list[np.ndarray]:
    """The parts of a rectangle in each of which every ReLU is on throughout or off throughout, so that the net is affine.

    They are exact, up to rounding in float64: the rectangle is cut along the lines where a unit of the first layer is 0,
    each part along those of the second layer, which are straight within it, and so on.

    Args:
        layers: kernel [inputs, units] and bias [units] of each layer of ReLUs, the first of two inputs.
        low, high: corners [2] of the rectangle.

    Returns:
        the corners [V, 2] of each convex polygon.

    Raises:
        ValueError: shapes that do not fit, corners that are not two numbers each, or a rectangle without area.
    """
    left, below = np.asarray(low, np.float64)
    right, above = np.asarray(high, np.float64)
    if not (left < right and below < above):
        raise ValueError(f"the rectangle from {(left, below)} to {(right, above)} has no area: low must be below high")
    cells = [(np.array([[left, below], [right, below], [right, above], [left, above]]), np.eye(2), np.zeros(2))]
    for at, (kernel, bias) in enumerate(layers):
        weights, offsets = np.asarray(kernel, np.float64), np.asarray(bias, np.float64)
        inputs = cells[0][1].shape[1]
        if weights.ndim != 2 or len(weights) != inputs or offsets.shape != weights.shape[1:]:
            raise ValueError(
                f"layer {at} has a kernel {list(weights.shape)} and a bias {list(offsets.shape)}: with {inputs} inputs "
                f"they must be [{inputs}, units] and [units]"
            )
        cells = [part for cell in cells for part in _cut_by_layer(*cell, weights, offsets)]
    return [corners for corners, _, _ in cells]


Cell = tuple[np.ndarray, np.ndarray, np.ndarray]  # corners, and the layer's outputs x @ slope + offset within them


def _cut_by_layer(
    corners: np.ndarray, slope: np.ndarray, offset: np.ndarray, kernel: np.ndarray, bias: np.ndarray
) -> list[Cell]:
    slope, offset, parts = slope @ kernel, offset @ kernel + bias, [corners]
    for unit in range(len(bias)):
        parts = [half for part in parts for half in _halves(part, part @ slope[:, unit] + offset[unit])]
    on = [part.mean(axis=0) @ slope + offset > 0 for part in parts]
    return [(part, slope * active, offset * active) for part, active in zip(parts, on, strict=True)]


def _halves(corners: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    """A convex polygon cut where z, a linear function given at its corners, is 0."""
    if z.min() >= 0 or z.max() <= 0:
        return [corners]
    after, onward = np.roll(corners, -1, axis=0), np.roll(z, -1)
    is_cut = z * onward < 0  # the side from this corner to the next
    share = np.divide(z, z - onward, out=np.zeros_like(z), where=is_cut)
    points = np.stack([corners, corners + share[:, None] * (after - corners)], axis=1).reshape(-1, 2)
    side = np.stack([z, np.where(is_cut, 0, np.nan)], axis=1).reshape(-1)  # NaN: no point on that side
    return [points[side >= 0], points[side <= 0]]
