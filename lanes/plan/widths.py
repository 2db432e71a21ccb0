"""How many lanes are computed at once: bound by the directory, given, measured where that can pay, or by a default rule.

A lane's numbers depend on its width, so the same command should choose the same width again: whether to measure is decided
without a clock, and a width other than the default must be clearly better.
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

MANY_PARAMETERS = 2**14  # of a net; four lanes' parameters, gradients and two moments are then a MiB
BETTER = 0.85  # of the default's time: what another width may take at most to be chosen
CPU_WIDTHS = (1, 4, 16)
GPU_WIDTHS = (16, 64, 256, 1024, 4096)
GPU_LANES = 16384  # most in a pack on a device that is not a CPU
STEP_FLOPS = 2e9  # of all lanes in a step, from which on a GPU is taken to be busy: an estimate, not measured
FLOPS = {"cpu": 60e9, "gpu": 1e12}  # per second and device: pessimistic, for judging whether a measurement pays
STEP_SECONDS = {"cpu": 10e-6, "gpu": 1e-7}  # of a lane's step that computes next to nothing
WORTH_SECONDS = {"cpu": 240.0, "gpu": 20.0}  # estimated training from which on a measurement pays


@dataclasses.dataclass(frozen=True)
class Choice:
    """A width and how it came about: "bound" (by the directory), "given", "measured" or "default"."""

    width: int
    how: str


def choose_widths(
    planned: Sequence[Planned],
    shapes: Mapping[str, list[tuple[int, ...]]],
    places: Sequence[Place],
    *,
    given: int | None = None,
    bound: Mapping[str, int] | None = None,
    data_of: Callable[[Planned], Dataset] | None = None,
    warn: Callable[[str], None] = print,
) -> dict[str, Choice]:
    """The width of each signature: what binds, else what was given, else measured where that can pay, else the default.

    Args:
        planned: all runs of the request, so that every worker on it chooses equally.
        shapes: of the net's parameters, by signature.
        places: where packs are trained.
        given: the user's width.
        bound: widths by signature that an earlier call has fixed.
        data_of: where a measurement finds its data; None measures nothing.
        warn: called with one line for a given width that does not fit into memory.
    """
    members: dict[str, list[Planned]] = {}
    for one in planned:
        members.setdefault(one.signature, []).append(one)
    choices = {}
    for signature, same in members.items():
        most = lane_limit(shapes[signature], places)
        if bound and signature in bound:
            choices[signature] = Choice(bound[signature], "bound")
        elif given is not None:
            choices[signature] = Choice(_fitting(given, most, warn), "given")
        else:
            choices[signature] = _automatic(same, shapes[signature], places, most, data_of)
    return choices


def _fitting(given: int, most: int, warn: Callable[[str], None]) -> int:
    """The given width, halved until its lanes fit into memory."""
    width = given
    while width > most:
        width = -(-width // 2)
    if width != given:
        warn(f"--width {given} takes more memory than there is (about {most} lanes fit): {width} is used")
    return width


def lane_limit(shapes: Sequence[tuple[int, ...]], places: Sequence[Place]) -> int:
    """Lanes whose states fit into the memory of a place."""
    parameters = sum(math.prod(shape) for shape in shapes)
    return memory.most_lanes(parameters, places[0].devices[0], len(places)) * places[0].shards


def most_lanes(
    shapes: Mapping[str, list[tuple[int, ...]]], places: Sequence[Place], usual: int | None = None
) -> dict[str, int]:
    """Lanes of a pack at most, by signature: `usual`, or by default what keeps a place busy for long enough, and no more than
    fit into memory."""
    if usual is None:
        usual = packs.MOST_LANES if places[0].devices[0].platform == "cpu" else GPU_LANES
    return {signature: min(usual, lane_limit(listed, places)) for signature, listed in shapes.items()}


def default_width(one: Planned, shapes: Sequence[tuple[int, ...]], platform: str) -> int:
    """Lanes at once where nothing was measured, for a signature with runs enough."""
    if platform == "cpu":
        # An LSTM's step takes 1.6 times the processor time under a vmap of 8.
        return 1 if isinstance(one.run.net, Recurrent) else cpu_width(shapes)
    wanted = STEP_FLOPS / width_timing.step_flops(one, shapes)
    return next((width for width in reversed(GPU_WIDTHS) if width <= wanted), GPU_WIDTHS[0])


def cpu_width(shapes: Sequence[tuple[int, ...]]) -> int:
    """Lanes at once on a CPU: one by one for nets with convolutions (7 times as fast as a vmap), otherwise four or two.

    Two for a net of many parameters, whose states leave the cache (two Intel cores, paired): of 9,000 parameters two take
    1.07 and one 1.25 times as long as four, eight 1.1; of 26,000 two take 0.94 to 1.00 of the time, of 55,000 1.02, of
    85,000 to 670,000 0.91 to 0.97, and one 1.1 to 1.2.
    """
    if any(len(shape) > 2 for shape in shapes):
        return 1
    return 4 if sum(math.prod(shape) for shape in shapes) <= MANY_PARAMETERS else 2


def _group_sizes(same: Sequence[Planned]) -> list[int]:
    """How many runs may be computed together, for each of the shared activations."""
    return list(Counter(group_key(one.compiled) for one in same).values())


def _automatic(
    same: Sequence[Planned],
    shapes: Sequence[tuple[int, ...]],
    places: Sequence[Place],
    most: int,
    data_of: Callable[[Planned], Dataset] | None,
) -> Choice:
    sizes = _group_sizes(same)
    limit = min(max(sizes), most)  # empty lanes of a group are computed too: no wider than there are runs
    platform = places[0].devices[0].platform
    default = min(default_width(same[0], shapes, platform), limit)
    candidates = sorted({default, *(min(width, limit) for width in _ladder(platform))})
    if data_of is None or len(candidates) == 1 or not _pays(same, shapes, places):
        return Choice(default, "default")
    seconds = width_timing.remembered(same[0], data_of(same[0]), places, default, candidates)
    return best(seconds, sizes, default)


def _ladder(platform: str) -> tuple[int, ...]:
    return CPU_WIDTHS if platform == "cpu" else GPU_WIDTHS


def _pays(same: Sequence[Planned], shapes: Sequence[tuple[int, ...]], places: Sequence[Place]) -> bool:
    """Whether training takes so long that a better width is worth finding: decided without looking at a clock."""
    kind = "cpu" if places[0].devices[0].platform == "cpu" else "gpu"
    steps = sum(one.setup.horizon(one.run) for one in same) / (len(places) * places[0].shards)
    if kind == "cpu" and steps < 10_000:
        return False
    return steps * (STEP_SECONDS[kind] + width_timing.step_flops(same[0], shapes) / FLOPS[kind]) > WORTH_SECONDS[kind]


def best(seconds: Mapping[int, float], sizes: Sequence[int], default: int) -> Choice:
    """The width of the least total time, groups padded; the default unless another is clearly better.

    Args:
        seconds: of one step of one lane, by width.
        sizes: of the sets of runs that may be computed together.
        default: what is chosen where nothing is known of it.
    """

    def total(width: int) -> float:
        return seconds[width] * sum(-(-size // width) * width for size in sizes)

    if not math.isfinite(seconds.get(default, math.inf)):
        known = [width for width in seconds if math.isfinite(seconds[width])]
        return Choice(min(known, key=total), "measured") if known else Choice(default, "default")
    fastest = min(seconds, key=total)
    return Choice(fastest if total(fastest) < BETTER * total(default) else default, "measured")
