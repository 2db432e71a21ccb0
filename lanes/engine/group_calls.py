"""Programs over the lanes of a pack, called group by group where that is cheaper than a loop over groups inside them.

A loop over groups must cut out and put back every array of a lane's state, which costs a third of the compile time of an
MLP's training program. On a CPU a call costs a fraction of a millisecond, so one group is compiled and the host loops.
Elsewhere, and where lanes are split over devices, the program takes the whole pack.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lanes.plan.packs import Pack
from lanes.program.places import Place

Tree = Any


def lanes_per_call(place: Place, pack: Pack) -> int:
    """The number of lanes that one call computes: a group's or the whole pack's."""
    by_group = place.mapping == "local" and place.devices[0].platform == "cpu"
    return pack.width if by_group else pack.size


def first_lanes(place: Place, tree: Tree, count: int) -> Tree:
    """The shapes of the first `count` lanes of a tree [P, …] at a place: enough to compile for."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape[1:]), leaf.dtype), tree)
    return place.like(shapes, split=True)


def call(program: Callable, count: int, lanes: tuple[Tree, ...], shared: tuple[Tree, ...]) -> Tree:
    """The program's outputs [P, …], computed `count` lanes at a time; on the host if that takes more than one call.

    Args:
        program: compiled for `count` lanes at the place.
        count: a divisor of P.
        lanes: arguments [P, …].
        shared: arguments that all lanes share, at the place.
    """
    size = jax.tree.leaves(lanes)[0].shape[0]
    if count == size:
        return program(*lanes, *shared)
    lanes = jax.device_get(lanes)  # on a CPU without a copy
    parts = []
    for at in range(0, size, count):
        part = jax.tree.map(lambda leaf, at=at: leaf[at : at + count], lanes)
        parts.append(
            jax.device_get(program(*part, *shared))
        )  # the call puts NumPy's arrays there, faster than `device_put`
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
