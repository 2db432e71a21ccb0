"""What a plan amounts to, before anything is compiled: runs, packs, programs, parameters, memory."""

from collections.abc import Sequence
from typing import NamedTuple

from lanes.data.readings import described
from lanes.describe import runs
from lanes.describe.columns import display_name
from lanes.describe.descriptions import READ_IN_PYTHON
from lanes.engine.options import Options
from lanes.engine.requests import Plan
from lanes.errors import printable
from lanes.plan import widths
from lanes.plan.packs import Pack, describe_plan, make_packs
from lanes.program import memory


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


class PlanSummary(NamedTuple):
    """A plan in numbers.

    Attributes:
        runs, packs: how many there are.
        devices: how many are used.
        mapping: how packs use them.
        data: a line for each data set, as it is read.
        compiled: how many training programs are compiled: more than `programs` where packs of one differ in size.
        programs: the training programs.
        chosen: how the runs' programs were chosen, in one line.
        static: the floats of the user's own functions of which every value has a program of its own, by path.
        tracing_seconds: what tracing the programs took, to check them.
        halving: the halving in one line, or None.
    """

    runs: int
    packs: int
    devices: int
    mapping: str
    data: list[str]
    compiled: int
    programs: list[ProgramSummary]
    chosen: str
    static: list[str]
    tracing_seconds: float
    halving: str | None


def summarize(plan: Plan, options: Options) -> PlanSummary:
    """The plan in numbers; nothing is compiled."""
    choices = widths.choose_widths(plan.planned, plan.shapes, plan.places, requested=options.width)
    width_of = {signature: choice.width for signature, choice in choices.items()}
    most = widths.most_lanes(plan.shapes, plan.places, options.pack_lanes)
    packs = make_packs(
        plan.planned, width_of, len(plan.places), plan.places[0].shards, most, dealt=options.halving is not None
    )
    counts = describe_plan(packs)
    return PlanSummary(
        runs=counts["runs"],
        packs=counts["packs"],
        devices=sum(len(place.devices) for place in plan.places),
        mapping=options.mapping,
        data=list(dict.fromkeys(described(plan.datasets.of(member.run)) for member in plan.planned)),
        compiled=counts["programs"],
        programs=[
            _program([pack for pack in packs if pack.signature == signature], plan.parameters(signature))
            for signature in plan.shapes
        ],
        chosen=plan.programs,
        static=list(dict.fromkeys(path for member in plan.planned for path in _static(member.run))),
        tracing_seconds=plan.tracing_seconds,
        halving=None if options.halving is None else options.halving.describe(len(plan.planned)),
    )


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


def describe(plan: Plan, options: Options) -> str:
    """The plan as text: runs, packs, programs, parameters and memory; nothing is compiled."""
    found = summarize(plan, options)
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
    if found.chosen:
        lines.append(f"  {found.chosen}")
    lines += [
        f"  {path} is read in Python (`if`, float(), …), so each of its values has a program of its own: jnp.where makes it one"
        for path in found.static
    ]
    each = found.tracing_seconds / len(found.programs)
    lines.append(f"  every program was traced to check it: {found.tracing_seconds:.1f} s, {each:.2f} s a program")
    if found.halving is not None:
        lines.append(f"  {found.halving}")
    return "\n".join(map(printable, lines))
