"""A sweep from its plan to the exit status: write down what is planned, train packs at every place, tell what came of it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lanes.engine import rungs
from lanes.engine.options import Options, Outcome
from lanes.engine.requests import Plan
from lanes.engine.stages import Stages
from lanes.errors import ExitStatus
from lanes.plan import shards, widths
from lanes.plan.widths import Choice
from lanes.storage import compaction, provenance, records
from lanes.storage.directory import Directory, print_warning
from lanes.storage.provenance import Call


def run_sweep(
    plan: Plan,
    out: Path,
    options: Options,
    *,
    experiment: Path | None = None,
    command: Sequence[str] = (),
    warn: Callable[[str], None] = print_warning,
) -> Outcome:
    """Train what is planned and not yet done in `out`; stopped by SIGINT, SIGTERM or `max_seconds`, it saves and returns."""
    began = time.perf_counter()
    directory = Directory(out, warn)
    halving = rungs.bind(directory, options.halving, plan.planned)
    records.directions(directory, plan.planned)
    directory.create()
    wanted = {one.run_id for one in plan.planned}
    try:
        choices = _bind_widths(plan, directory, options)
        packs = records.record(
            plan.planned,
            directory,
            choices,
            Call(plan.places, tuple(command), experiment),
            workers=len(plan.places) * (options.shard[1] if options.shard else 1),
            most=widths.most_lanes(plan.shapes, plan.places, options.pack_lanes),
            halving=halving,
        )
    except OSError as error:
        line = f"{out} cannot be written: {error.strerror or error}; free space or mend it, then run the same command again"
        return Outcome(ExitStatus.FAILED, 0, len(wanted), 0, 0, 0, time.perf_counter() - began, (line,))
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
