"""Which inputs a prediction depends on: its gradient, and integrated gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Score = Callable[[Array], Array]  # x [B, …] -> [B, K], each example by itself, as a net is in evaluation


def gradients(score: Score, x: Any, targets: Any) -> np.ndarray:
    """The gradient of each example's target score by its input: float32, of x's shape.

    Formula: ∂f_t(x) / ∂x
    Reference: Simonyan, Vedaldi and Zisserman, 2014

    Args:
        score: x [B, …] -> scores [B, K] before the output unit: probabilities near 0 and 1 have no slope left.
        x: inputs [B, …] as the net sees them.
        targets: t [B], the column of each example, for instance the predicted class.
    """
    x, targets = jnp.asarray(x, jnp.float32), jnp.asarray(targets, jnp.int32)
    return np.asarray(jax.jit(lambda x, t: jax.grad(lambda x: jnp.sum(_chosen(score, x, t)))(x))(x, targets))


def integrated_gradients(score: Score, x: Any, targets: Any, baseline: Any, *, steps: int = 32) -> np.ndarray:
    """What each input number contributes to the difference of the target score from that at a baseline.

    The contributions of an example sum to f_t(x) - f_t(x'), up to the error of the quadrature (Gauss-Legendre with `steps`
    nodes; for ReLU nets, whose gradient jumps, about a percent with 32).

    Formula: (x - x') ∫_0^1 ∂f_t(x' + a (x - x')) / ∂x da
    Reference: Sundararajan, Taly and Yan, 2017

    Args:
        score, x, targets: as in `gradients`.
        baseline: x', an input [B, …], or of one example's shape, that stands for no evidence.
        steps: nodes of the quadrature, 1 or more.

    Returns:
        float32, of x's shape.

    Raises:
        ValueError: fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps={steps} must be 1 or more; 32 is usual")
    x, targets = jnp.asarray(x, jnp.float32), jnp.asarray(targets, jnp.int32)
    start = jnp.broadcast_to(jnp.asarray(baseline, jnp.float32), x.shape)
    nodes, weights = np.polynomial.legendre.leggauss(steps)

    @jax.jit
    def contributions(x: Array, start: Array, targets: Array, at: Array, weight: Array) -> Array:
        def term(total: Array, node: tuple[Array, Array]) -> tuple[Array, None]:
            here = start + node[0] * (x - start)
            slope = jax.grad(lambda x: jnp.sum(_chosen(score, x, targets)))(here)
            return total + node[1] * slope, None

        return (x - start) * jax.lax.scan(term, jnp.zeros_like(x), (at, weight))[0]

    quadrature = (jnp.asarray((nodes + 1) / 2, jnp.float32), jnp.asarray(weights / 2, jnp.float32))
    return np.asarray(contributions(x, start, targets, *quadrature))


def _chosen(score: Score, x: Array, targets: Array) -> Array:
    """The target score [B] of each example."""
    out = score(x)
    return jnp.take_along_axis(out.reshape(out.shape[0], -1).astype(jnp.float32), targets[:, None], axis=1)[:, 0]
