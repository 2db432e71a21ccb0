"""Where the time of a whole sweep goes: what each thread does when, and what the end waits for."""

import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import traced_command as traced
from benchmarks.commands import environment, finished
from benchmarks.measuring import Row, Sample, Table, Way, figure, interleaved
from benchmarks.setting import Setting
from benchmarks.whole import QUICK, SWEEPS, cold

START, OTHER, LEAVING = "Python's start", "other", "ending the process"
MAIN, PLACES = "MainThread", "lanes-place-"  # threads that the end waits for; the others work for them
PHASES = (
    *(START, traced.IMPORTS, traced.PLANNING, traced.CHECKING, traced.DATA),
    *(traced.TRACING, traced.LOWERING, traced.XLA, traced.LOADING),
    *(traced.STARTING, traced.TRAINING, traced.EVALUATING, traced.WRITING, traced.PAGE, OTHER, LEAVING),
)
SHORTEST = 0.05  # seconds of an interval worth a line


@dataclasses.dataclass(frozen=True)
class Segment:
    """What a thread does from one moment to another, in seconds from the start of the process."""

    phase: str
    thread: str
    begin: float
    end: float


@dataclasses.dataclass
class Timeline:
    """One command: its segments, thread by thread, and its length in seconds."""

    segments: list[Segment]
    length: float

    def waited(self) -> dict[str, float]:
        """Seconds by phase that the end of the command waits for; their sum is the command's length.

        A moment belongs to what the main thread does or, while it waits, to what the threads of the places do, in equal
        parts; to threads in the background only while all of those wait.
        """
        seconds = dict.fromkeys(PHASES, 0.0)
        edges = sorted({0.0, self.length, *(t for s in self.segments for t in (s.begin, s.end))})
        by_begin = sorted(self.segments, key=lambda segment: segment.begin)
        active: list[Segment] = []
        upcoming = iter([*by_begin, None])
        following = next(upcoming)
        for begin, end in itertools.pairwise(edges):
            while following is not None and following.begin <= begin:
                active.append(following)
                following = next(upcoming)
            active = [segment for segment in active if segment.end > begin]
            phases = [segment.phase for segment in _first_rank(active)] or [OTHER]
            for phase in phases:
                seconds[phase] += (end - begin) / len(phases)
        return seconds

    def busy(self) -> dict[str, float]:
        """Seconds by phase, summed over threads."""
        seconds = dict.fromkeys(PHASES, 0.0)
        for segment in self.segments:
            seconds[segment.phase] += segment.end - segment.begin
        return seconds

    def lines(self, shortest: float = SHORTEST) -> list[str]:
        """For each thread, its intervals of one phase in order, without those shorter than `shortest` seconds."""
        lines = []
        for thread in sorted({segment.thread for segment in self.segments}, key=lambda name: (_rank(name), name)):
            own = [segment for segment in self.segments if segment.thread == thread]
            long = [one for one in joined(own) if one.end - one.begin >= shortest]
            if long:
                intervals = ", ".join(f"{one.phase} {one.begin:.2f}–{one.end:.2f}" for one in long)
                lines.append(f"{thread}: {intervals}")
        return lines


def _rank(thread: str) -> int:
    return 0 if thread == MAIN else 1 if thread.startswith(PLACES) else 2


def _first_rank(active: Sequence[Segment]) -> list[Segment]:
    first = min((_rank(segment.thread) for segment in active), default=0)
    return [segment for segment in active if _rank(segment.thread) == first]


def joined(segments: Iterable[Segment], gap: float = 0.01) -> list[Segment]:
    """The segments of a thread, with neighbours of the same phase that are less than `gap` seconds apart made one."""
    out: list[Segment] = []
    for segment in sorted(segments, key=lambda segment: segment.begin):
        if out and out[-1].phase == segment.phase and segment.begin - out[-1].end < gap:
            out[-1] = dataclasses.replace(out[-1], end=segment.end)
        else:
            out.append(segment)
    return out


def innermost(spans: Iterable[traced.Span]) -> list[Segment]:
    """Segments that do not overlap, from the nested spans of one thread: each moment has the span that began last.

    What JAX traces or imports for planning's own check is the check's.
    """
    out: list[Segment] = []
    stack: list[tuple[str, str, float]] = []  # phase, thread, end
    cursor = 0.0

    def advance(until: float) -> None:
        nonlocal cursor
        while stack and cursor < until:
            phase, thread, end = stack[-1]
            stop = min(end, until)
            if stop > cursor:
                out.append(Segment(phase, thread, cursor, stop))
            cursor = stop
            if end <= until:
                stack.pop()
        cursor = max(cursor, until)

    for phase, thread, begin, end in sorted(spans, key=lambda span: (span[2], -span[3])):
        advance(begin)
        if stack:
            end = min(end, stack[-1][2])
            phase = _within(phase, stack[-1][0])
        stack.append((phase, thread, end))
    advance(float("inf"))
    return out


def _within(phase: str, outer: str) -> str:
    """The phase of a span inside another."""
    return outer if outer == traced.CHECKING and phase == traced.TRACING else phase


def timeline(setting: Setting) -> Table:
    """What each thread of a whole sweep does when, for 24 runs and for the quickstart, cold and warm."""
    sweeps = dict(list(SWEEPS.items())[:1]) if setting.quick else SWEEPS
    options = QUICK if setting.quick else ()
    taken: dict[str, list[Timeline]] = {}
    with tempfile.TemporaryDirectory() as folder:
        warm = environment(Path(folder) / "cache")
        ways = []
        for name, experiment in sweeps.items():
            ways.append(_way(f"{name}, cold", experiment, options, None, taken))
            ways.append(_way(f"{name}, warm", experiment, options, warm, taken))
        rows = interleaved(ways, setting.repetitions(5))
    notes = [
        "Seconds that the end of the command waits for, medians over repetitions; the last column's phases add up to the "
        "whole. A moment belongs to the main thread or, while it waits, to the threads of the places, in equal parts; to a "
        "thread in the background (compiling ahead, writing) only while all of those wait.",
        "In brackets: seconds summed over all threads, where they differ.",
        "24 runs: 2 activations × 2 initializers × 2 rates × 3 seeds; 192 runs: experiments/quickstart.py. Cold: empty caches.",
    ]
    kept = {row.name: taken[row.name][-len(row.values) :] for row in rows if row.values}
    return Phases("timeline", "s", rows, notes=notes, timelines=kept)


def _way(
    name: str, experiment: Path, options: tuple[str, ...], warm: dict[str, str] | None, taken: dict[str, list[Timeline]]
) -> Way:
    def once() -> Sample:
        one = (
            cold(lambda variables: _sample(experiment, options, variables))
            if warm is None
            else _sample(experiment, options, warm)
        )
        taken.setdefault(name, []).append(one.columns.pop("timeline"))
        return one

    return Way(name, once, warm=warm is not None)


def _sample(experiment: Path, options: tuple[str, ...], variables: dict[str, str]) -> Sample:
    measured = watched(experiment, options, variables)
    return Sample(measured.length, {"timeline": measured})


def watched(experiment: Path, options: tuple[str, ...], variables: dict[str, str]) -> Timeline:
    """The timeline of one sweep by the command, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spans.json"
        line = [sys.executable, "-m", "benchmarks.traced_command", str(path), "sweep", str(experiment)]
        began = time.monotonic()
        finished([*line, "--out", str(Path(folder) / "sweep"), *options], variables)
        ended = time.monotonic()
        return read(json.loads(path.read_text(encoding="utf-8")), began, ended)


def read(record: dict[str, Any], began: float, ended: float) -> Timeline:
    """The timeline of a process that began and ended at these moments, from what it wrote."""
    by_thread: dict[str, list[traced.Span]] = {}
    for phase, thread, begin, end in record["spans"]:
        by_thread.setdefault(thread, []).append((phase, thread, begin - began, end - began))
    start = (START, MAIN, 0.0, record["began"] - began)
    leaving = (LEAVING, MAIN, record["ended"] - began, ended - began)
    by_thread[MAIN] = [start, *by_thread.get(MAIN, []), leaving]
    return Timeline([one for spans in by_thread.values() for one in innermost(spans)], ended - began)


@dataclasses.dataclass
class Phases(Table):
    """A table with a row for each phase and a column for each command.

    Attributes:
        timelines: by command, one per repetition.
    """

    timelines: dict[str, list[Timeline]] = dataclasses.field(default_factory=dict)

    def markdown(self) -> str:
        """The medians of the phases, and the threads' intervals in the repetition of median length."""
        shown = [row for row in self.rows if row.values]
        head = ["phase", *(row.name for row in self.rows)]
        lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * len(self.rows)]
        total = [figure(row.median) + (f" ({row.failure})" if row.failure else "") for row in self.rows]
        for phase in PHASES:
            cells = [self._cell(row, phase) for row in self.rows]
            if any(cell not in ("-", "0") for cell in cells):
                lines.append("| " + " | ".join([phase, *cells]) + " |")
        lines.append("| " + " | ".join(["**whole command**", *total]) + " |")
        spread = ", ".join(f"{row.name} {figure(min(row.values))}–{figure(max(row.values))}" for row in shown)
        notes = [
            f"- {note}"
            for note in (*self.notes, f"Whole command, n = {len(shown[0].values)}: {spread}." if shown else "")
        ]
        intervals = []
        for row in shown:
            middle = min(self.timelines[row.name], key=lambda one: abs(one.length - row.median))
            intervals.append(f"{row.name}, intervals of at least {1e3 * SHORTEST:.0f} ms by thread, in seconds:\n")
            intervals += [f"- {line}" for line in middle.lines()] + [""]
        return "\n".join([*lines, "", *intervals, *notes])

    def _cell(self, row: Row, phase: str) -> str:
        if not row.values:
            return "-"
        waited = statistics.median(one.waited()[phase] for one in self.timelines[row.name])
        busy = statistics.median(one.busy()[phase] for one in self.timelines[row.name])
        return (
            f"{waited:.2f}" + (f" ({busy:.2f})" if busy - waited >= 0.1 else "") if max(waited, busy) >= 0.005 else "0"
        )

    def json(self) -> dict[str, Any]:
        """As a table's, with the seconds of every phase in every repetition instead of the segments."""
        waited = {name: [one.waited() for one in taken] for name, taken in self.timelines.items()}
        return {**dataclasses.replace(self, timelines={}, facts={**self.facts, "waited": waited})._plain()}

    def _plain(self) -> dict[str, Any]:
        return Table.json(self)
