"""Normalization layers with one interface: `NORMALIZATIONS[norm](train=train, name="norm")(x)`, x [B, …, C].

The table's names are the values of a net's field `norm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

MOMENTUM = 0.9  # of the running statistics
EPSILON = 1e-5  # torchvision's, under the root


class BatchNorm(nn.Module):
    """γ (x - E x) / √(Var x + ε) + β over all axes but the last (Ioffe and Szegedy 2015); x [B, …, C].

    ε is added to the variance, under the root. Training uses the batch's own statistics, and updates running ones in
    the collection "batch_stats" if that is mutable; evaluation uses the running ones, or those that
    `recomputed_statistics` takes from the whole training set.
    """

    train: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, x.shape[-1:])
        running_var = self.variable("batch_stats", "var", jnp.ones, x.shape[-1:])
        if not self.train:
            mean, var = (_like_channels(s.value, x) for s in (running_mean, running_var))
            return _scaled(self, x, mean, var)
        scale, bias = (_like_channels(param, x) for param in _parameters(self, x))
        y, mean, var = _normalized(_wide(x), scale, bias)
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            for running, value in ((running_mean, mean), (running_var, var)):
                new = jax.lax.stop_gradient(value).reshape(-1).astype(running.value.dtype)
                running.value = MOMENTUM * running.value + (1 - MOMENTUM) * new
        return y.astype(x.dtype)


class LayerNorm(nn.Module):
    """γ (x - E x) / √(Var x + ε) + β over the last axis, at each position independently (Ba, Kiros and Hinton 2016)."""

    train: bool = False  # the same in training and evaluation

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return _scaled(self, x, *_moments(x, (x.ndim - 1,)))


class GroupNorm(nn.Module):
    """Normalization over space and over groups of channels of each example (Wu and He 2018).

    Args:
        groups: upper bound on the number of groups. The number is the largest divisor of the channels within it that
            leaves at least four channels per group (a dense layer's group of one would be normalised to zero).
    """

    train: bool = False
    groups: int = 32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        most = max(1, min(self.groups, channels // 4))
        groups = next(g for g in range(most, 0, -1) if channels % g == 0)
        grouped = x.reshape(*x.shape[:-1], groups, channels // groups)
        mean, var = _moments(grouped, (*range(1, x.ndim - 1), x.ndim))
        shape = (x.shape[0],) + (1,) * (x.ndim - 2) + (channels,)
        mean, var = (jnp.repeat(m.reshape(*shape[:-1], groups), channels // groups, axis=-1) for m in (mean, var))
        return _scaled(self, x, mean, var)


def _wide(x: jax.Array) -> jax.Array:
    """Half precision converted to float32, as it cannot hold sums over a batch."""
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def _like_channels(statistic: jax.Array, x: jax.Array) -> jax.Array:
    return statistic.reshape((1,) * (x.ndim - 1) + (-1,)).astype(_wide(x).dtype)


def _moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    wide = _wide(x)
    return wide.mean(axis=axes, keepdims=True), wide.var(axis=axes, keepdims=True)


def _parameters(layer: nn.Module, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """γ ("scale", initially 1) and β ("bias", initially 0), [C]."""
    return (
        layer.param("scale", nn.initializers.ones, x.shape[-1:]),
        layer.param("bias", nn.initializers.zeros, x.shape[-1:]),
    )


def _scaled(layer: nn.Module, x: jax.Array, mean: jax.Array, var: jax.Array) -> jax.Array:
    """Standardised x times γ plus β, in the dtype of x."""
    scale, bias = (_like_channels(param, x) for param in _parameters(layer, x))
    return ((_wide(x) - mean) * jax.lax.rsqrt(var + EPSILON) * scale + bias).astype(x.dtype)


@jax.custom_jvp
def _normalized(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """x [B, …, C] standardised over all axes but the last, times scale plus bias; and the means and variances, all [1, …, C].

    The derivative is written out, so that a gradient takes two sums over x; all of JAX's derivatives go through it.
    """
    mean, var = _moments(x, tuple(range(x.ndim - 1)))
    return (x - mean) * jax.lax.rsqrt(var + EPSILON) * scale + bias, mean, var


@_normalized.defjvp
def _normalized_jvp(primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]) -> tuple[Any, Any]:
    (x, scale, _), (x_dot, scale_dot, bias_dot) = primals, tangents
    y, mean, var = _normalized(*primals)
    axes = tuple(range(x.ndim - 1))
    inverse = jax.lax.rsqrt(var + EPSILON)
    standardised, factor = (x - mean) * inverse, scale * inverse
    mean_dot, both = (of.mean(axes, keepdims=True) for of in (x_dot, standardised * x_dot))
    y_dot = factor * x_dot + standardised * (scale_dot - factor * both) + (bias_dot - factor * mean_dot)
    return (y, mean, var), (y_dot, mean_dot, 2 * both / inverse)


NORMALIZATIONS: dict[str, Callable[..., nn.Module]] = {
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "group_norm": GroupNorm,
}


def check_norm(norm: str | None, position: str = "before") -> None:
    """Refuse an unknown normalization or position.

    Raises:
        ValueError: with the names that are valid.
    """
    if norm is not None and norm not in NORMALIZATIONS:
        raise ValueError(f"norm {norm!r} is unknown: use one of {', '.join(NORMALIZATIONS)}, or None for none")
    if position not in ("before", "after"):
        raise ValueError(f"norm_position {position!r} is unknown: use 'before' or 'after' (the activation)")


def _new_share(first: jax.Array, second: jax.Array) -> jax.Array:
    """1 - momentum, from statistics after one and after two updates from zero: for a layer of the user's it may be any."""
    largest = jnp.argmax(jnp.abs(first))
    one, two = first.reshape(-1)[largest], second.reshape(-1)[largest]
    share = 2 - two / jnp.where(one == 0, 1, one)
    return jnp.where((one == 0) | (jnp.abs(share - (1 - MOMENTUM)) < 1e-4), 1 - MOMENTUM, share).astype(first.dtype)


def recomputed_statistics(
    net: nn.Module,
    variables: Mapping[str, Any],
    batches: Iterable[jax.Array],
    rngs: dict[str, jax.Array] | None = None,
) -> Any:
    """Batch statistics over all of `batches`, to be used in evaluation instead of the running ones.

    Each layer's means and variances over batches of equal size, normalised as in training, are combined by the law of
    total variance, E[Var] + Var[E]. With a single batch they are that batch's own.

    Args:
        net: a net with batch normalization.
        variables: its variables; not modified.
        batches: inputs [B, …], all of the same size.
        rngs: streams that the net needs in training (dropout).

    Returns:
        A new "batch_stats" collection.

    Raises:
        ValueError: there are no batches, or the net has no batch normalization.
    """
    if not variables.get("batch_stats"):
        raise ValueError("the net has no batch normalization, so no statistics to recompute: set norm='batch_norm'")
    zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])

    @jax.jit
    def moments(x: jax.Array) -> Any:
        def updated(running: Any) -> Any:
            _, mutated = net.apply(
                {**variables, "batch_stats": running}, x, train=True, rngs=rngs, mutable=["batch_stats"]
            )
            return mutated["batch_stats"]

        # Starting from zero, one update gives (1 - momentum) times the batch's statistic; a further one tells the momentum.
        first = updated(zeros)
        return jax.tree.map(lambda s, t: s / _new_share(s, t), first, updated(first))

    collected = [moments(x) for x in batches]
    if not collected:
        raise ValueError("there are no batches to take statistics from: give at least one")
    return jax.tree.map(_total, *collected, is_leaf=_is_statistic)


def _is_statistic(node: Any) -> bool:
    return isinstance(node, Mapping) and set(node) == {"mean", "var"}


def _total(*statistics: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    means = jnp.stack([s["mean"] for s in statistics])
    variances = jnp.stack([s["var"] for s in statistics])
    return {"mean": means.mean(axis=0), "var": variances.mean(axis=0) + means.var(axis=0)}
