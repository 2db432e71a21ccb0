"""Regrouping: lanes that are still running move together, so that they fill as few groups as possible.

A group of a pack none of whose lanes is running is not computed (`lanes.program.epoch`), so lanes that have ended cost nothing
once they stand apart: the program stays the same, and with it every number (a lane's numbers do not depend on where it
stands, nor beside whom). Within a pack this happens at chunk boundaries; over all packs of a program at the rungs of a
halving.
"""

import itertools
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lanes.plan.packs import Pack, power_of_two
from lanes.plan.planned import Planned
from lanes.program.lane import Lane, Status
from lanes.program.places import Place
from lanes.program.shared_activation import INDEX, group_key

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
    keys = numbers.get(INDEX, np.zeros(pack.size))[now.order]
    order = better_order(keys, running, pack.width, place.shards)
    if order is None:
        return lanes, now
    return moved(place, lanes, order), seats(place, now.order[order], numbers, slots)


def repacked(
    packs: Sequence[Pack], planned: Sequence[Planned], running: Collection[str], workers: int, shards: int
) -> list[Pack]:
    """The same runs in packs of the same shape, those that are running in as few groups as they need.

    Running groups come first, dealt evenly to as many packs as hold them: a multiple of `workers`, or where there are fewer
    groups one to a pack. Whatever has ended fills the rest. The result follows from which runs there are, not from where
    they were.

    Args:
        packs: of any programs; runs stay with theirs.
        planned: all runs, in their order.
        running: identities of the runs that go on.
        workers: places that take packs.
        shards: parts that each pack is split into.
    """
    alike: dict[Any, list[Pack]] = {}
    for pack in packs:
        alike.setdefault((pack.signature, pack.width, pack.size), []).append(pack)
    out: list[Pack] = []
    for same in alike.values():
        inside = {member.run_id for pack in same for member in pack.members}
        out += _repacked(same, [one for one in planned if one.run_id in inside], set(running), workers, shards)
    return out


def _repacked(packs: list[Pack], members: list[Planned], running: set[str], workers: int, shards: int) -> list[Pack]:
    width, room = packs[0].width, packs[0].size // packs[0].width
    members.sort(key=lambda m: (group_key(m.compiled), m.run_id not in running, -m.run.epochs))
    groups = []
    for _, same in itertools.groupby(members, key=lambda m: group_key(m.compiled)):
        listed = list(same)
        groups += [listed[at : at + width] for at in range(0, len(listed), width)]
    live = [group for group in groups if group[0].run_id in running]
    live.sort(key=lambda group: -group[0].run.epochs)
    rest = [group for group in groups if group[0].run_id not in running]
    needed = -(-len(live) // room)
    count = min(-(-needed // workers) * workers if len(live) >= workers else len(live), len(packs))
    share = -(-len(live) // max(count, 1))
    parts = [live[at : at + share] for at in range(0, len(live), max(share, 1))]
    for part in parts:
        part += [rest.pop(0) for _ in range(min(room - len(part), len(rest)))]
    parts += [rest[at : at + room] for at in range(0, len(rest), room)]
    filled = [_in_shards(part, width, room, shards) for part in parts]
    most = max(len({m.run.seed for m in lanes if m is not None}) for lanes in filled)
    seeds = max(power_of_two(most), *(pack.seeds for pack in packs))
    return [Pack(lanes, width, seeds) for lanes in filled]


def _in_shards(groups: list[list[Any]], width: int, room: int, shards: int) -> tuple[Any, ...]:
    """The lanes of a pack: full groups, dealt to the shards in turn."""
    padded = [[*group, *[None] * (width - len(group))] for group in groups]
    padded += [[None] * width for _ in range(room - len(padded))]
    return tuple(itertools.chain(*(group for shard in range(shards) for group in padded[shard::shards])))
