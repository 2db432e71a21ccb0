"""Regrouping: lanes that are still running move together, so that they fill as few groups as possible.

A group without a running lane is not computed (`lanes.program.epoch`), so ended lanes cost nothing once they are grouped
together. It happens within a pack, at chunk boundaries. The program stays the same, and so does every number: a lane's
numbers depend neither on its position nor on its neighbours.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from lanes.plan.packs import Pack
from lanes.program.lane import Lane, Status
from lanes.program.places import Place
from lanes.program.shared_activation import INDEX, is_of_group

LEAST_FREED = 8  # regroup only if it frees at least one in 8 of the computed groups: copying the state is not free


class Seats(NamedTuple):
    """The lane of a pack at each position [P] of the program, and the program's inputs in that order."""

    order: np.ndarray
    numbers: Any
    slots: Any

    @property
    def positions(self) -> np.ndarray:
        """The position of each lane [P]."""
        return np.argsort(self.order)


def seats(place: Place, order: np.ndarray, numbers: dict[str, np.ndarray], slots: np.ndarray) -> Seats:
    """The seats of lanes in an order; `numbers` and `slots` are in the planned order."""
    reordered = {name: value[order] for name, value in numbers.items()}
    return Seats(order, place.split(reordered), place.split(slots[order]))


def moved(place: Place, lanes: Lane, order: np.ndarray) -> Lane:
    """The lanes now at positions `order`, in that order; copied through the host, so that nothing is compiled."""
    return place.split(jax.tree.map(lambda leaf: leaf[order], jax.device_get(lanes)))


def computed_groups(running: np.ndarray, width: int, shards: int) -> int:
    """Number of groups computed, in the shard that computes the most."""
    return int(np.max(running.reshape(shards, -1, width).any(axis=2).sum(axis=1)))


def better_order(keys: np.ndarray, running: np.ndarray, width: int, shards: int) -> np.ndarray | None:
    """An order [P] of lanes that saves enough groups, or None.

    Args:
        keys: [P], equal within a group; the lanes of each key fill whole groups.
        running: [P], whether each lane is running.
        width: lanes in a group.
        shards: parts of the pack, which compute their groups at the same time.
    """
    groups = np.lexsort((~running, keys)).reshape(-1, width)
    groups = groups[np.argsort(~running[groups].any(axis=1), kind="stable")]
    order = np.concatenate([groups[shard::shards].ravel() for shard in range(shards)])
    before, after = (computed_groups(mask, width, shards) for mask in (running, running[order]))
    return order if (before - after) * LEAST_FREED >= max(before, 1) else None


def regrouped(
    place: Place, pack: Pack, lanes: Lane, now: Seats, numbers: dict[str, np.ndarray], slots: np.ndarray
) -> tuple[Lane, Seats]:
    """The lanes and their seats, with running lanes together if that frees enough groups; otherwise unchanged."""
    running = np.asarray(lanes.status) == Status.RUNNING
    keys = (numbers[INDEX] if is_of_group(pack.setup.run) else np.zeros(pack.size))[now.order]
    order = better_order(keys, running, pack.width, place.shards)
    if order is None:
        return lanes, now
    return moved(place, lanes, order), seats(place, now.order[order], numbers, slots)
