"""What a plan amounts to, before anything is compiled: runs, packs, programs, parameters, memory."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from lanes.data.readings import described
from lanes.describe import runs
from lanes.describe.columns import display_name
from lanes.describe.descriptions import READ_IN_PYTHON
from lanes.engine.options import Options
from lanes.engine.portions import portions
from lanes.engine.requests import Plan, followed
from lanes.errors import printable
from lanes.plan import widths
from lanes.plan.packs import Pack, describe_plan, make_packs
from lanes.program import memory
from lanes.storage import records
from lanes.storage.directory import Directory


class ProgramSummary(NamedTuple):
    """A training program of a plan.

    Attributes:
        net: the name of the net's class.
        activations: the names of its runs' activations.
        runs, packs: how many it trains.
        lanes: of each pack.
        width: lanes computed at once.
        parameters: of one net.
        state_bytes: of a pack: parameters, the optimizer's state and copies, as float32.
    """

    net: str
    activations: list[str]
    runs: int
    packs: int
    lanes: int
    width: int
    parameters: int
    state_bytes: int


class ShardSummary(NamedTuple):
    """The part of a plan that one shard trains.

    Attributes:
        shard: I/N.
        packs, runs: how many are its own.
        to_do: its runs that have not ended.
    """

    shard: str
    packs: int
    runs: int
    to_do: int


class PlanSummary(NamedTuple):
    """A plan in numbers.

    Attributes:
        runs, packs: how many there are.
        ended: runs that have ended in the directory.
        devices: how many are used.
        mapping: how packs use them.
        data: a line for each data set, as it is read.
        compiled: how many training programs are compiled: more than `programs` where packs of one differ in size.
        programs: the training programs.
        chosen: how the runs' programs were chosen, in one line.
        notes: what is worth knowing of it, a line each.
        static: the floats of the user's own functions of which every value has a program of its own, by path.
        tracing_seconds: what tracing the programs took, to check them.
        halving: the halving in one line, or None.
        shard: the part of this call's shard, or None.
    """

    runs: int
    packs: int
    ended: int
    devices: int
    mapping: str
    data: list[str]
    compiled: int
    programs: list[ProgramSummary]
    chosen: str
    notes: list[str]
    static: list[str]
    tracing_seconds: float
    halving: str | None
    shard: ShardSummary | None


def summarize(plan: Plan, options: Options, directory: Directory | None = None) -> PlanSummary:
    """The plan in numbers; nothing is compiled or written.

    Args:
        plan: the plan.
        options: how it is to be run.
        directory: what it would be trained into: its packs stay as they are, and runs that have ended there are counted.
    """
    if directory is not None and not directory.path.is_dir():
        directory = None
    packs = _packs(plan, options, directory)
    ended = set() if directory is None else directory.ended() & {member.run_id for member in plan.planned}
    counts = describe_plan(packs)
    halving = followed(options.halving, plan.planned)
    return PlanSummary(
        runs=counts["runs"],
        packs=counts["packs"],
        ended=len(ended),
        devices=_devices(plan, options),
        mapping=options.mapping,
        data=list(dict.fromkeys(described(plan.datasets.of(member.run)) for member in plan.planned)),
        compiled=counts["programs"],
        programs=[
            _program([pack for pack in packs if pack.signature == signature], plan.parameters(signature))
            for signature in plan.shapes
        ],
        chosen=plan.programs,
        notes=list(plan.notes),
        static=list(dict.fromkeys(path for member in plan.planned for path in _static(member.run))),
        tracing_seconds=plan.tracing_seconds,
        halving=None if halving is None else halving.describe(len(plan.planned)),
        shard=None if options.shard is None else _shard(packs, ended, *options.shard),
    )


def _packs(plan: Plan, options: Options, directory: Directory | None) -> list[Pack]:
    """The packs of a plan: those that the directory has, and new ones for other runs."""
    earlier = [] if directory is None else records.earlier_packs(plan.planned, records.known_runs(directory))
    placed = {member.run_id for pack in earlier for member in pack.members}
    choices = widths.choose_widths(plan.planned, plan.shapes, plan.places, requested=options.width)
    width_of = {signature: choice.width for signature, choice in choices.items()}
    workers, most, _ = portions(plan, options)
    fresh = [member for member in plan.planned if member.run_id not in placed]
    return earlier + make_packs(
        fresh, width_of, workers, plan.places[0].shards, most, dealt=options.halving is not None
    )


def _devices(plan: Plan, options: Options) -> int:
    """The number of devices that train."""
    each = len(plan.places[0].devices)
    return each * (len(plan.places) if options.elsewhere is None else options.elsewhere.count)


def _shard(packs: Sequence[Pack], ended: Collection[str], index: int, count: int) -> ShardSummary:
    own = packs[index::count]
    run_ids = [member.run_id for pack in own for member in pack.members]
    return ShardSummary(f"{index}/{count}", len(own), len(run_ids), sum(run_id not in ended for run_id in run_ids))


def _static(run: runs.Run) -> list[str]:
    return [f"{name}.{item}" for name, read in READ_IN_PYTHON.items() for item in sorted(read(getattr(run, name)))]


def _program(packs: Sequence[Pack], parameters: int) -> ProgramSummary:
    first = packs[0]
    table = runs.TABLES["activation"]
    return ProgramSummary(
        net=type(first.setup.run.net).__name__,
        activations=sorted({str(display_name(m.run.activation, table)) for pack in packs for m in pack.members}),
        runs=sum(len(pack.members) for pack in packs),
        packs=len(packs),
        lanes=first.size,
        width=first.width,
        parameters=parameters,
        state_bytes=parameters * 4 * memory.COPIES * first.size,
    )


def describe(plan: Plan, options: Options, directory: Directory | None = None) -> str:
    """The plan as text: runs, packs, programs, parameters and memory, as `summarize`."""
    found = summarize(plan, options, directory)
    lines = [
        f"{found.runs} runs in {found.packs} packs by {found.compiled} training programs, "
        f"on {found.devices} devices ({found.mapping})",
        *(f"  data {line}" for line in found.data),
    ]
    lines += [
        f"  {one.net}, {'|'.join(one.activations)}: {one.runs} runs, {one.packs} packs of {one.lanes} lanes, "
        f"width {one.width}, {one.parameters:,} parameters, about {memory.megabytes(one.state_bytes)} of state in a pack"
        for one in found.programs
    ]
    if found.ended:
        lines.append(f"  {found.ended} runs have ended, {found.runs - found.ended} are to do")
    if found.shard is not None:
        own = found.shard
        lines.append(f"  shard {own.shard}: {own.packs} packs with {own.runs} runs, of which {own.to_do} are to do")
    if found.chosen:
        lines.append(f"  {found.chosen}")
    lines += [
        f"  {path} is read in Python (`if`, float(), …), so each of its values has a program of its own: jnp.where makes it one"
        for path in found.static
    ]
    lines += [f"  {note}" for note in found.notes]
    each = found.tracing_seconds / len(found.programs)
    lines.append(
        f"  every program was traced to check it, now or before: {found.tracing_seconds:.1f} s, {each:.2f} s a program"
    )
    if found.halving is not None:
        lines.append(f"  {found.halving}")
    return "\n".join(map(printable, lines))
