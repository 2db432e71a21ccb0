"""Choosing the width, the number of lanes computed at once: bound by the directory, set by the user, measured, or default.

A lane's numbers depend on its width, so the same command should choose the same width again: whether to measure is decided
without a clock, and another width than the default must be clearly better.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from lanes.data.loading import Dataset
from lanes.plan import packs, width_timing
from lanes.plan.planned import Planned
from lanes.program import memory
from lanes.program.places import Place
from lanes.program.shared_activation import group_key
from nets import Recurrent

MANY_PARAMETERS = 2**14  # of a net: the parameters, gradients and two moments of four such lanes take 1 MiB
BETTER = 0.85  # of the default's time: the most that another width may take to be preferred
# Time of a lane's step on a CPU by width, relative to the usual width, for nets of up to so many parameters
# (docs/performance.md).
RELATIVE = (
    (MANY_PARAMETERS, {1: 1.5, 2: 1.15, 3: 1.05, 4: 1.0, 5: 1.0}),
    (2**16, {1: 1.1, 2: 1.0, 3: 1.0, 4: 1.0, 5: 1.0}),
    (math.inf, {1: 1.05, 2: 1.0, 3: 1.06, 4: 1.13, 5: 1.2}),
)
FEWER = 0.95  # of the usual width's time by these: the most that another width may take to be preferred
CPU_WIDTHS = (1, 4, 16)
GPU_WIDTHS = (16, 64, 256, 1024, 4096)
GPU_LANES = 16384  # most lanes in a pack on any device but a CPU
STEP_FLOPS = 2e9  # of a step of all lanes: enough to keep a GPU busy; an estimate, not measured
FLOPS = {"cpu": 60e9, "gpu": 1e12}  # per second and device; pessimistic, to judge whether a measurement pays
STEP_SECONDS = {"cpu": 10e-6, "gpu": 1e-7}  # overhead of a lane's step, which computes next to nothing
WORTH_SECONDS = {"cpu": 240.0, "gpu": 20.0}  # estimated training time above which a measurement pays


@dataclasses.dataclass(frozen=True)
class Choice:
    """A width and how it was chosen: "bound" (by the directory), "given" (by the user), "measured" or "default"."""

    width: int
    how: str


def choose_widths(
    planned: Sequence[Planned],
    shapes: Mapping[str, list[tuple[int, ...]]],
    places: Sequence[Place],
    *,
    requested: int | None = None,
    bound: Mapping[str, int] | None = None,
    data_of: Callable[[Planned], Dataset] | None = None,
    warn: Callable[[str], None] = print,
) -> dict[str, Choice]:
    """The width of each signature: bound, else the user's, else measured if that can pay, else the default.

    Args:
        planned: all runs of the request, so that all its workers choose the same widths.
        shapes: shapes of the net's parameters, by signature.
        places: where packs are trained.
        requested: the user's width.
        bound: widths by signature, fixed by an earlier call.
        data_of: the data set to measure a run with; None measures nothing.
        warn: called with one line if the user's width does not fit into memory.
    """
    members: dict[str, list[Planned]] = {}
    for run in planned:
        members.setdefault(run.signature, []).append(run)
    choices = {}
    for signature, alike in members.items():
        most = lane_limit(shapes[signature], places)
        if bound and signature in bound:
            choices[signature] = Choice(bound[signature], "bound")
        elif requested is not None:
            choices[signature] = Choice(_fitting(requested, most, warn), "given")
        else:
            choices[signature] = _automatic(alike, shapes[signature], places, most, data_of, len(members) == 1)
    return choices


def _fitting(requested: int, most: int, warn: Callable[[str], None]) -> int:
    """The user's width, halved until its lanes fit into memory."""
    width = requested
    while width > most:
        width = -(-width // 2)
    if width != requested:
        warn(f"--width {requested} takes more memory than is free (about {most} lanes fit): {width} is used")
    return width


def lane_limit(shapes: Sequence[tuple[int, ...]], places: Sequence[Place]) -> int:
    """Lanes whose states fit into the memory of a place."""
    return memory.most_lanes(parameters(shapes), places[0].devices[0], len(places)) * places[0].shards


def most_lanes(
    shapes: Mapping[str, list[tuple[int, ...]]], places: Sequence[Place], usual: int | None = None
) -> dict[str, int]:
    """Most lanes in a pack, by signature: `usual` (by default, enough to keep a place busy), or fewer if memory is short."""
    if usual is None:
        usual = packs.MOST_LANES if places[0].devices[0].platform == "cpu" else GPU_LANES
    return {signature: min(usual, lane_limit(listed, places)) for signature, listed in shapes.items()}


def default_width(planned: Planned, shapes: Sequence[tuple[int, ...]], platform: str) -> int:
    """The width of a signature without a measurement, given enough runs."""
    if platform == "cpu":
        # An LSTM's step takes 1.6 times the processor time under a vmap of 8.
        return 1 if isinstance(planned.run.net, Recurrent) else cpu_width(shapes)
    busy = STEP_FLOPS / width_timing.step_flops(planned, shapes)
    return next((width for width in reversed(GPU_WIDTHS) if width <= busy), GPU_WIDTHS[0])


def cpu_width(shapes: Sequence[tuple[int, ...]]) -> int:
    """The default width on a CPU: 1 for nets with convolutions (7 times as fast as a vmap), otherwise 4 or 2.

    It is 2 for nets of many parameters, whose states do not fit the cache. Times relative to width 4 (two Intel cores,
    paired): with 9,000 parameters, 1.25 at width 1, 1.07 at 2 and 1.1 at 8; at width 2, 0.94 to 1.00 with 26,000
    parameters, 1.02 with 55,000, and 0.91 to 0.97 with 85,000 to 670,000, where width 1 takes 1.1 to 1.2.
    """
    if any(len(shape) > 2 for shape in shapes):
        return 1
    return 4 if parameters(shapes) <= MANY_PARAMETERS else 2


def parameters(shapes: Sequence[tuple[int, ...]]) -> int:
    """Number of a net's parameters, by their shapes."""
    return sum(math.prod(shape) for shape in shapes)


def _group_sizes(alike: Sequence[Planned]) -> list[int]:
    """Number of runs that may be computed together, for each of the shared activations."""
    return list(Counter(group_key(run.compiled) for run in alike).values())


def _automatic(
    alike: Sequence[Planned],
    shapes: Sequence[tuple[int, ...]],
    places: Sequence[Place],
    most: int,
    data_of: Callable[[Planned], Dataset] | None,
    is_only: bool,
) -> Choice:
    sizes = _group_sizes(alike)
    limit = min(max(sizes), most)  # empty lanes of a group are computed too, so the width is at most the number of runs
    platform = places[0].devices[0].platform
    usual = default_width(alike[0], shapes, platform)
    default = min(usual, limit)
    if platform == "cpu" and usual > 1:
        # Where there is one program only, no more lanes at once than usual: other devices need groups, too.
        default = _with_fewer_empty(usual, parameters(shapes), sizes, default if is_only else limit)
    candidates = sorted({default, *(min(width, limit) for width in _ladder(platform))})
    if data_of is None or len(candidates) == 1 or not _pays(alike, shapes, places):
        return Choice(default, "default")
    seconds = width_timing.remembered(alike[0], data_of(alike[0]), places, default, candidates)
    return best(seconds, sizes, default)


def _with_fewer_empty(usual: int, count: int, sizes: Sequence[int], most: int) -> int:
    """The width of the least total time if many lanes would be empty at the usual one, as with 5 runs in groups of 4.

    It does not depend on the number of devices, so that a sweep has the same numbers on any of them.

    Args:
        usual: the default width on a CPU, given enough runs.
        count: of the net's parameters.
        sizes: sizes of the sets of runs that may be computed together.
        most: the largest width.
    """
    relative = next(found for limit, found in RELATIVE if count <= limit)

    def total(width: int) -> float:
        return relative[width] * _lanes(width, sizes)

    fits = min(usual, most)
    fastest = min((width for width in relative if width <= most), key=total)
    return fastest if total(fastest) < FEWER * total(fits) else fits


def _lanes(width: int, sizes: Sequence[int]) -> int:
    """Lanes that are computed, empty ones included, by sizes of the sets of runs that may be computed together."""
    return sum(-(-size // width) * width for size in sizes)


def _ladder(platform: str) -> tuple[int, ...]:
    return CPU_WIDTHS if platform == "cpu" else GPU_WIDTHS


def _pays(alike: Sequence[Planned], shapes: Sequence[tuple[int, ...]], places: Sequence[Place]) -> bool:
    """Whether training takes so long that a better width is worth finding: estimated, without a clock."""
    kind = "cpu" if places[0].devices[0].platform == "cpu" else "gpu"
    if kind == "cpu" and steps(alike, places) < 10_000:
        return False
    return training_seconds(alike, shapes, places) > WORTH_SECONDS[kind]


def training_seconds(alike: Sequence[Planned], shapes: Sequence[tuple[int, ...]], places: Sequence[Place]) -> float:
    """An estimate, without a clock, of the time that training runs of one program takes.

    Args:
        alike: the runs.
        shapes: of their parameters.
        places: where they are trained.
    """
    return steps(alike, places) * step_seconds(alike[0], shapes, places)


def step_seconds(planned: Planned, shapes: Sequence[tuple[int, ...]], places: Sequence[Place]) -> float:
    """The same for one step of one of them."""
    kind = "cpu" if places[0].devices[0].platform == "cpu" else "gpu"
    return STEP_SECONDS[kind] + width_timing.step_flops(planned, shapes) / FLOPS[kind]


def dense_step_seconds(planned: Planned, count: int, places: Sequence[Place]) -> float:
    """The same if its net were a perceptron of `count` parameters."""
    kind = "cpu" if places[0].devices[0].platform == "cpu" else "gpu"
    return STEP_SECONDS[kind] + 6.0 * count * planned.run.batch_size / FLOPS[kind]


def steps(alike: Sequence[Planned], places: Sequence[Place]) -> float:
    """Steps of each place."""
    return sum(run.setup.horizon(run.run) for run in alike) / (len(places) * places[0].shards)


def best(seconds: Mapping[int, float], sizes: Sequence[int], default: int) -> Choice:
    """The width of the least total time, padding included; the default unless another is clearly better.

    Args:
        seconds: time of one step of one lane, by width.
        sizes: sizes of the sets of runs that may be computed together.
        default: the default width, which is kept if no width has a finite time.
    """

    def total(width: int) -> float:
        return seconds[width] * _lanes(width, sizes)

    if not math.isfinite(seconds.get(default, math.inf)):
        known = [width for width in seconds if math.isfinite(seconds[width])]
        return Choice(min(known, key=total), "measured") if known else Choice(default, "default")
    fastest = min(seconds, key=total)
    return Choice(fastest if total(fastest) < BETTER * total(default) else default, "measured")
