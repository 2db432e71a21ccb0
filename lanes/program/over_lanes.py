"""Functions of one run, mapped over a group of lanes or a whole pack, and the data that lanes share.

A pack of P lanes runs as G groups of `width` lanes, one group after the other; a group's lanes are computed at once.
"""

import contextvars
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding

from lanes.describe import runs
from lanes.describe.runs import Run, SharedRun
from lanes.program.shared_activation import INDEX, is_of_group
from lanes.program.skipping import COSTLY

Tree = Any
Numbers = dict[str, jax.Array]


class Data(NamedTuple):
    """The data set on the device: splits as (x [N, …], y [N, …]), and how inputs are standardized."""

    splits: dict[str, tuple[Any, Any]]
    offset: Any
    scale: Any


def apart(template: Run, numbers: Numbers) -> tuple[Numbers, Numbers]:
    """(numbers of each lane, numbers that a group of lanes has in common): the index of a switch."""
    common = {name: value[0] for name, value in numbers.items() if name == INDEX and is_of_group(template)}
    return {name: value for name, value in numbers.items() if name not in common}, common


def over_lanes(function: Callable, width: int) -> Callable:
    """`function` of one lane, mapped over trees with a leading lane axis: by `vmap`, or called directly at width 1."""
    if width > 1:
        return jax.vmap(function)

    def alone(*trees: Tree) -> Tree:
        return jax.tree.map(lambda leaf: leaf[None], function(*jax.tree.map(lambda leaf: leaf[0], trees)))

    return alone


def over_groups(function: Callable, width: int, *trees: Tree) -> Tree:
    """`function` of a group [width, …], applied to trees [P, …] one group after the other; without a loop if P = width."""
    if jax.tree.leaves(trees)[0].shape[0] == width:
        return function(*trees)
    grouped = jax.tree.map(lambda leaf: leaf.reshape(-1, width, *leaf.shape[1:]), trees)
    out = lax.map(lambda group: function(*group), grouped)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), out)


def in_group(template: Run, width: int, numbers: Numbers) -> Callable[..., Tree]:
    """Maps functions of one run over the lanes of a group; called as (function, tree, …) with trees [width, …].

    Args:
        template: the lanes' run, with its traced numbers blanked (`Setup.run`).
        width: lanes in the group.
        numbers: the traced numbers [width], which fill the blanks.
    """
    own, common = apart(template, numbers)
    always = isinstance(template, SharedRun) and template.batched
    on = {
        name: always or jnp.any(runs.is_not_neutral(name, own[name]))
        for name in COSTLY
        if runs.may_be_neutral(template, name)
    }

    def mapped(function: Callable[..., Tree], tree: Tree, *more: Tree) -> Tree:
        def of_lane(tree: Tree, numbers: Numbers, *more: Tree) -> Tree:
            run = runs.with_numbers(template, numbers | common)
            return function(dataclasses.replace(run, on=on) if isinstance(run, SharedRun) else run, tree, *more)

        return over_lanes(of_lane, width)(tree, own, *more)

    return mapped


def per_run(function: Callable[..., Tree], template: Run, width: int, numbers: Numbers, tree: Tree) -> Tree:
    """`function(run, tree)` for every lane of a pack, with its numbers [P] and its part of the tree [P, …]."""

    def group(tree: Tree, numbers: Numbers) -> Tree:
        return in_group(template, width, numbers)(function, tree)

    return over_groups(group, width, tree, numbers)


_BATCH_SHARDING: contextvars.ContextVar[NamedSharding | None] = contextvars.ContextVar("batch_sharding", default=None)


def splitting_batches(function: Callable, sharding: NamedSharding) -> Callable:
    """`function`, traced with `split_batch` splitting examples over the devices of `sharding`."""

    def traced(*args: Any) -> Any:
        before = _BATCH_SHARDING.set(sharding)
        try:
            return function(*args)
        finally:
            _BATCH_SHARDING.reset(before)

    return traced


def split_batch(batch: Tree) -> Tree:
    """A batch [B, …] split over the devices that share it (mapping `data`), if their number divides B; otherwise unchanged."""
    sharding = _BATCH_SHARDING.get()
    if sharding is None or any(leaf.shape[0] % sharding.num_devices for leaf in jax.tree.leaves(batch)):
        return batch
    return lax.with_sharding_constraint(batch, sharding)
