"""Adversarial inputs: small changes of an input, bounded in every entry, that raise a net's loss.

An attack takes a net as a function of a batch and moves each example within a ball of the largest entry (L∞) around it, and
within the bounds of the inputs. Examples must not act on each other: a net in evaluation mode.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Net = Callable[[Array], Any]  # x [B, …] -> outputs
Loss = Callable[[Any, Array], Array]  # (outputs, y [B, …]) -> loss of each example [B]


class Ball(NamedTuple):
    """Which inputs an attack may reach: those at most ε away in every entry, within bounds.

    Attributes:
        epsilon: ε ≥ 0, a number or one for each feature.
        low, high: smallest and largest input, numbers or one for each feature.
    """

    epsilon: Array | float
    low: Array | float = -jnp.inf
    high: Array | float = jnp.inf


def towards(loss: Loss) -> Loss:
    """The loss of a targeted attack: it rises as the examples get the targets y, instead of losing them."""
    return lambda outputs, y: -loss(outputs, y)


def direction(net: Net, loss: Loss, x: Array, y: Array) -> Array:
    """Which way each entry of x [B, …] moves: -1, 0 or 1. It is 0 where the loss has no gradient.

    Formula: sign ∇ₓ L(net(x), y)
    Reference: Goodfellow, Shlens and Szegedy, 2015
    """
    return jnp.sign(jax.grad(lambda at: jnp.sum(loss(net(at), y)))(x))


def fgsm(net: Net, loss: Loss, x: Array, y: Array, ball: Ball) -> Array:
    """The fast gradient sign method: one step of size ε.

    Args:
        net: x [B, …] -> outputs.
        loss: (outputs, y) -> [B], which the attack raises; `towards(loss)` for a targeted one.
        x: float [B, …], within the bounds.
        y: targets [B, …].
        ball: what may be reached.

    Formula: x' = clip(x + ε sign ∇ₓ L, low, high)
    Reference: Goodfellow, Shlens and Szegedy, 2015
    """
    return _within(x + _like(ball.epsilon, x) * direction(net, loss, x, y), ball)


def pgd(
    net: Net,
    loss: Loss,
    x: Array,
    y: Array,
    ball: Ball,
    *,
    step_size: Array | float,
    key: Array,
    steps: int = 10,
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
    size, step = _like(ball.epsilon, x), _like(step_size, x)

    def projected(at: Array) -> Array:
        return _within(jnp.clip(at, x - size, x + size), ball)

    def further(_: Array, at: Array) -> Array:
        return projected(at + step * direction(net, loss, at, y))

    start = projected(x + size * jax.random.uniform(key, x.shape, x.dtype, -1.0, 1.0))
    return lax.fori_loop(0, steps, further, start)


def _within(x: Array, ball: Ball) -> Array:
    return jnp.clip(x, _like(ball.low, x), _like(ball.high, x))


def _like(value: Array | float, x: Array) -> Array:
    """A number, or one for each feature, to be broadcast over the batch x [B, …]."""
    value = jnp.asarray(value, x.dtype)
    return value.reshape((1,) * (x.ndim - value.ndim) + value.shape)
