"""Normalization layers, made alike inside a compact method: `NORMALIZATIONS[norm](train=train, name="norm")(x)`,
x [B, …, C]. The table's names are those that a net's field `norm` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

MOMENTUM = 0.9  # of the running statistics
EPSILON = 1e-5  # torchvision's, under the root


def batch_norm(*, train: bool, name: str) -> nn.Module:
    """γ (x - E x) / √(Var x + ε) + β over all axes but the last (Ioffe and Szegedy 2015).

    ε stands inside the root and outside the variance (a lecture prints it inside Var). In training the batch's own
    statistics are used and running ones kept in the collection "batch_stats"; in evaluation the running ones serve, or
    those that `recomputed_statistics` takes from the whole training set.
    """
    return nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, epsilon=EPSILON, name=name)


def layer_norm(*, train: bool, name: str) -> nn.Module:
    """γ (x - E x) / √(Var x + ε) + β over the last axis, position by position (Ba, Kiros and Hinton 2016)."""
    del train  # the same in training and evaluation
    return nn.LayerNorm(epsilon=EPSILON, name=name)


class GroupNorm(nn.Module):
    """Normalization over space and over groups of channels of each example (Wu and He 2018).

    Args:
        groups: wanted number of groups; taken is the largest divisor of the channels that is not above it and leaves
            four channels or more to a group (a dense layer's group of one would be normalised to zero).
    """

    groups: int = 32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        most = max(1, min(self.groups, channels // 4))
        groups = next(g for g in range(most, 0, -1) if channels % g == 0)
        return nn.GroupNorm(num_groups=groups, epsilon=EPSILON, name="groups")(x)


def group_norm(*, train: bool, name: str) -> nn.Module:
    """`GroupNorm` of 32 groups, or fewer where channels are few."""
    del train
    return GroupNorm(name=name)


NORMALIZATIONS: dict[str, Callable[..., nn.Module]] = {
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
}


def check_norm(norm: str | None, position: str = "before") -> None:
    """Refuse an unknown normalization or position.

    Raises:
        ValueError: with the names that exist.
    """
    if norm is not None and norm not in NORMALIZATIONS:
        raise ValueError(f"norm {norm!r} is unknown: use one of {', '.join(NORMALIZATIONS)}, or None for none")
    if position not in ("before", "after"):
        raise ValueError(f"norm_position {position!r} is unknown: use 'before' or 'after' (the activation)")


def recomputed_statistics(
    net: nn.Module,
    variables: Mapping[str, Any],
    batches: Iterable[jax.Array],
    rngs: dict[str, jax.Array] | None = None,
) -> Any:
    """Batch statistics over all of `batches` for evaluation, instead of the running ones.

    Each layer's mean and variance are joined by the law of total variance, E[Var] + Var[E], over batches of equal
    size normalised as in training. With a single batch they are that batch's own, layer after layer.

    Args:
        net: a net with batch normalization.
        variables: its variables; they are not changed.
        batches: inputs [B, …], all of the same size.
        rngs: streams the net needs in training (dropout).

    Returns:
        A new "batch_stats" collection.

    Raises:
        ValueError: no batch was given, or the net keeps no batch statistics.
    """
    if not variables.get("batch_stats"):
        raise ValueError("batch statistics of a net without batch normalization: set norm='batch_norm'")
    zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])

    @jax.jit
    def moments(x: jax.Array) -> Any:
        _, mutated = net.apply({**variables, "batch_stats": zeros}, x, train=True, rngs=rngs, mutable=["batch_stats"])
        # From zero, one update leaves (1 - momentum) times the batch's statistic.
        return jax.tree.map(lambda s: s / (1 - MOMENTUM), mutated["batch_stats"])

    collected = [moments(x) for x in batches]
    if not collected:
        raise ValueError("batch statistics of no batch: give at least one")
    return jax.tree.map(_total, *collected, is_leaf=_is_statistic)


def _is_statistic(node: Any) -> bool:
    return isinstance(node, Mapping) and set(node) == {"mean", "var"}


def _total(*statistics: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    means = jnp.stack([s["mean"] for s in statistics])
    variances = jnp.stack([s["var"] for s in statistics])
    return {"mean": means.mean(axis=0), "var": variances.mean(axis=0) + means.var(axis=0)}
