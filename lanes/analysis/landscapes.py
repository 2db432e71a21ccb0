"""The loss along a line between two sets of parameters, and over a plane through one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Tree = Any
Measure = Callable[[Tree], Any]  # parameters -> a tree of scalars: a loss, or several numbers

OUTPUTS_FIRST = ("weight", "kernel")  # how a kernel [out, in, *window] ends, as Equinox's
ROWS = "embedding"  # a table [vocabulary, features], in which each row is a token's


def loss_along_line(measure: Measure, start: Tree, end: Tree, positions: Sequence[float] | np.ndarray) -> Any:
    """What `measure` gives at points of the straight line through two sets of parameters.

    Formula: L((1 - t) θ_0 + t θ_1)
    Reference: Goodfellow, Vinyals and Saxe, 2015

    Args:
        measure: the loss (or a tree of scalars) of parameters; it is compiled once.
        start, end: θ_0 and θ_1, of the same structure and shapes.
        positions: t [T]; 0 is the start, 1 the end, and others lie beyond.

    Returns:
        float32 [T], or a tree of them as `measure` returns.

    Raises:
        ValueError: the two differ in structure or shapes.
    """
    check_same_shapes(start, end)

    def at(start: Tree, end: Tree, t: Array) -> Any:
        # Written this way both ends are exact.
        return measure(jax.tree.map(lambda a, b: _combined(a, (1 - t, a), (t, b)), start, end))

    points = jnp.asarray(positions, jnp.float32)
    return jax.jit(lambda a, b, points: jax.lax.map(lambda t: at(a, b, t), points))(start, end, points)


def loss_over_plane(
    measure: Measure, params: Tree, directions: tuple[Tree, Tree], positions: Sequence[float] | np.ndarray
) -> Any:
    """What `measure` gives on a square grid of the plane that two directions span.

    Formula: L(θ + a d_1 + b d_2)
    Reference: Li, Xu, Taylor, Studer and Goldstein, 2018

    Args:
        measure: the loss (or a tree of scalars) of parameters; it is compiled once.
        params: θ, the centre.
        directions: d_1 and d_2, for instance two of `filter_normalized_direction`.
        positions: a, and b, [P].

    Returns:
        float32 [P, P], or a tree of them: rows are a, columns are b.

    Raises:
        ValueError: a direction differs from the parameters in structure or shapes.
    """
    for direction in directions:
        check_same_shapes(params, direction)

    def at(params: Tree, directions: tuple[Tree, Tree], ab: Array) -> Any:
        return measure(
            jax.tree.map(lambda w, d, e: _combined(w, (jnp.ones(()), w), (ab[0], d), (ab[1], e)), params, *directions)
        )

    axis = jnp.asarray(positions, jnp.float32)
    grid = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    flat = jax.jit(lambda p, d, grid: jax.lax.map(lambda ab: at(p, d, ab), grid))(params, directions, grid)
    return jax.tree.map(lambda leaf: leaf.reshape(axis.size, axis.size), flat)


def filter_normalized_direction(params: Tree, key: Array) -> Tree:
    """A random direction in which each filter is as long as the filter of the parameters at its place.

    Two nets that compute the same function with differently scaled weights (ReLU layers, layers before batch
    normalization) then show the same landscape. A filter is all that one output unit or channel of a kernel
    [*window, in, out] multiplies with, or a row of an embedding; biases, and scales of normalizations, stay as they are.

    Formula: d_f = ε_f ‖θ_f‖ / ‖ε_f‖, ε ~ N(0, I), for each filter f; 0 for parameters of fewer than two axes
    Reference: Li, Xu, Taylor, Studer and Goldstein, 2018

    Args:
        params: nested dictionaries of parameters.
        key: random key.

    Raises:
        ValueError: no parameter has two axes.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    if not any(np.ndim(leaf) >= 2 for _, leaf in leaves):
        raise ValueError("no parameter has two axes or more, so there are no filters to scale a direction by")
    keys = jax.random.split(key, len(leaves))
    return jax.tree_util.tree_unflatten(
        tree, [_direction(path, jnp.asarray(leaf), k) for (path, leaf), k in zip(leaves, keys)]
    )


def _direction(path: Any, leaf: Array, key: Array) -> Array:
    if leaf.ndim < 2 or not jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros_like(leaf)
    names = tuple(str(getattr(entry, "key", getattr(entry, "name", entry))) for entry in path)
    of_outputs = 0 if names[-2:] == OUTPUTS_FIRST or names[-1] == ROWS else leaf.ndim - 1
    inputs = tuple(axis for axis in range(leaf.ndim) if axis != of_outputs)
    drawn = jax.random.normal(key, leaf.shape, jnp.float32)

    def norm(x: Array) -> Array:
        return jnp.sqrt(jnp.sum(x.astype(jnp.float32) ** 2, axis=inputs, keepdims=True))

    return (drawn * (norm(leaf) / jnp.maximum(norm(drawn), jnp.finfo(jnp.float32).tiny))).astype(leaf.dtype)


def loss_barrier(positions: Sequence[float] | np.ndarray, losses: Sequence[float] | np.ndarray) -> float:
    """How far the loss between two ends rises above the straight line between their losses; 0 if it nowhere does.

    Formula: max_t L(t) - ((1 - t) L(0) + t L(1)) over 0 ≤ t ≤ 1
    Reference: Frankle, Dziugaite, Roy and Carbin, 2020

    Args:
        positions: t [T], ascending, which must hold 0 and 1.
        losses: L [T]; a point without a finite loss counts as infinitely high.

    Raises:
        ValueError: 0 or 1 is not among the positions.
    """
    t, values = np.asarray(positions, np.float64), np.asarray(losses, np.float64)
    ends = [np.flatnonzero(np.isclose(t, end, rtol=0, atol=1e-6)) for end in (0.0, 1.0)]
    if not all(map(len, ends)):
        raise ValueError(f"positions from {t.min():g} to {t.max():g} must hold 0 and 1, the two ends")
    inside = slice(int(ends[0][0]), int(ends[1][0]) + 1)
    t, values = t[inside], values[inside]
    above = values - ((1 - t) * values[0] + t * values[-1])
    return float(np.where(np.isfinite(above), above, np.inf).max()) if np.isfinite(values[[0, -1]]).all() else np.nan


def check_same_shapes(first: Tree, second: Tree) -> None:
    """Raises ValueError, naming the first difference, for parameters of another structure or other shapes."""
    one, other = (
        {jax.tree_util.keystr(path, simple=True, separator="/"): np.shape(leaf) for path, leaf in leaves}
        for leaves in map(jax.tree_util.tree_leaves_with_path, (first, second))
    )
    for name in [*one, *other]:
        if one.get(name) != other.get(name):
            shapes = [f"{list(which[name])}" if name in which else "missing" for which in (one, other)]
            raise ValueError(f"the parameters differ: {name} is {shapes[0]} in one and {shapes[1]} in the other")


def _combined(like: Array, *terms: tuple[Array, Array]) -> Array:
    """Σ factor · leaf in float32, as the type of `like`; integers, which are not on a line, stay as they are."""
    like = jnp.asarray(like)
    if not jnp.issubdtype(like.dtype, jnp.floating):
        return like
    wide = jnp.promote_types(like.dtype, jnp.float32)
    parts = [factor.astype(wide) * jnp.asarray(leaf).astype(wide) for factor, leaf in terms]
    return sum(parts[1:], parts[0]).astype(like.dtype)
