"""A sweep from the request to the exit status: validate, plan, write down what is planned, train packs at every place."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lanes.describe import checks, runs
from lanes.describe.descriptions import display_name
from lanes.describe.halving import Halving
from lanes.describe.runs import Run
from lanes.engine import rungs
from lanes.engine.session import DONE, FAILED, STOPPED
from lanes.engine.stages import Stages
from lanes.engine.trainer import DATA_BYTES
from lanes.errors import RequestError
from lanes.plan import shards, widths
from lanes.plan.families import Families, refusing
from lanes.plan.packs import Pack, describe_plan, make_packs
from lanes.plan.planned import Datasets, Planned
from lanes.plan.widths import Choice
from lanes.program import memory
from lanes.program.places import Place, make_places, select_devices
from lanes.program.shared_activation import MOST_CALLS
from lanes.storage import compaction, provenance, records
from lanes.storage.directory import Directory, tell
from nets import MLP


@dataclasses.dataclass(frozen=True)
class Options:
    """How a sweep is run, as against what is run.

    Attributes:
        width: lanes computed at once; None is measured or taken from the directory.
        devices: how many devices; None is all.
        mapping: of packs onto the devices: "local", "shard_map", "pmap" or "data" (`lanes.program.places`).
        shard: (I, N): train the packs I, I + N, I + 2N, … only.
        max_seconds: stop, saved, after so long.
        data_dir: where prepared TFDS sets are.
        data_bytes: a data set up to so many bytes is held on the device; a larger one is streamed within as many.
        quiet: no progress.
        halving: prune the worse part of the runs at some epochs; None is what the directory was begun with.
    """

    width: int | None = None
    devices: int | None = None
    mapping: str = "local"
    shard: tuple[int, int] | None = None
    max_seconds: float | None = None
    data_dir: str | None = None
    data_bytes: int = DATA_BYTES
    quiet: bool = False
    halving: Halving | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        status: the exit status: 0 all ended, 3 some failed, 75 stopped early with everything saved.
        ended: runs of the request that have ended, by now.
        planned: runs of the request.
        trained: runs that this call trained.
        steps: training steps that this call executed, summed over running lanes.
        computed: the same, summed over all lanes that were computed: ended ones beside running ones included.
        programs: training programs compiled.
        seconds: of this call.
        compile_seconds: of tracing and compiling all programs, part of them while others trained.
        failures: one line for each pack that failed.
        waiting: the shards that have runs left, by name, where the sweep is sharded.
    """

    status: int
    ended: int
    planned: int
    trained: int
    steps: int
    programs: int
    seconds: float
    failures: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    compile_seconds: float = 0.0
    computed: int = 0

    def summary(self, out: Path) -> str:
        """One line for the end of a sweep."""
        if not self.trained and not self.failures and self.ended == self.planned:
            return f"{self.ended} of {self.planned} runs in {out} had ended before: nothing to do"
        each = f", {1e3 * self.seconds / self.trained:.1f} ms per run" if self.trained else ""
        return (
            f"{self.ended} of {self.planned} runs ended in {out}: {self.trained} trained now by {self.programs} training "
            f"programs (compiled in {self.compile_seconds:.1f} s), {self.steps} steps, {self.seconds:.1f} s{each}"
            + (f"; not ended yet: {', '.join(self.waiting)}" if self.waiting else "")
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """A validated request: the runs, their data sets, and the places to train at."""

    planned: list[Planned]
    datasets: Datasets
    places: list[Place]
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
    places = make_places(select_devices(options.devices), options.mapping)
    if options.width is not None and options.width < 1:
        raise RequestError(f"--width is {options.width}: it must be at least 1, or auto")
    datasets = Datasets(options.data_dir)
    on_cpu = places[0].devices[0].platform == "cpu"
    families = Families(datasets, share=lambda run: on_cpu and _is_shallow(run))
    distinct: dict[str, Planned] = {}
    for run in requested:
        one = families.plan(run)
        _check_splits(one.run.batch_size, places[0])
        distinct.setdefault(one.run_id, one)
    planned = list(distinct.values())
    if options.halving is not None:
        if not isinstance(options.halving, Halving):
            raise RequestError(f"halving is {options.halving!r}: it must be Halving(rungs=(5, 10), keep=0.5)")
        options.halving.check_runs(planned, datasets)
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for one in planned:
        if one.signature not in shapes:
            with refusing(f"net {type(one.run.net).__name__} cannot be built"):
                shapes[one.signature] = checks.check_buildable(one.setup, datasets.of(one.run))
        if one.run.init_from is not None:
            with refusing(f"init_from is {one.run.init_from!r}"):
                checks.check_init_from(one.run.init_from, one.setup, datasets.of(one.run))
    return Plan(planned, datasets, places, shapes)


def _check_splits(batch_size: int, place: Place) -> None:
    if place.mapping == "data" and batch_size % len(place.devices):
        raise RequestError(
            f"batch_size is {batch_size} and --mapping data splits it over {len(place.devices)} devices: it must be a "
            "multiple of them; change it, or say --devices"
        )


def _is_shallow(run: Run) -> bool:
    """Whether a net calls its activation so seldom that one program for all activations pays."""
    return isinstance(run.net, MLP) and len(run.net.widths) <= MOST_CALLS


def describe(plan: Plan, options: Options) -> str:
    """The plan as text: runs, packs, programs, parameters and memory; nothing is compiled for it."""
    choices = widths.choose_widths(plan.planned, plan.shapes, plan.places, given=options.width)
    wanted = {signature: choice.width for signature, choice in choices.items()}
    most = widths.most_lanes(plan.shapes, plan.places)
    packs = make_packs(plan.planned, wanted, len(plan.places), plan.places[0].shards, most)
    counts = describe_plan(packs)
    used = sum(len(place.devices) for place in plan.places)
    lines = [
        f"{counts['runs']} runs in {counts['packs']} packs by {counts['programs']} training programs, "
        f"on {used} devices ({options.mapping})"
    ]
    for signature in plan.shapes:
        mine = [pack for pack in packs if pack.signature == signature]
        parameters = plan.parameters(signature)
        size = memory.megabytes(parameters * 4 * memory.COPIES * mine[0].size)
        lines.append(
            f"  {type(mine[0].setup.run.net).__name__}, {display(mine)}: {sum(len(pack.members) for pack in mine)} runs, "
            f"{len(mine)} packs of {mine[0].size} lanes, width {mine[0].width}, {parameters:,} parameters, "
            f"about {size} of state in a pack"
        )
    if options.halving is not None:
        lines.append("  " + options.halving.describe(len(plan.planned)))
    return "\n".join(lines)


def display(packs: Sequence[Pack]) -> str:
    """The activations of some packs."""
    table = runs.TABLES["activation"]
    return "|".join(sorted({str(display_name(m.run.activation, table)) for p in packs for m in p.members}))


def run_sweep(
    plan: Plan,
    out: Path,
    options: Options,
    *,
    experiment: Path | None = None,
    command: Sequence[str] = (),
    warn: Callable[[str], None] = tell,
) -> Outcome:
    """Train what is planned and not yet done in `out`; stopped by SIGINT, SIGTERM or `max_seconds`, it saves and returns."""
    began = time.perf_counter()
    directory = Directory(out, warn)
    halving = rungs.bind(directory, options.halving, plan.planned)
    directory.create()
    wanted = {one.run_id for one in plan.planned}
    try:
        choices = _bind_widths(plan, directory, options)
        packs = records.record(
            plan.planned,
            directory,
            {signature: choice.width for signature, choice in choices.items()},
            plan.places,
            len(plan.places) * (options.shard[1] if options.shard else 1),
            experiment,
            command,
            chosen={signature: choice.how for signature, choice in choices.items() if choice.how != "bound"},
            most=widths.most_lanes(plan.shapes, plan.places),
            halving=halving,
        )
    except OSError as error:
        line = f"{out} cannot be written: {error.strerror or error}; free space or mend it, then run the same command again"
        return Outcome(FAILED, 0, len(wanted), 0, 0, 0, time.perf_counter() - began, (line,))
    stages = Stages(plan, directory, options, halving, packs)
    status = stages.train()
    try:
        compaction.join_parts(directory)
    except OSError as error:
        warn(f"{out}: small files could not be joined ({error.strerror or error}): they stay as they are")
    after = directory.ended() & wanted
    return Outcome(
        status=status,
        ended=len(after),
        planned=len(wanted),
        trained=len(after & set().union(*(session.trained for session in stages.sessions))),
        steps=sum(session.steps for session in stages.sessions),
        computed=sum(session.computed for session in stages.sessions),
        programs=sum(key[0] == "train" for key in stages.compiled.keys),
        seconds=time.perf_counter() - began,
        compile_seconds=sum(stages.compiled.seconds.values()),
        failures=tuple(stages.failures),
        waiting=() if options.shard is None else tuple(shards.waiting(stages.packs, after, options.shard[1])),
    )


def _bind_widths(plan: Plan, directory: Directory, options: Options) -> dict[str, Choice]:
    """Width by signature: the directory's own where it has one, otherwise the option's, otherwise the best one."""
    known = records.bound_widths(directory, records.known_runs(directory))
    bound = {signature: known[key] for signature in plan.shapes if (key := provenance.short(signature)) in known}
    choices = widths.choose_widths(
        plan.planned,
        plan.shapes,
        plan.places,
        given=options.width,
        bound=bound,
        data_of=lambda one: plan.datasets.of(one.run),
        warn=directory.warn,
    )
    for width in sorted({choice.width for choice in choices.values() if choice.how == "bound"} - {options.width}):
        if options.width is not None:
            directory.warn(
                f"--width {options.width} is ignored: {directory.path} was begun with width {width}, which binds all who resume"
            )
    return choices


__all__ = ["DONE", "FAILED", "STOPPED", "Options", "Outcome", "Plan", "describe", "make_plan", "run_sweep"]
