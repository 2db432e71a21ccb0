"""The programs that a sweep needs first: what draws a pack's initial variables, and what trains it.

Python traces one program at a time, and XLA compiles what is traced beside it. So the calling thread waits while these are
traced, one after the other, and goes on while they are compiled: a sweep that is new checks its programs and writes down
its plan meanwhile.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence

from lanes.data.dataset import Dataset
from lanes.describe.halving import Halving
from lanes.engine.context import ProgramContext
from lanes.engine.options import Options
from lanes.engine.pack_programs import PackPrograms, Traced
from lanes.engine.portions import portions
from lanes.engine.requests import Plan
from lanes.engine.resident_epochs import training_key
from lanes.plan import widths
from lanes.plan.packs import Pack, longest_first, make_packs
from lanes.plan.planned import Planned
from lanes.program.call_frames import with_room
from lanes.program.compiled import Compiled
from lanes.program.places import cores
from lanes.storage.directory import Directory

DRAWN_FIRST = 2  # cores up to which what draws is traced before what trains


def begin(plan: Plan, options: Options, compiled: Compiled, packs: Sequence[Pack], is_fresh: bool) -> None:
    """Begin to compile the programs that the first of the packs needs, unless its turn came already; return once they are traced.

    What trains takes longest to compile. Two cores are busy compiling to the end, whatever comes first; so there what draws
    is traced first, and compiled by a core that would be idle while the other is traced. More cores are not busy, and what
    draws is left to the place that takes the pack. The places of other packs with the same program load it as soon as they can.

    Args:
        plan: that the packs are of.
        options: how the sweep is run.
        compiled: where the programs go.
        packs: in the order in which they are trained.
        is_fresh: whether initial variables of the first have to be drawn.
    """
    if not packs or compiled.is_begun(training_key(packs[0])):
        return
    pack, count = packs[0], sum(training_key(pack) == training_key(packs[0]) for pack in packs)
    context = ProgramContext(datasets=plan.datasets, compiled=compiled, options=options, variables=plan.variables)
    programs = [PackPrograms(place, context) for place in plan.places[:count]]
    if is_fresh and cores() <= DRAWN_FIRST:
        _begin(programs[0].draw, pack, "lanes-first-drawing").wait()
    _begin(programs[0].train, pack, "lanes-first-training").wait()
    for number, others in enumerate(programs[1:], 1):
        _begin(others.train, pack, f"lanes-first-training-{number}")


def _begin(compile_: Callable[[Pack, Traced], None], pack: Pack, name: str) -> threading.Event:
    """Compile a pack's program in a thread of its own; the event is set once it is traced, or cannot be.

    Python waits for the thread where it ends by itself, since XLA aborts a process that ends while it compiles; commands do
    not wait (`lanes.cli.command.leave`).
    """
    traced = threading.Event()

    def work() -> None:
        try:
            with contextlib.suppress(Exception):  # the pack's own turn meets the same error and reports it
                compile_(pack, traced.set)
        finally:
            traced.set()

    threading.Thread(target=with_room, args=(work,), name=name).start()
    return traced


def foreseen(plan: Plan, directory: Directory, options: Options, halving: Halving | None) -> list[Pack]:
    """The packs of a directory without runs, in the order in which they will be trained.

    Empty where that is not known yet: other workers take packs too, or widths are measured first.
    """
    if directory.runs_file.exists() or options.shard or options.elsewhere is not None or options.hosts.several:
        return []
    try:
        choices = widths.choose_widths(
            plan.planned, plan.shapes, plan.places, requested=options.width, data_of=_measured, warn=_unsaid
        )
    except _MeasuredError:
        return []
    divided = portions(plan, options)
    agreed = {signature: choice.width for signature, choice in choices.items()}
    shards, dealt = plan.places[0].shards, halving is not None
    packs = make_packs(plan.planned, agreed, divided.workers, shards, divided.most, dealt)
    return in_order(plan, packs)


class _MeasuredError(Exception):
    """A width is to be measured."""


def _measured(_: Planned) -> Dataset:
    raise _MeasuredError


def _unsaid(_: str) -> None:
    pass


def in_order(plan: Plan, packs: Sequence[Pack]) -> list[Pack]:
    """Packs in the order in which they are trained (`longest_first`)."""

    def step_seconds(pack: Pack) -> float:
        """An estimate, without a clock, of how long a step of one lane takes."""
        return widths.step_seconds(pack.members[0], plan.shapes.get(pack.signature, ()), plan.places)

    return longest_first(packs, step_seconds, lambda pack: plan.datasets.key(pack.setup.run))
