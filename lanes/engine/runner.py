"""A sweep from its plan to its outcome: records the plan, trains packs at every place, and reports how it ended."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lanes.data.dataset import Dataset
from lanes.describe.halving import Halving
from lanes.engine import first_programs, rungs
from lanes.engine.continuing import going_on
from lanes.engine.life import Life
from lanes.engine.options import Options, Outcome
from lanes.engine.portions import portions
from lanes.engine.requests import Plan, check_data, check_halving, followed, in_recorded_programs
from lanes.engine.stages import Stages
from lanes.errors import ExitStatus, RequestError
from lanes.plan import shards, widths
from lanes.plan.widths import Choice
from lanes.program.compiled import Compiled
from lanes.storage import asked, calls, compaction, forgetting, provenance, records
from lanes.storage.asked import Asking
from lanes.storage.directory import Directory
from lanes.storage.intact_files import print_warning
from lanes.storage.provenance import Call

END_SECONDS = 0.5  # after a stop, for recording it


def run_sweep(
    plan: Plan,
    out: Path,
    options: Options,
    *,
    experiment: Path | None = None,
    command: Sequence[str] = (),
    asking: Asking | None = None,
    warn: Callable[[str], None] = print_warning,
) -> Outcome:
    """Train the planned runs that `out` does not have yet; on SIGINT, SIGTERM or `max_seconds`, save and return."""
    began = time.perf_counter()
    directory = Directory(out, warn)
    if directory.path.is_dir():
        plan = plan.checked()
    halving = rungs.bind(directory, followed(options.halving, plan.planned), plan.planned)
    if halving is not None and options.halving is None:
        check_recorded_halving(directory, halving, plan)
    records.directions(directory, plan.planned)
    plan = in_recorded_programs(plan, directory, options)
    check_data(plan, directory)
    plan = going_on(plan, directory, ranked=halving is not None)
    compiled = _with_first_begun(plan, directory, options, halving)
    plan = plan.checked()
    for note in plan.notes:
        directory.warn(f"note: {note}")
    directory.create()
    _finish_forgetting(directory)
    requested = {run.run_id for run in plan.planned}
    conditions = None if options.elsewhere is None else options.elsewhere.conditions
    call = Call(plan.places, tuple(command), experiment, asking, conditions)
    try:
        choices = _bind_widths(plan, directory, options)
        packs = records.record(
            plan.planned,
            directory,
            choices,
            call,
            portions=portions(plan, options),
            halving=halving,
            apart={run_id: source.epochs for run_id, source in plan.continued.items()},
        )
        records.note_split_sizes(directory, plan.planned, lambda run: _sizes(plan.datasets.of(run)))
        name = calls.begin(directory, call, shard=options.shard)
    except OSError as error:
        why = error.strerror or error
        line = f"{out} cannot be read or written: {why}; free space or fix the cause, then repeat this command"
        return Outcome(ExitStatus.FAILED, 0, len(requested), 0, 0, 0, time.perf_counter() - began, (line,))
    with Life(directory, name, options.shard) as life:
        stages = Stages(plan, directory, _from_now(options, began), halving, packs, life, compiled)
        status = stages.train()
    if status != ExitStatus.STOPPED:  # what stops it may leave it ten seconds
        try:
            compaction.join_parts(directory)
        except OSError as error:
            warn(f"{out}: small files could not be joined ({error.strerror or error}) and stay as they are")
    outcome = _outcome(stages, status, requested, time.perf_counter() - began)
    _record_end(directory, name, outcome)
    return outcome


def _with_first_begun(plan: Plan, directory: Directory, options: Options, halving: Halving | None) -> Compiled:
    """The programs of a sweep; those that a new one needs first are begun."""
    compiled = Compiled(len(plan.places), options.programs)
    first_programs.begin(
        plan, options, compiled, first_programs.foreseen(plan, directory, options, halving), is_fresh=True
    )
    return compiled


def _from_now(options: Options, began: float) -> Options:
    """The options with what is left of a time limit, which begins with the call: tracing its first programs may take long."""
    limit = options.max_seconds
    return options if limit is None else dataclasses.replace(options, max_seconds=limit - time.perf_counter() + began)


def _finish_forgetting(directory: Directory) -> None:
    """Remove what a killed `lanes forget` has left. Raises RequestError where it cannot be."""
    try:
        forgetting.finish(directory)
    except OSError as error:
        raise RequestError(
            f"{directory.path} cannot be written ({error.strerror or error}), and a `lanes forget` has not ended there: free "
            "space or fix the cause"
        ) from None


def _record_end(directory: Directory, name: str, outcome: Outcome) -> None:
    """Add to the call's file how it ended; on a disk that is full, or hangs after a stop, the file stays as it is."""

    def write() -> None:
        with contextlib.suppress(OSError):
            calls.end(
                directory, name, status=int(outcome.status), trained=outcome.trained, seconds=round(outcome.seconds, 1)
            )

    thread = threading.Thread(target=write, name="lanes-end", daemon=True)
    thread.start()
    thread.join(END_SECONDS if outcome.status == ExitStatus.STOPPED else None)


def _outcome(stages: Stages, status: ExitStatus, requested: set[str], seconds: float) -> Outcome:
    """How the stages of a call ended."""
    directory, shard = stages.directory, stages.options.shard
    all_ended = directory.ended()
    ended = all_ended & requested
    return Outcome(
        status=status,
        ended=len(ended),
        planned=len(requested),
        trained=len(ended & set().union(*(session.trained for session in stages.sessions))),
        steps=sum(session.steps for session in stages.sessions),
        computed=sum(session.computed for session in stages.sessions),
        programs=sum(key[0] == "train" for key in stages.compiled.keys),
        seconds=seconds,
        compile_seconds=sum(stages.compiled.seconds.values()),
        failures=tuple(stages.failures),
        left=tuple(asked.left_unended(directory, all_ended)),
        waiting=() if shard is None else tuple(shards.waiting(stages.packs, ended, shard[1])),
    )


def check_recorded_halving(directory: Directory, halving: Halving, plan: Plan) -> None:
    """Raise RequestError for a halving that a directory brings and that could not have been requested."""
    try:
        check_halving(halving, plan.planned, plan.datasets)
    except RequestError as error:
        raise RequestError(
            f"{directory.sweep_file} brings a halving that cannot be: {error}; or move that file away"
        ) from None


def _bind_widths(plan: Plan, directory: Directory, options: Options) -> dict[str, Choice]:
    """The width of each signature: the directory's if it has one, otherwise the option's, otherwise a chosen one."""
    known = records.bound_widths(directory, records.known_runs(directory))
    bound = {signature: known[key] for signature in plan.shapes if (key := provenance.short(signature)) in known}
    choices = widths.choose_widths(
        plan.planned,
        plan.shapes,
        plan.places,
        requested=options.width,
        bound=bound,
        # Programs to measure would have to run in other processes.
        data_of=None if options.elsewhere or options.hosts.several else lambda planned: plan.datasets.of(planned.run),
        warn=directory.warn,
    )
    for width in sorted({choice.width for choice in choices.values() if choice.how == "bound"} - {options.width}):
        if options.width is not None:
            directory.warn(
                f"--width {options.width} is ignored: {directory.path} was begun with width {width}, which every resume keeps"
            )
    return choices


def _sizes(data: Dataset) -> dict[str, int]:
    """Number of examples by split."""
    return {name: len(split) for name, split in data.splits().items()}
