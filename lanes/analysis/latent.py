"""The codes of autoencoders and of other nets with a decoder: maps of them, and what is decoded along them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
BATCH = 512


def in_batches(function: Callable[[Array], Array], x: Any) -> np.ndarray:
    """`function` of the rows of x [N, …] by one program, in batches of 512 of which the last is padded."""
    x = np.asarray(x)
    if not len(x):
        raise ValueError("there are no examples: give at least one")
    compiled, rows, out = jax.jit(function), min(BATCH, len(x)), []
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        padded = np.concatenate([part, np.repeat(part[:1], rows - len(part), axis=0)])
        out.append(np.asarray(compiled(jnp.asarray(padded)))[: len(part)])
    return np.concatenate(out)


def reconstruction_errors(x: Any, reconstructions: Any) -> np.ndarray:
    """Root of the mean squared difference of each example [N], in the units of x [N, …]."""
    x, other = (np.asarray(part, np.float64).reshape(len(part), -1) for part in (x, reconstructions))
    return np.sqrt(np.mean((x - other) ** 2, axis=1)).astype(np.float32)


class LatentMap(NamedTuple):
    """Codes in at most two coordinates.

    Attributes:
        coordinates: float32 [N, 1] or [N, 2].
        shares: the share of the codes' variance that lies along each coordinate.
        projected: whether the coordinates are principal components; otherwise they are the codes' own.
    """

    coordinates: np.ndarray
    shares: np.ndarray
    projected: bool


def latent_map(codes: Any) -> LatentMap:
    """Codes [N, M] as they are if M is 1 or 2, otherwise on their first two principal components.

    Formula: (z - E z) V, V the first two right singular vectors of the centred codes
    Reference: Pearson, 1901

    Raises:
        ValueError: codes of another rank, or that are not finite.
    """
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or not codes.size:
        raise ValueError(f"codes of shape {list(codes.shape)} must be [N, M] with an example and a number at least")
    if not np.isfinite(codes).all():
        raise ValueError("the codes are not finite")
    centred = codes - codes.mean(axis=0)
    variance = float(np.sum(centred**2))
    if codes.shape[1] <= 2:
        coordinates, projected = codes, False
    else:
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        directions = directions[:2]
        # The sign of a component is arbitrary: its largest entry is made positive.
        signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
        coordinates, projected = centred @ (directions * np.where(signs == 0, 1, signs)[:, None]).T, True
        coordinates = np.pad(coordinates, ((0, 0), (0, 2 - len(directions))))  # of a single example
    spread = np.sum((coordinates - coordinates.mean(axis=0)) ** 2, axis=0)
    shares = spread / variance if variance > 0 else np.zeros(coordinates.shape[1])
    return LatentMap(coordinates.astype(np.float32), shares.astype(np.float32), projected)


def traversals(decode: Callable[[Array], Array], code: Any, dimensions: Sequence[int], values: Any) -> np.ndarray:
    """What is decoded as one number of a code after another runs through values, the others held fixed.

    Formula: g(z + (v - z_d) e_d) for each dimension d and each of its values v
    Reference: Higgins et al., 2017

    Args:
        decode: g, codes [B, M] -> [B, *shape].
        code: z [M].
        dimensions: d, D of the M.
        values: v [S], or [D, S] for each dimension its own.

    Returns:
        [D, S, *shape].

    Raises:
        ValueError: a dimension that the code does not have.
    """
    code, chosen = np.asarray(code, np.float32), list(dimensions)
    if beyond := [d for d in chosen if not 0 <= d < code.size]:
        raise ValueError(
            f"dimension {beyond[0]} is not in a code of {code.size} numbers: choose from 0 to {code.size - 1}"
        )
    values = np.asarray(values, np.float32)
    rows = np.broadcast_to(values, (len(chosen), values.shape[-1]))
    codes = np.tile(code, (*rows.shape, 1))
    for row, dimension in enumerate(chosen):
        codes[row, :, dimension] = rows[row]
    decoded = in_batches(decode, codes.reshape(-1, code.size))
    return decoded.reshape(*rows.shape, *decoded.shape[1:])


def decoded_plane(decode: Callable[[Array], Array], first: Any, second: Any) -> np.ndarray:
    """What is decoded on a grid of a code of two numbers: [S, R, *shape], the first number along the columns.

    Reference: Kingma and Welling, 2014, figure 4

    Args:
        decode: codes [B, 2] -> [B, *shape].
        first: values [R] of the code's first number.
        second: values [S] of its second.
    """
    grid = np.stack(np.meshgrid(np.asarray(first, np.float32), np.asarray(second, np.float32)), axis=-1)
    decoded = in_batches(decode, grid.reshape(-1, 2))
    return decoded.reshape(*grid.shape[:2], *decoded.shape[1:])
