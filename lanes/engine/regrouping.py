"""Regrouping: lanes that are still running move together, so that they fill as few groups as they can.

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
from lanes.program.shared_activation import INDEX

LEAST_FREED = 8  # groups are freed where that is one in so many of those computed: a copy of the state is not free


class Seats(NamedTuple):
    """Which lane of a pack stands at each position [P] of the program, and the program's inputs in that order."""

    order: np.ndarray
    numbers: Any
    slots: Any

    @property
    def positions(self) -> np.ndarray:
        """Where each lane stands."""
        return np.argsort(self.order)


def seats(place: Place, order: np.ndarray, numbers: dict[str, np.ndarray], slots: np.ndarray) -> Seats:
    """Lanes in an order, `numbers` and `slots` being those of the pack as it was planned."""
    taken = {name: value[order] for name, value in numbers.items()}
    return Seats(order, place.split(taken), place.split(slots[order]))


def moved(place: Place, lanes: Lane, order: np.ndarray) -> Lane:
    """The lanes that now stand at `order`, in that order; through the host, so that nothing is compiled for it."""
    return place.split(jax.tree.map(lambda leaf: leaf[order], jax.device_get(lanes)))


def computed_groups(running: np.ndarray, width: int, shards: int) -> int:
    """Groups that are computed, of the part of the pack that has the most of them."""
    return int(np.max(running.reshape(shards, -1, width).any(axis=2).sum(axis=1)))


def better_order(keys: np.ndarray, running: np.ndarray, width: int, shards: int) -> np.ndarray | None:
    """An order [P] of lanes in which enough groups fewer are computed, or None.

    Args:
        keys: [P], which must be equal within a group; of each key there are whole groups.
        running: [P].
        width: lanes of a group.
        shards: parts of the pack, of which each computes its groups at the same time.
    """
    groups = np.lexsort((~running, keys)).reshape(-1, width)
    groups = groups[np.argsort(~running[groups].any(axis=1), kind="stable")]
    order = np.concatenate([groups[shard::shards].ravel() for shard in range(shards)])
    before, after = (computed_groups(mask, width, shards) for mask in (running, running[order]))
    return order if (before - after) * LEAST_FREED >= max(before, 1) else None


def regrouped(
    place: Place, pack: Pack, lanes: Lane, now: Seats, numbers: dict[str, np.ndarray], slots: np.ndarray
) -> tuple[Lane, Seats]:
    """The lanes and their seats with running lanes together, where that frees enough groups; otherwise as they are."""
    running = np.asarray(lanes.status) == Status.RUNNING
    keys = numbers.get(INDEX, np.zeros(pack.size))[now.order]
    order = better_order(keys, running, pack.width, place.shards)
    if order is None:
        return lanes, now
    return moved(place, lanes, order), seats(place, now.order[order], numbers, slots)
