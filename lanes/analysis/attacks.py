"""Adversarial inputs: small changes of an input, bounded in every entry, that raise a net's loss.

An attack takes a net as a function of a batch and moves each example within a ball of the largest entry (L∞) around it, and
within the bounds of the inputs. Examples must not act on each other: a net in evaluation mode.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Net = Callable[[Array], Any]  # x [B, …] -> outputs
Loss = Callable[[Any, Array], Array]  # (outputs, y [B, …]) -> loss of each example [B]


def direction(net: Net, loss: Loss, x: Array, y: Array, *, targeted: bool = False) -> Array:
    """Which way each entry of x [B, …] moves: -1, 0 or 1. It is 0 where the loss has no gradient.

    Formula: sign ∇ₓ L(net(x), y); -sign with `targeted`
    Reference: Goodfellow, Shlens and Szegedy, 2015
    """
    sign = jnp.sign(jax.grad(lambda at: jnp.sum(loss(net(at), y)))(x))
    return -sign if targeted else sign


def fgsm(
    net: Net,
    loss: Loss,
    x: Array,
    y: Array,
    epsilon: Array | float,
    *,
    bounds: tuple[Array | float, Array | float] = (-jnp.inf, jnp.inf),
    targeted: bool = False,
) -> Array:
    """The fast gradient sign method: one step of size ε.

    Args:
        net: x [B, …] -> outputs.
        loss: (outputs, y) -> [B].
        x: float [B, …], within the bounds.
        y: targets [B, …] that the examples have or, with `targeted`, are to get.
        epsilon: ε ≥ 0, a number or one for each feature.
        bounds: smallest and largest input, numbers or one for each feature.
        targeted: whether to lower the loss of y instead of raising it.

    Formula: x' = clip(x + ε sign ∇ₓ L, low, high)
    Reference: Goodfellow, Shlens and Szegedy, 2015
    """
    return _clipped(x + _like(epsilon, x) * direction(net, loss, x, y, targeted=targeted), bounds)


def pgd(
    net: Net,
    loss: Loss,
    x: Array,
    y: Array,
    epsilon: Array | float,
    *,
    step_size: Array | float,
    key: Array,
    steps: int = 10,
    bounds: tuple[Array | float, Array | float] = (-jnp.inf, jnp.inf),
    targeted: bool = False,
) -> Array:
    """Projected gradient descent: steps of size α from a random point of the ball, each projected back to ball and bounds.

    Arguments are those of `fgsm`.

    Args:
        step_size: α, in the units of ε.
        key: of the random start, uniform in the ball.
        steps: number of steps.

    Formula: x₀ = x + u, u ~ U(-ε, ε); x_{t+1} = Π(x_t + α sign ∇ₓ L(x_t)), Π the nearest point with |x' - x| ≤ ε and
        low ≤ x' ≤ high
    Reference: Madry, Makelov, Schmidt, Tsipras and Vladu, 2018
    """
    size, step = _like(epsilon, x), _like(step_size, x)

    def projected(at: Array) -> Array:
        return _clipped(jnp.clip(at, x - size, x + size), bounds)

    def further(_: Array, at: Array) -> Array:
        return projected(at + step * direction(net, loss, at, y, targeted=targeted))

    start = projected(x + size * jax.random.uniform(key, x.shape, x.dtype, -1.0, 1.0))
    return lax.fori_loop(0, steps, further, start)


def _clipped(x: Array, bounds: tuple[Array | float, Array | float]) -> Array:
    low, high = (_like(bound, x) for bound in bounds)
    return jnp.clip(x, low, high)


def _like(value: Array | float, x: Array) -> Array:
    """A number, or one for each feature, to be broadcast over the batch x [B, …]."""
    value = jnp.asarray(value, x.dtype)
    return value.reshape((1,) * (x.ndim - value.ndim) + value.shape)
