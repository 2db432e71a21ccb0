"""Lanes side by side: what a program maps over them, in groups of one width, and the data set that they share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax

from lanes.shared_activation import INDEX

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
