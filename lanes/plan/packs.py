"""Packs: lanes that run through a program together, and the traced numbers of their runs, which are its inputs."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lanes.describe import runs
from lanes.plan.planned import Planned
from lanes.program import lane
from lanes.program.initialization import DRAWING
from lanes.program.shared_activation import group_key
from lanes.program.skipping import COSTLY
from lanes.program.step import Setup

MOST_LANES = 128  # in a pack, unless the width is larger


class Portions(NamedTuple):
    """How runs are divided into packs.

    Attributes:
        workers: number of places that share the packs of each program.
        most: most lanes in a pack by signature, unless the width is larger.
        least: number of packs below which those that nobody has begun are divided further.
    """

    workers: int = 1
    most: Mapping[str, int] = {}
    least: int = 0


@dataclasses.dataclass(frozen=True)
class Pack:
    """Lanes that run through a program together.

    Attributes:
        lanes: the runs, None for an empty lane; their number is a multiple of the width and of the places' shards.
        width: lanes computed at once.
        seeds: rows of the program's table of orders, at least one per distinct seed of the members.
        planned_width: the width it was planned with, if memory allowed only a smaller one; part of its identity.
    """

    lanes: tuple[Planned | None, ...]
    width: int
    seeds: int
    planned_width: int | None = None

    @functools.cached_property
    def members(self) -> tuple[Planned, ...]:
        """The runs, without the empty lanes."""
        return tuple(lane for lane in self.lanes if lane is not None)

    @functools.cached_property
    def places(self) -> np.ndarray:
        """The lane of each member."""
        return np.array([at for at, lane in enumerate(self.lanes) if lane is not None], np.int32)

    @functools.cached_property
    def epochs(self) -> int:
        """Epochs of the longest run."""
        return max(int(lane.length(self.setup, member.run)) for member in self.members)

    @property
    def size(self) -> int:
        """Number of lanes, empty ones included."""
        return len(self.lanes)

    @property
    def pack_id(self) -> str:
        """12 hexadecimal digits: a hash of the members' identities and the width."""
        text = " ".join(lane.run_id if lane else "-" for lane in self.lanes) + f" {self.planned_width or self.width}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def narrowed(self, width: int | None = None) -> "Pack":
        """The same pack at width `width` or less: the largest divisor of its own; by default at most half of it."""
        limit = self.width // 2 if width is None else width
        fits = max(w for w in range(1, max(1, min(limit, self.width)) + 1) if self.width % w == 0)
        return dataclasses.replace(self, width=fits, planned_width=self.planned_width or self.width)

    def told(self) -> dict[str, Any]:
        """What another process of the same plan makes the pack from: names and numbers only."""
        return {
            "lanes": [lane and lane.run_id for lane in self.lanes],
            "programs": {member.run_id: member.sharing.text for member in self.members},
            "width": self.width,
            "seeds": self.seeds,
            "planned_width": self.planned_width,
        }

    @property
    def setup(self) -> Setup:
        """What is static about the lanes: equal for all of them."""
        return self.members[0].setup

    @property
    def signature(self) -> str:
        """What the training program is compiled for."""
        return self.members[0].signature


def make_packs(
    planned: Sequence[Planned],
    widths: Mapping[str, int],
    workers: int,
    shards: int,
    most: Mapping[str, int] | None = None,
    dealt: bool = False,
) -> list[Pack]:
    """Packs of equal size for each signature, in the order of the signatures' first appearance.

    Args:
        planned: runs to train.
        widths: width by signature.
        workers: number of places that take packs; with enough lanes, the number of packs is a multiple of it, and with
            fewer groups than that each group is a pack.
        shards: parts that each pack is split into.
        most: most lanes in a pack by signature, unless the width is larger; MOST_LANES for signatures it lacks.
        dealt: deal groups to the packs in turn, so that the survivors of a halving are spread over all workers; otherwise
            consecutive groups share a pack.
    """
    by_signature: dict[str, list[Planned]] = {}
    for run in planned:
        by_signature.setdefault(run.signature, []).append(run)
    packs: list[Pack] = []
    for signature, members in by_signature.items():
        width = widths[signature]
        groups = _groups(members, width)
        unit = width * shards
        units = -(-len(groups) // shards)
        count = -(-units // max(1, (most or {}).get(signature, MOST_LANES) // unit))
        count = -(-count // workers) * workers if units >= workers else units
        per_pack = -(-units // count) * shards
        starts = range(0, len(groups), per_pack)
        parts = [groups[i :: len(starts)] if dealt else groups[at : at + per_pack] for i, at in enumerate(starts)]
        lanes = [tuple(itertools.chain(*part, (None,) * width * (per_pack - len(part)))) for part in parts]
        seeds = max(len({member.run.seed for member in part if member is not None}) for part in lanes)
        packs += [Pack(part, width, power_of_two(seeds)) for part in lanes]
    return packs


def _groups(members: Sequence[Planned], width: int) -> list[tuple[Planned | None, ...]]:
    """Groups of lanes that are computed at once: of one activation, if it is an index, and of similar length.

    Lanes that have the same costly fields on sit together as far as whole groups allow: a group skips those that are off in
    all its lanes.
    """
    members = sorted(members, key=lambda member: (group_key(member.compiled), -member.run.epochs, _costly(member)))
    groups: list[tuple[Planned | None, ...]] = []
    for _, alike in itertools.groupby(members, key=lambda member: group_key(member.compiled)):
        listed = list(alike)
        parts = [listed[at : at + width] for at in range(0, len(listed), width)]
        groups += [(*part, *(None,) * (width - len(part))) for part in parts]
    # A pack lasts as long as its longest lane, so runs of similar length go together.
    return sorted(groups, key=lambda group: -group[0].run.epochs if group[0] else 0)


def _costly(member: Planned) -> tuple[bool, ...]:
    """Which of the costly fields that may be neutral in its program a run has on."""
    return tuple(not runs.is_off(member.run, name) for name in COSTLY if name in member.sharing.neutral)


def longest_first(
    packs: Sequence[Pack], step_seconds: Callable[[Pack], float], data: Callable[[Pack], Hashable]
) -> list[Pack]:
    """Packs in the order in which they are trained: long ones first, so that no place is left with one at the end.

    The packs of a data set stay together, and so do those of a program.

    Args:
        packs: in the order in which they were asked for, which decides between equals.
        step_seconds: an estimate of how long a step of one lane takes; equal for all packs of a program, as `data` is.
        data: what is equal for packs of the same data set.
    """
    alike: dict[str, list[Pack]] = {}
    for pack in packs:
        alike.setdefault(pack.signature, []).append(pack)
    if len(alike) == 1:
        return list(packs)
    sets: dict[Hashable, int] = {}
    rank: dict[str, tuple[int, float, int]] = {}
    for signature, same in alike.items():
        steps = max(pack.size * pack.epochs * pack.setup.steps_per_epoch for pack in same)
        rank[signature] = sets.setdefault(data(same[0]), len(sets)), -steps * step_seconds(same[0]), len(rank)
    return sorted(packs, key=lambda pack: rank[pack.signature])


def power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return 1 << (count - 1).bit_length()


def describe_plan(packs: Sequence[Pack]) -> dict[str, Any]:
    """The numbers of runs, packs and training programs of a plan."""
    programs = {(pack.signature, pack.width, pack.size, pack.seeds) for pack in packs}
    return {"runs": sum(len(pack.members) for pack in packs), "packs": len(packs), "programs": len(programs)}


def numbers_of(pack: Pack) -> dict[str, np.ndarray]:
    """The traced numbers of a pack's lanes [P] by path; those of empty lanes are meaningless."""
    lanes = []
    for at in range(0, pack.size, pack.width):
        group = pack.lanes[at : at + pack.width]
        filler = next((lane for lane in group if lane is not None), pack.members[0])  # some numbers are one per group
        lanes += [runs.numbers((lane or filler).compiled) for lane in group]
    kept = [{name: number for name, number in own.items() if not name.startswith(DRAWING)} for own in lanes]
    return stacked(kept, pack.size)


def stacked(lanes: list[dict[str, Any]], size: int) -> dict[str, np.ndarray]:
    """Numbers by name [size]; lanes beyond those listed repeat the first."""
    lanes = lanes + [lanes[0]] * (size - len(lanes))
    kinds = {int: np.int32, float: np.float32}
    return {
        name: np.array([own[name] for own in lanes], np.uint32 if name == "seed" else kinds[_kind(name)])
        for name in lanes[0]
    }


def _kind(name: str) -> type:
    return int if name in ("epochs", "seed", "patience") else float
