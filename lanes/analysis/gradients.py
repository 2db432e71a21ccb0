"""Norms of a net's weights and of the loss's gradient, for each array of parameters."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core

Tree = Any
Loss = Callable[[Tree], Array]  # parameters -> a scalar


class GradientStatistics(NamedTuple):
    """Of one array of parameters w.

    Attributes:
        axes: the number of its axes: 1 for a bias, 2 for a dense kernel.
        weight_norm: ‖w‖₂ over all its numbers.
        gradient_norm: ‖∂loss/∂w‖₂.
        relative_gradient: gradient_norm / weight_norm; NaN for weights that are all 0.
        zero_gradients: share of its numbers whose derivative is 0.
    """

    axes: Array
    weight_norm: Array
    gradient_norm: Array
    relative_gradient: Array
    zero_gradients: Array


def gradient_statistics(loss: Loss, params: Tree) -> dict[str, GradientStatistics]:
    """The statistics of each array of parameters by its path, "/" between the names. It can be compiled."""
    gradients = jax.grad(loss)(params)
    found = zip(paths(params), jax.tree.leaves(params), jax.tree.leaves(gradients), strict=True)
    return {path: _statistics(weight, gradient) for path, weight, gradient in found}


def _statistics(weight: Array, gradient: Array) -> GradientStatistics:
    of_weight, of_gradient = norm(weight), norm(gradient)
    ratio = of_gradient / jnp.where(of_weight > 0, of_weight, jnp.nan)
    zero = jnp.mean(gradient == 0, dtype=jnp.float32)
    return GradientStatistics(jnp.asarray(jnp.ndim(weight)), of_weight, of_gradient, ratio, zero)


def value_and_gradient_norm(loss: Loss, params: Tree) -> tuple[Array, Array]:
    """The loss, and ‖∂loss/∂params‖₂ over all parameters. It can be compiled."""
    value, gradients = jax.value_and_grad(loss)(params)
    return value, norm(jnp.stack([norm(leaf) for leaf in jax.tree.leaves(gradients)]))


def noise_scale(loss: Callable[[Tree, Array, Array], Array], params: Tree, x: Array, y: Array) -> Array:
    """tr Σ / |G|²: the variance of the gradients at single examples, divided by the squared norm of their mean.

    The gradient of a batch of this size, drawn with replacement, has as much noise as signal (McCandlish et al., An Empirical
    Model of Large-Batch Training, 2018: the simple noise scale). It is exact for the given examples. It can be compiled.

    Args:
        loss: (params, x, y) -> mean loss of examples, of whose losses none depends on another example.
        params: where.
        x, y: the examples [N, …]; 32 gradients are held at once.
    """

    def square(example: tuple[Array, Array]) -> Array:
        return _squared_norm(jax.grad(loss)(params, *(part[None] for part in example)))

    squares = jax.lax.map(square, (x, y), batch_size=32)
    return jnp.mean(squares) / _squared_norm(jax.grad(loss)(params, x, y)) - 1


def _squared_norm(tree: Tree) -> Array:
    return jnp.sum(jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)]))


def norm(leaf: Array) -> Array:
    """‖leaf‖₂ in float32, scaled so that squares neither overflow nor vanish."""
    values = jnp.abs(jnp.asarray(leaf)).astype(jnp.float32)
    largest = jnp.max(values, initial=0.0)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
    return scale * jnp.sqrt(jnp.sum((values / scale) ** 2))


def paths(params: Tree) -> list[str]:
    """The path of each array of parameters, in the order of the tree's leaves."""
    return [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    ]


def in_order_of_use(net: Callable[[Tree], Any], params: Tree) -> list[str]:
    """The paths of `paths`, in the order in which a net first computes with the arrays; unused ones are last."""
    closed = jax.make_jaxpr(net)(params)
    first = dict.fromkeys(closed.jaxpr.invars, math.inf)
    for at, equation in enumerate(closed.jaxpr.eqns):
        for variable in equation.invars:
            if not isinstance(variable, core.Literal) and first.get(variable) == math.inf:
                first[variable] = at
    order = sorted(zip(first.values(), paths(params), strict=True), key=lambda pair: pair[0])
    return [path for _, path in order]
