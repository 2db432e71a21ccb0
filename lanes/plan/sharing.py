"""Which runs share a training program though they differ in switched fields or activation: chosen by an estimate of time."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lanes.describe import identity, runs
from lanes.describe.runs import Run
from lanes.plan.planned import NOT_TRAINING, Planned, undrawing
from lanes.program import shared_activation, shared_schedule
from lanes.program.sharing import Sharing, by_name, compiled_for, may_be_neutral
from lanes.program.skipping import COSTLY
from nets import MLP

WAYS = ("auto", "shared", "separate")


def in_program(planned: Iterable[Planned], sharing: Mapping[str, Sharing]) -> list[Planned]:
    """The runs as their programs see them.

    Args:
        planned: the runs, by whatever programs.
        sharing: what the programs share, by run_id; the other runs stay as they are.
    """
    signatures: dict[Any, str] = {}
    setups: dict[str, Any] = {}
    out = []
    for member in planned:
        shared = sharing.get(member.run_id)
        if shared is None or shared == member.sharing:
            out.append(member)
            continue
        compiled = compiled_for(member.run, shared)
        key = (member.signature, member.family) if member.family is not None else kind(member), shared
        if key not in signatures:
            signature = identity.signature(by_name(compiled), NOT_TRAINING, member.descriptions.versions)
            signatures[key] = signature
            if signature not in setups:
                setups[signature] = dataclasses.replace(member.setup, run=undrawing(compiled), signature=signature)
        signature = signatures[key]
        out.append(
            dataclasses.replace(member, compiled=compiled, signature=signature, setup=setups[signature], sharing=shared)
        )
    return out


def kind(member: Planned) -> Any:
    """A key that is equal for runs that differ in their numbers only, whatever their programs share."""
    on = tuple(not runs.is_off(member.run, name) for name in runs.SWITCHED)
    branches = shared_activation.branch_of(member.run.activation), shared_schedule.branch_of(member.run.schedule)
    widths = member.run.net.widths if member.sharing.widths else ()
    return member.signature, on, branches, widths


# ---- families: runs that could share a program --------------------------------------------------------------------


def families(planned: Sequence[Planned]) -> list[list[Planned]]:
    """The runs by what their programs cannot share: all but numbers, switched fields, activations and schedules.

    A conditional inside a step costs next to nothing on a CPU. Elsewhere every branch is computed (`Sharing.batched`),
    in the kernels of the layers.
    """
    keys: dict[Any, str] = {}
    found: dict[str, list[Planned]] = {}
    for member in planned:
        branch = _branch(member.run)
        if (member.signature, branch) not in keys:
            free = ["activation"] * bool(branch) + ["schedule"] * bool(shared_schedule.branch_of(member.run.schedule))
            ignore = (*NOT_TRAINING, *may_be_neutral(member.run), *free)
            text = identity.signature(member.run, ignore, member.descriptions.versions)
            keys[member.signature, branch] = f"{ignore} {text}"
        found.setdefault(keys[member.signature, branch], []).append(member)
    return list(found.values())


def widest(family: Sequence[Planned], on_cpu: bool) -> Sharing:
    """What one program for a whole family shares."""
    distinct = list({member.signature: member.run for member in family}.values())
    fields = may_be_neutral(distinct[0])
    on = {name: {not runs.is_off(run, name) for run in distinct} for name in fields}
    activations = {_branch(run) for run in distinct}
    schedules = {shared_schedule.branch_of(run.schedule) for run in distinct}
    neutral = tuple(name for name in fields if len(on[name]) > 1)
    branches = tuple(name for name in shared_activation.BRANCHES if len(activations) > 1 and name in activations)
    return Sharing(
        neutral,
        branches,
        tuple(name for name in shared_schedule.BRANCHES if len(schedules) > 1 and name in schedules),
        batched=not on_cpu and bool(branches or set(neutral) & set(COSTLY)),
    )


def _branch(run: Run) -> str | None:
    """The branch that would compute the run's activation; None where it is built in."""
    return shared_activation.branch_of(run.activation) if isinstance(run.net, MLP) else None


def together(planned: Sequence[Planned], on_cpu: bool) -> list[Planned]:
    """The runs, each family in one program."""
    shared = {
        member.run_id: found for family in families(planned) for found in [widest(family, on_cpu)] for member in family
    }
    return in_program(planned, shared)


# ---- the choice ---------------------------------------------------------------------------------------------------

# Seconds to trace and compile a training program, by the net's number of parameter arrays; approximate, of two CPU cores.
PROGRAM_SECONDS, ARRAY_SECONDS = 2.0, 0.4
BRANCH_SECONDS = 0.012  # of a further activation, for each parameter array
# Share of a step's time that a program spends on what it shares.
SWITCH_SHARE, NEUTRAL_SHARE = 0.02, 0.01
BATCHED_SHARE = 0.1  # of a costly field where it is computed for runs that have it off, too


class Choice(NamedTuple):
    """The runs as their programs see them, and how the programs were chosen, in one line; "" if there was no choice."""

    planned: list[Planned]
    said: str


class _Estimate(NamedTuple):
    programs: int
    compiling: float
    extra: float  # seconds of training, because programs are shared

    @property
    def seconds(self) -> float:
        return self.compiling + self.extra


def choose(
    planned: Sequence[Planned],
    way: str,
    on_cpu: bool,
    shapes: Callable[[Planned], Sequence[tuple[int, ...]]],
    step_seconds: Callable[[Planned], float],
    steps: Callable[[Sequence[Planned]], float],
) -> Choice:
    """The programs of runs: for each family one, one for each activation, one for each combination of all else, or one for
    each combination of all, whichever takes the least time by an estimate.

    Args:
        planned: the runs, in programs that differ in everything but numbers.
        way: one of WAYS.
        on_cpu: whether they are trained on a CPU.
        shapes: of a run's parameters.
        step_seconds: what a step of a run takes; those of a family take the same.
        steps: those of runs that differ in numbers only.
    """
    shared: dict[str, Sharing] = {}
    alone, taken = _Estimate(0, 0.0, 0.0), _Estimate(0, 0.0, 0.0)
    would = alone
    for family in families(planned):
        parts = _by(family, lambda member: member.signature)
        if len(parts) == 1:
            continue
        arrays = len(shapes(family[0]))
        each = step_seconds(family[0])
        spent = {part[0].signature: each * steps(part) for part in parts}
        ways = [
            [family],
            _by(family, lambda member: _branch(member.run)),
            _by(family, _but_activation),
            parts,
        ]
        costs = [_estimated([(widest(part, on_cpu), part) for part in way], spent, arrays) for way in ways]
        best = {"shared": 0, "separate": -1}.get(way, min(range(4), key=lambda at: costs[at].seconds))
        for part in ways[best]:
            shared |= dict.fromkeys((member.run_id for member in part), widest(part, on_cpu))
        alone, taken, would = (_sum(a, b) for a, b in ((alone, costs[-1]), (taken, costs[best]), (would, costs[0])))
    return Choice(in_program(planned, shared), _said(alone, taken, would))


def _but_activation(member: Planned) -> Any:
    """A key that is equal for runs whose programs differ in the activation at most."""
    off = tuple(runs.is_off(member.run, name) for name in runs.SWITCHED)
    return off, shared_schedule.branch_of(member.run.schedule)


def _by(family: Sequence[Planned], key: Callable[[Planned], Any]) -> list[list[Planned]]:
    parts: dict[Any, list[Planned]] = {}
    for member in family:
        parts.setdefault(key(member), []).append(member)
    return list(parts.values())


def _estimated(
    parts: Sequence[tuple[Sharing, Sequence[Planned]]], spent: Mapping[str, float], arrays: int
) -> _Estimate:
    compiling = extra = 0.0
    for sharing, part in parts:
        further = max(0, len(sharing.activations) - 1)
        compiling += PROGRAM_SECONDS + ARRAY_SECONDS * arrays + BRANCH_SECONDS * arrays * further
        share = NEUTRAL_SHARE * len(sharing.neutral) + (SWITCH_SHARE if sharing.activations else 0.0)
        share += BATCHED_SHARE * len(set(sharing.neutral) & set(COSTLY)) * sharing.batched
        extra += share * sum(spent[signature] for signature in {member.signature for member in part})
    return _Estimate(len(parts), compiling, extra)


def _sum(one: _Estimate, other: _Estimate) -> _Estimate:
    return _Estimate(one.programs + other.programs, one.compiling + other.compiling, one.extra + other.extra)


def _said(alone: _Estimate, taken: _Estimate, would: _Estimate) -> str:
    if not alone.programs:
        return ""
    if taken.programs == alone.programs:
        about = _compared(alone, would)
        return f"{alone.programs} training programs that could be {would.programs} (--programs shared): {about}"
    about = _compared(alone, taken)
    return f"{taken.programs} training programs in place of {alone.programs} (--programs separate): {about}"


def _compared(alone: _Estimate, shared: _Estimate) -> str:
    return (
        f"sharing saves about {alone.compiling - shared.compiling:.0f} s of compiling and costs about {shared.extra:.1f} s "
        "of training"
    )
