"""A sweep from the request to the exit status: validate, plan, write down what is planned, train packs at every place."""

import dataclasses
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes import devices, planning, provenance, runs, validation
from lanes.claims import Claims
from lanes.datasets import Dataset
from lanes.devices import Compiled
from lanes.directory import Directory
from lanes.errors import RequestError
from lanes.planning import Datasets, Pack, Planned
from lanes.progress import Progress
from lanes.runs import Run
from lanes.shared_activation import MOST_CALLS
from lanes.training import Interrupted, Trainer
from lanes.writer import Writer
from nets import MLP

COPIES = 4  # of the parameters in a lane: current, best, and about two of the optimizer
DONE, FAILED, STOPPED = 0, 3, 75  # exit statuses; 2 is a RequestError


@dataclasses.dataclass(frozen=True)
class Options:
    """How a sweep is run, as against what is run.

    Attributes:
        width: lanes computed at once; None is measured or taken from the directory.
        devices: how many devices; None is all.
        mapping: "local", "shard_map" or "pmap".
        shard: (I, N): train the packs I, I + N, I + 2N, … only.
        max_seconds: stop, saved, after so long.
        data_dir: where prepared TFDS sets are.
        quiet: no progress.
    """

    width: int | None = None
    devices: int | None = None
    mapping: str = "local"
    shard: tuple[int, int] | None = None
    max_seconds: float | None = None
    data_dir: str | None = None
    quiet: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        status: the exit status: 0 all ended, 3 some failed, 75 stopped early with everything saved.
        ended: runs of the request that have ended, by now.
        planned: runs of the request.
        trained: runs that this call trained.
        steps: training steps that this call executed, summed over lanes.
        programs: training programs compiled.
        seconds: of this call.
        failures: one line for each pack that failed.
    """

    status: int
    ended: int
    planned: int
    trained: int
    steps: int
    programs: int
    seconds: float
    failures: tuple[str, ...] = ()

    def summary(self, out: Path) -> str:
        """One line for the end of a sweep."""
        if not self.trained and not self.failures and self.ended == self.planned:
            return f"{self.ended} of {self.planned} runs in {out} had ended before: nothing to do"
        each = f", {1e3 * self.seconds / self.trained:.1f} ms per run" if self.trained else ""
        return (
            f"{self.ended} of {self.planned} runs ended in {out}: {self.trained} trained now by {self.programs} training "
            f"programs, {self.steps} steps, {self.seconds:.1f} s{each}"
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """A validated request: the runs, their data sets, and the places to train at."""

    planned: list[Planned]
    datasets: Datasets
    places: list[devices.Place]
    shapes: dict[str, list[tuple[int, ...]]]  # of the net's parameters, by signature

    def parameters(self, signature: str) -> int:
        """Number of parameters of a signature's net."""
        return sum(math.prod(shape) for shape in self.shapes[signature])


def make_plan(requested: Iterable[Run], options: Options) -> Plan:
    """Validate every run, load what they need, and find the devices. Nothing is written.

    Raises RequestError for the first thing that is wrong.
    """
    requested = list(requested)
    if not requested:
        raise RequestError("the sweep has no runs: return at least one from sweep()")
    places = devices.places(devices.chosen(options.devices), options.mapping)
    if options.width is not None and options.width < 1:
        raise RequestError(f"--width is {options.width}: it must be at least 1, or auto")
    datasets = Datasets(options.data_dir)
    checked = []
    for run in requested:
        if not isinstance(run, Run):
            raise RequestError(f"sweep() returned {type(run).__name__} {run!r:.60}: it must return Run objects")
        resolved = validation.resolved(run)
        try:
            data = datasets.of(resolved)
        except RequestError:
            raise
        except (ValueError, OSError) as error:
            raise RequestError(str(error)) from error
        checked.append(validation.check_with_data(resolved, data))
    on_cpu = places[0].devices[0].platform == "cpu"
    planned = planning.plan_runs(checked, datasets, share=lambda run: on_cpu and _is_shallow(run))
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for one in planned:
        if one.signature not in shapes:
            shapes[one.signature] = validation.check_buildable(one.setup, datasets.of(one.run))
        if one.run.init_from is not None:
            validation.check_init_from(one.run.init_from, one.setup, datasets.of(one.run))
    return Plan(planned, datasets, places, shapes)


def _is_shallow(run: Run) -> bool:
    """Whether a net calls its activation so seldom that one program for all activations pays."""
    return isinstance(run.net, MLP) and len(run.net.widths) <= MOST_CALLS


def describe(plan: Plan, options: Options) -> str:
    """The plan as text: runs, packs, programs, parameters and memory; nothing is compiled for it."""
    platform = plan.places[0].devices[0].platform
    widths = {
        one.signature: options.width or planning.default_width(plan.shapes[one.signature], platform)
        for one in plan.planned
    }
    packs = planning.make_packs(plan.planned, widths, len(plan.places), plan.places[0].shards)
    counts = planning.describe_plan(packs)
    places = len(plan.places) * plan.places[0].shards
    lines = [
        f"{counts['runs']} runs in {counts['packs']} packs by {counts['programs']} training programs, "
        f"on {places} devices ({options.mapping})"
    ]
    for signature in plan.shapes:
        mine = [pack for pack in packs if pack.signature == signature]
        parameters = plan.parameters(signature)
        megabytes = parameters * 4 * COPIES * mine[0].size / 2**20
        lines.append(
            f"  {type(mine[0].setup.run.net).__name__}, {display(mine)}: {sum(len(pack.members) for pack in mine)} runs, "
            f"{len(mine)} packs of {mine[0].size} lanes, width {mine[0].width}, {parameters:,} parameters, "
            f"about {megabytes:.0f} MB of state in a pack"
        )
    return "\n".join(lines)


def display(packs: Sequence[Pack]) -> str:
    """The activations of some packs."""
    table = runs.TABLES["activation"]
    return "|".join(
        sorted({str(runs.descriptions.display_name(m.run.activation, table)) for p in packs for m in p.members})
    )


def run_sweep(
    plan: Plan,
    out: Path,
    options: Options,
    *,
    experiment: Path | None = None,
    command: Sequence[str] = (),
    warn: Callable[[str], None] = print,
) -> Outcome:
    """Train what is planned and not yet done in `out`; stopped by SIGINT, SIGTERM or `max_seconds`, it saves and returns."""
    began = time.perf_counter()
    directory = Directory(out, warn)
    directory.create()
    widths = _bind_widths(plan, directory, options)
    packs = _record(plan, directory, widths, options, experiment, command)
    wanted = {one.run_id for one in plan.planned}
    before = directory.ended() & wanted
    todo = [pack for pack in packs if any(m.run_id in wanted - before for m in pack.members)]
    if options.shard is not None:
        index, count = options.shard
        todo = [pack for at, pack in enumerate(packs) if at % count == index and pack in todo]
    session = _Session(plan, directory, options, todo)
    status = session.train()
    after = directory.ended() & wanted
    return Outcome(
        status=status,
        ended=len(after),
        planned=len(wanted),
        trained=len(after - before),
        steps=session.steps,
        programs=session.training_programs,
        seconds=time.perf_counter() - began,
        failures=tuple(session.failures),
    )


def _bind_widths(plan: Plan, directory: Directory, options: Options) -> dict[str, int]:
    """Width by signature: the directory's own where it has one, otherwise the option's, otherwise the default."""
    bound = {key: int(value) for key, value in directory.read_sweep().get("widths", {}).items()}
    platform = plan.places[0].devices[0].platform
    out = {}
    for one in plan.planned:
        if one.signature in out:
            continue
        key = provenance.short(one.signature)
        out[one.signature] = (
            bound.get(key) or options.width or planning.default_width(plan.shapes[one.signature], platform)
        )
        if options.width is not None and out[one.signature] != options.width:
            directory.warn(
                f"--width {options.width} is ignored: {directory.path} was begun with width {out[one.signature]}, which binds all who resume"
            )
    return out


def _record(
    plan: Plan,
    directory: Directory,
    widths: dict[str, int],
    options: Options,
    experiment: Path | None,
    command: Sequence[str],
) -> list[Pack]:
    """Write down what is planned: earlier packs stay as they are, new runs make new packs."""
    with Claims(directory.path).only_one("plan"):
        known = directory.read_runs()
        packs, placed = _earlier_packs(plan, known)
        fresh = [one for one in plan.planned if one.run_id not in placed]
        workers = len(plan.places) * (options.shard[1] if options.shard else 1)
        new = planning.make_packs(fresh, widths, workers, plan.places[0].shards)
        source = directory.keep_source(experiment)
        if new:
            rows = [row for pack in new for row in _rows(pack, source)]
            directory.write_runs(pd.concat([known, pd.DataFrame(rows)], ignore_index=True))
        previous = directory.read_sweep()
        bound = {**previous.get("widths", {}), **{provenance.short(k): v for k, v in widths.items()}}
        facts = provenance.facts(plan.places, command)
        begun = previous.get("begun", facts["begun"])
        directory.write_sweep({**facts, "begun": begun, "widths": bound, "experiment": source})
    return packs + new


def _rows(pack: Pack, source: str | None) -> list[dict[str, Any]]:
    return [
        {
            "run_id": member.run_id,
            **runs.row(member.run),
            "pack": pack.pack_id,
            "lane": int(lane),
            "pack_shape": f"{pack.width},{pack.size},{pack.seeds}",
            "experiment": source,
            "description": json.dumps(runs.describe(member.run)),
        }
        for lane, member in zip(pack.places, pack.members)
    ]


def _earlier_packs(plan: Plan, known: pd.DataFrame) -> tuple[list[Pack], set[str]]:
    """The packs of earlier calls whose runs are all asked for again, and the runs that are in them."""
    if known.empty:
        return [], set()
    by_id = {one.run_id: one for one in plan.planned}
    packs = []
    for _, rows in known.groupby("pack", sort=False):
        rows = rows.sort_values("lane")
        width, size, seeds = map(int, rows["pack_shape"].iloc[0].split(","))
        if all(run_id in by_id for run_id in rows["run_id"]):
            lanes: list[Planned | None] = [None] * size
            for run_id, lane in zip(rows["run_id"], rows["lane"]):
                lanes[lane] = by_id[run_id]
            packs.append(Pack(tuple(lanes), width, seeds))
    return packs, {member.run_id for pack in packs for member in pack.members}


class _Session:
    """The threads of one call: one for each place, taking packs in order, and one writer."""

    def __init__(self, plan: Plan, directory: Directory, options: Options, todo: list[Pack]):
        self.plan, self.directory, self.options, self.todo = plan, directory, options, todo
        self.compiled = Compiled()
        self.stop = threading.Event()
        self.failures: list[str] = []
        self.steps = 0
        self._next = iter(todo)
        self._guard = threading.Lock()
        self._interrupted = False
        self._claims = Claims(directory.path)

    @property
    def training_programs(self) -> int:
        """Training programs that were compiled."""
        return sum(key[0] == "train" for key in self.compiled.keys)

    def train(self) -> int:
        """Train every pack; the exit status."""
        if not self.todo:
            return DONE
        self._writer = Writer()
        with Progress(self.todo, len(self.plan.places), self.options.quiet) as self._progress, self._signals():
            threads = [threading.Thread(target=self._work, args=(place,), daemon=True) for place in self.plan.places]
            for thread in threads:
                thread.start()
            self._wait(threads)
            try:
                self._writer.close()
            except OSError as error:
                self.failures.append(
                    f"writing to {self.directory.path} failed: {error}; free space or mend it, then run the same command again"
                )
        if self._interrupted:
            return STOPPED
        return FAILED if self.failures else DONE

    def _wait(self, threads: list[threading.Thread]) -> None:
        deadline = None if self.options.max_seconds is None else time.monotonic() + self.options.max_seconds
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(timeout=0.05)
            if deadline is not None and time.monotonic() > deadline:
                self.stop.set()

    def _work(self, place: devices.Place) -> None:
        trainer = Trainer(
            place, self.compiled, self.directory, self._data_of, self._writer.submit, self.stop, self._progress.epoch
        )
        try:
            while not self.stop.is_set() and (pack := self._take()) is not None:
                try:
                    with self._claims.only_one(pack.pack_id):
                        if not self._has_ended(pack):
                            trainer.train(pack)
                    self._progress.pack_done(pack)
                except Interrupted:
                    break
                except OSError as error:
                    self._fail(pack, error)
                    break
                except Exception as error:
                    self._fail(pack, error)
        finally:
            with self._guard:
                self.steps += trainer.steps
                self._interrupted |= self.stop.is_set() and not self._all_taken_and_done()

    def _take(self) -> Pack | None:
        with self._guard:
            return next(self._next, None)

    def _all_taken_and_done(self) -> bool:
        return self._progress.packs_done >= len(self.todo)

    def _has_ended(self, pack: Pack) -> bool:
        part = self.directory.read_part(self.directory.results, pack.pack_id)
        return part is not None and not (part["status"] == "failed").any()

    def _data_of(self, pack: Pack) -> Dataset:
        return self.plan.datasets.of(pack.setup.run)

    def _fail(self, pack: Pack, error: Exception) -> None:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        self.failures.append(f"pack {pack.pack_id} ({len(pack.members)} runs): {type(error).__name__}: {line}")
        if not isinstance(error, OSError):
            rows = [{"run_id": member.run_id, "status": "failed", "error": line} for member in pack.members]
            self._writer.submit(self.directory.write_part, self.directory.results, pack.pack_id, rows)

    def _signals(self) -> "_StopOnSignal":
        return _StopOnSignal(self.stop)


class _StopOnSignal:
    """SIGINT and SIGTERM ask the sweep to stop after the running chunk; a second one ends the process at once."""

    def __init__(self, stop: threading.Event):
        self.stop = stop
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self.stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.stop.set()


__all__ = ["DONE", "FAILED", "STOPPED", "Options", "Outcome", "Plan", "describe", "make_plan", "run_sweep"]
