"""Lanes side by side: what a program maps over them, in groups of one width, and the data set that they share."""

import contextvars
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.sharding import NamedSharding

from lanes.program.shared_activation import INDEX

Tree = Any
Numbers = dict[str, jax.Array]


class Data(NamedTuple):
    """The data set on the device: splits as (x [N, …], y [N, …]), and how inputs are standardized."""

    splits: dict[str, tuple[Any, Any]]
    offset: Any
    scale: Any


def apart(numbers: Numbers) -> tuple[Numbers, Numbers]:
    """(numbers of each lane, numbers that a group of lanes has in common): what a switch depends on must not be batched."""
    common = {name: value[0] for name, value in numbers.items() if name == INDEX}
    return {name: value for name, value in numbers.items() if name not in common}, common


def over_lanes(function: Callable, width: int) -> Callable:
    """`function` of one lane, applied to trees with a leading lane axis: `vmap`, or at width 1 the function itself."""
    if width > 1:
        return jax.vmap(function)

    def alone(*trees: Tree) -> Tree:
        return jax.tree.map(lambda leaf: leaf[None], function(*jax.tree.map(lambda leaf: leaf[0], trees)))

    return alone


def over_groups(function: Callable, width: int, *trees: Tree) -> Tree:
    """`function` of a group [width, …], over trees [P, …], one group after the other."""
    grouped = jax.tree.map(lambda leaf: leaf.reshape(-1, width, *leaf.shape[1:]), trees)
    out = lax.map(lambda group: function(*group), grouped)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), out)


_OF_BATCHES: contextvars.ContextVar[NamedSharding | None] = contextvars.ContextVar("of_batches", default=None)


def splitting_batches(function: Callable, sharding: NamedSharding) -> Callable:
    """`function`, traced so that `split_batch` splits examples over the devices of `sharding`."""

    def traced(*args: Any) -> Any:
        before = _OF_BATCHES.set(sharding)
        try:
            return function(*args)
        finally:
            _OF_BATCHES.reset(before)

    return traced


def split_batch(batch: Tree) -> Tree:
    """A batch [B, …] split over the devices that share it (mapping `data`), where they divide B; otherwise as it is."""
    sharding = _OF_BATCHES.get()
    if sharding is None or any(leaf.shape[0] % sharding.num_devices for leaf in jax.tree.leaves(batch)):
        return batch
    return lax.with_sharding_constraint(batch, sharding)
