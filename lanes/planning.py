"""From a list of runs to packs: runs of one static signature share a program and are cut into packs of equal size."""

import dataclasses
import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lanes.data.loading import Dataset, load_dataset, named
from lanes.data.tfds import TFDS
from lanes.describe import identity, runs
from lanes.describe.encoding import encode
from lanes.describe.runs import Run
from lanes.program.initialization import INITIAL
from lanes.program.shared_activation import by_name, group_key, shared
from lanes.program.step import Setup
from nets.activations import ACTIVATIONS

MOST_LANES = 128  # in a pack, where the width asks for no more
MANY_PARAMETERS = 2**14  # of a net; four lanes' parameters, gradients and two moments are then a MiB


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run that is to be trained.

    Attributes:
        run: resolved.
        run_id: its identity.
        compiled: the run as the training program sees it: the activation may be an index there.
        signature: what the training program is compiled for.
    """

    run: Run
    run_id: str
    compiled: Run
    signature: str
    outputs: int
    features: tuple[int, ...]
    examples: int

    @property
    def setup(self) -> Setup:
        """What is static about the run."""
        return Setup(self.compiled, self.outputs, self.features, self.examples)


@dataclasses.dataclass(frozen=True)
class Pack:
    """Lanes that go through a program together.

    Attributes:
        lanes: the runs, None for an empty lane; a multiple of the width and of the places' shards.
        width: lanes computed at once.
        seeds: rows of the program's table of orders, at least the distinct seeds of the members.
        planned_width: the width that it was planned with, where memory allowed only a smaller one; part of its identity.
    """

    lanes: tuple[Planned | None, ...]
    width: int
    seeds: int
    planned_width: int | None = None

    @functools.cached_property
    def members(self) -> tuple[Planned, ...]:
        """The runs."""
        return tuple(lane for lane in self.lanes if lane is not None)

    @functools.cached_property
    def places(self) -> np.ndarray:
        """The lane of each member."""
        return np.array([at for at, lane in enumerate(self.lanes) if lane is not None], np.int32)

    @property
    def size(self) -> int:
        """Lanes of the program."""
        return len(self.lanes)

    @property
    def pack_id(self) -> str:
        """12 hexadecimal digits: a hash of the members' identities and the width."""
        text = " ".join(lane.run_id if lane else "-" for lane in self.lanes) + f" {self.planned_width or self.width}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def narrowed(self, width: int | None = None) -> "Pack":
        """The same pack, computed at most `width` lanes at once; by default half as many, or a little less."""
        wanted = self.width // 2 if width is None else width
        fits = max(w for w in range(1, max(1, min(wanted, self.width)) + 1) if self.width % w == 0)
        return dataclasses.replace(self, width=fits, planned_width=self.planned_width or self.width)

    @property
    def setup(self) -> Setup:
        """What is static about the lanes."""
        return self.members[0].setup

    @property
    def signature(self) -> str:
        """What the training program is compiled for."""
        return self.members[0].signature


class Datasets:
    """Data sets loaded once each, by what a run says of them."""

    def __init__(self, data_dir: str | None = None):
        self.data_dir = data_dir
        self._loaded: dict[str, Dataset] = {}

    def of(self, run: Run) -> Dataset:
        """The run's data set. Raises ValueError as `load_dataset` does."""
        key = self.key(run)
        if key not in self._loaded:
            if isinstance(run.data, TFDS):
                named(run.data.name, self.data_dir)  # a name that is unknown or not prepared is an error that helps
            self._loaded[key] = load_dataset(
                run.data, valid_fraction=run.valid_fraction, train_examples=run.train_examples, data_dir=self.data_dir
            )
        return self._loaded[key]

    @staticmethod
    def key(run: Run) -> str:
        """Equal for runs that see the same arrays."""
        return str([encode(getattr(run, name)) for name in ("data", "valid_fraction", "train_examples")])


def plan_runs(resolved: Iterable[Run], datasets: Datasets, share: Callable[[Run], bool]) -> list[Planned]:
    """Each run with its identity and signature; equal runs once.

    Args:
        resolved: the runs.
        datasets: where their data come from.
        share: whether a run's program takes the activation as an index.
    """
    out: dict[str, Planned] = {}
    for run in resolved:
        data = datasets.of(run)
        run_id = identity.run_id(run)
        if run_id not in out:
            compiled = shared(run) if share(run) else run
            signature = identity.signature(by_name(compiled), ignore=("initializer", "init_from"))
            features = tuple(data.train.x.shape[1:])
            out[run_id] = Planned(
                run, run_id, compiled, signature, run.task.outputs(data.outputs, features), features, len(data.train)
            )
    return list(out.values())


def default_width(kernel_shapes: Collection[tuple[int, ...]], platform: str) -> int:
    """Lanes at once where nothing was measured: a vmap; on a CPU one by one for nets with convolutions (7 times as fast).

    On a CPU four, or two of a net with many parameters, whose states leave the cache (two Intel cores, paired): of 9,000
    parameters two take 1.07 and one 1.25 times as long as four, eight 1.1; of 26,000 two take 0.94 to 1.00 of the time, of
    55,000 1.02, of 85,000 to 670,000 0.91 to 0.97, and one 1.1 to 1.2.
    """
    if platform != "cpu":
        return 64
    if any(len(shape) > 2 for shape in kernel_shapes):
        return 1
    return 4 if sum(math.prod(shape) for shape in kernel_shapes) <= MANY_PARAMETERS else 2


def make_packs(
    planned: Sequence[Planned],
    widths: Mapping[str, int],
    workers: int,
    shards: int,
    most: Mapping[str, int] | None = None,
) -> list[Pack]:
    """Packs of equal size for each signature, in the order in which the signatures first appear.

    Args:
        planned: runs to train.
        widths: width by signature.
        workers: places that take packs; there are a multiple of so many packs where there are lanes enough.
        shards: parts that each pack is split into.
        most: lanes in a pack by signature, where the width asks for no more; MOST_LANES where nothing is said.
    """
    by_signature: dict[str, list[Planned]] = {}
    for one in planned:
        by_signature.setdefault(one.signature, []).append(one)
    packs: list[Pack] = []
    for signature, members in by_signature.items():
        width = widths[signature]
        groups = _groups(members, width)
        unit = width * shards
        units = -(-len(groups) // shards)
        count = -(-units // max(1, (most or {}).get(signature, MOST_LANES) // unit))
        if units >= workers:
            count = -(-count // workers) * workers
        each = -(-units // count) * shards
        parts = [groups[at : at + each] for at in range(0, len(groups), each)]
        lanes = [tuple(itertools.chain(*part, (None,) * width * (each - len(part)))) for part in parts]
        seeds = max(len({one.run.seed for one in part if one is not None}) for part in lanes)
        packs += [Pack(part, width, power_of_two(seeds)) for part in lanes]
    return packs


def _groups(members: Sequence[Planned], width: int) -> list[tuple[Planned | None, ...]]:
    """Groups of lanes that are computed at once: of one activation, where it is an index, and of like length."""
    members = sorted(members, key=lambda one: (group_key(one.compiled), -one.run.epochs))
    groups: list[tuple[Planned | None, ...]] = []
    for _, same in itertools.groupby(members, key=lambda one: group_key(one.compiled)):
        listed = list(same)
        parts = [listed[at : at + width] for at in range(0, len(listed), width)]
        groups += [(*part, *(None,) * (width - len(part))) for part in parts]
    # A pack lasts as long as its longest lane: runs of like length end together.
    return sorted(groups, key=lambda group: -group[0].run.epochs if group[0] else 0)


def power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return 1 << (count - 1).bit_length()


def initializing(run: Run) -> Run:
    """The run as its initializing program sees it: without its activation, where that has no part in it."""
    act = run.activation
    plays = hasattr(act, "module") or hasattr(act, "pieces") or hasattr(run.initializer, "transform")
    return run if plays else dataclasses.replace(run, activation=ACTIVATIONS["identity"])


def initializer_key(run: Run) -> str:
    """Runs with equal keys draw their initial variables by one program."""
    run = initializing(run)
    initial = (*INITIAL, "data", "train_examples", "valid_fraction")
    return identity.signature(run, ignore=tuple(name for name in runs.FIELDS if name not in initial))


def describe_plan(packs: Sequence[Pack]) -> dict[str, Any]:
    """What a plan amounts to: runs, packs and training programs."""
    programs = {(pack.signature, pack.width, pack.size, pack.seeds) for pack in packs}
    return {"runs": sum(len(pack.members) for pack in packs), "packs": len(packs), "programs": len(programs)}
