"""Which perceptrons of other widths share a training program, as wide as the widest of them: chosen by an estimate of time."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from lanes.describe import identity
from lanes.describe.runs import Run
from lanes.plan.planned import NOT_TRAINING, Planned
from lanes.plan.sharing import ARRAY_SECONDS, PROGRAM_SECONDS, Choice, in_program
from lanes.program import shared_widths
from lanes.program.sharing import by_name

# Share of a program's seconds that a wider one saves: devices compile side by side.
SAVED_SHARE = 0.35

Tree = Any


class _Sized(NamedTuple):
    """Runs of one program and one net.

    Attributes:
        runs: these.
        params: shapes of their net's parameters.
        steps: those of the runs.
    """

    runs: Sequence[Planned]
    params: Tree
    steps: float

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        return self.runs[0].run.net.widths


class _Part(NamedTuple):
    """Sizes that share a program: `sizes[begin:end]`, and what the program costs, in seconds."""

    begin: int
    end: int
    seconds: float


def choose(
    planned: Sequence[Planned],
    way: str,
    params: Callable[[Planned], Tree],
    step_seconds: Callable[[Planned, int], float],
    steps: Callable[[Sequence[Planned]], float],
) -> Choice:
    """The programs of runs, where nets of other widths may share one: whichever take the least time by an estimate.

    Args:
        planned: the runs, in the programs that are chosen for all else.
        way: one of `sharing.WAYS`; "separate" changes nothing.
        params: shapes of the parameters of a run's own net.
        step_seconds: what a step of a run takes by a net of that many parameters.
        steps: those of runs that differ in numbers only.
    """
    if way == "separate":
        return Choice(list(planned), "")
    shared: dict[str, tuple[int, ...]] = {}
    before = after = 0
    saved = extra = 0.0
    for family in _families(planned):
        sizes = [_Sized(alike, params(alike[0]), steps(alike)) for alike in family]
        sizes.sort(key=lambda size: shared_widths.parameters(size.params, size.widths))
        parts = _parts(sizes, step_seconds)
        before, after = before + len(sizes), after + len(parts)
        alone = sum(_seconds([size], step_seconds) for size in sizes)
        compiling = (len(sizes) - len(parts)) * _compiling(sizes[0])
        saved += compiling
        extra += compiling + sum(part.seconds for part in parts) - alone
        for part in parts:
            if part.end - part.begin > 1:
                alike = sizes[part.begin : part.end]
                widest = _widest(alike)
                shared |= {member.run_id: widest for size in alike for member in size.runs}
    if before == after:
        return Choice(list(planned), "")
    programs = {
        m.run_id: dataclasses.replace(m.sharing, widths=shared[m.run_id]) for m in planned if m.run_id in shared
    }
    said = (
        f"{after} programs as wide as the widest of their nets in place of {before} of other widths (--programs separate): "
        f"this saves about {saved:.0f} s of compiling and costs about {extra:.1f} s of training"
    )
    return Choice(in_program(planned, programs), said)


def _families(planned: Sequence[Planned]) -> list[list[list[Planned]]]:
    """Programs that differ in the widths of their nets only, two or more, each by its runs."""
    by_signature: dict[str, list[Planned]] = {}
    for member in planned:
        by_signature.setdefault(member.signature, []).append(member)
    found: dict[Any, list[list[Planned]]] = {}
    for alike in by_signature.values():
        # Runs of a family differ in numbers only.
        distinct = {member.run_id if member.family is None else member.family: member.run for member in alike}
        if all(map(shared_widths.may_share, distinct.values())):
            found.setdefault((but_widths(alike[0]), alike[0].sharing), []).append(alike)
    return [programs for programs in found.values() if len(programs) > 1]


def but_widths(member: Planned) -> str:
    """The signature of a run's program without the widths of its net, a perceptron."""
    without = member.compiled.net.clone(widths=(0,) * len(member.run.net.widths))
    any_width = dataclasses.replace(by_name(member.compiled), net=without)
    return identity.signature(any_width, NOT_TRAINING, member.descriptions.versions)


def _parts(sizes: Sequence[_Sized], step_seconds: Callable[[Planned, int], float]) -> list[_Part]:
    """How to part sizes, in order, so that their programs take the least time."""
    best: list[tuple[float, list[_Part]]] = [(0.0, [])]
    for end in range(1, len(sizes) + 1):
        ways = []
        for begin in range(end):
            part = _Part(begin, end, _seconds(sizes[begin:end], step_seconds))
            ways.append((best[begin][0] + part.seconds, [*best[begin][1], part]))
        best.append(min(ways, key=lambda way: (way[0], len(way[1]))))
    return best[-1][1]


def _seconds(sizes: Sequence[_Sized], step_seconds: Callable[[Planned, int], float]) -> float:
    """What a program of these sizes takes."""
    count = shared_widths.parameters(sizes[0].params, _widest(sizes))
    return _compiling(sizes[0]) + sum(size.steps * step_seconds(size.runs[0], count) for size in sizes)


def _compiling(size: _Sized) -> float:
    return SAVED_SHARE * (PROGRAM_SECONDS + ARRAY_SECONDS * len(jax.tree.leaves(size.params)))


def _widest(sizes: Sequence[_Sized]) -> tuple[int, ...]:
    return tuple(max(layer) for layer in zip(*(size.widths for size in sizes), strict=True))


def in_widths(variables: Tree, run: Run, widths: Sequence[int]) -> Tree:
    """Shapes of the initial variables of a program's net of these widths; of the run's own net if there are none."""
    return {**variables, "params": shared_widths.resized(variables["params"], widths or run.net.widths)}


def variables_of(planned: Sequence[Planned], drawn: Mapping[str, Tree]) -> dict[str, Tree]:
    """Shapes of the variables of programs, by signature, from those of the runs, by run_id."""
    found: dict[str, Tree] = {}
    for member in planned:
        if member.signature not in found:
            own, widths = drawn[member.run_id], member.sharing.widths
            found[member.signature] = in_widths(own, member.run, widths) if widths else own
    return found
