"""Train every run of an experiment file, side by side in compiled programs; repeat the command to resume."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from lanes.cli.command import run_command
from lanes.cli.json_output import say_json
from lanes.cli.process import import_jax, keep_freed_memory, loaded
from lanes.cli.sweep_hosts import joined, refusing_together, run_together
from lanes.cli.sweep_request import Choices, Request, requested
from lanes.errors import ExitStatus, RequestError, say, warn

if TYPE_CHECKING:
    from lanes.engine.options import Options, Outcome
    from lanes.engine.requests import Plan


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Train every run of an experiment file, side by side in compiled programs; repeat the command to resume."""

    experiment: tyro.conf.Positional[Path | None] = None
    """The experiment file (it is code: run only what you trust)."""
    out: Path | None = None
    """Directory for results, curves and checkpoints; with --from, the default is the directory itself."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """In place of a file: a sweep's directory, whose runs to train again, as in --from DIR --best 1 --seeds 10."""
    best: int | None = None
    """With --from: only the N best combinations."""
    metric: str | None = None
    """With --best: metric to rank by; the default is validation accuracy if there is one, else validation loss."""
    no_code: bool = False
    """With --from: refuse runs that need the directory's copy of the experiment, which is code."""
    set: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUE: set a field of every run that sweep() returns; dotted paths reach into descriptions: net.widths=128,128."""
    only: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUE or run_id=PREFIX: keep only matching runs; join alternative values with |."""
    seeds: int | None = None
    """Replace the seeds by 0 to N-1."""
    json: bool = False
    """Print one JSON document on standard output: the plan with --dry-run, else how the sweep ended, leaderboards and runs."""
    dry_run: Annotated[bool, tyro.conf.arg(name="dry-run")] = False
    """Validate every run and print the plan; train and write nothing."""
    width: str = "auto"
    """Lanes computed at once; auto picks a width, by measuring if the sweep is long enough to repay it."""
    programs: str = "auto"
    """shared: one program for runs that differ in regularizers, activation or schedule; separate; auto takes what is faster.
    Perceptrons of other widths share one where this is faster, unless separate."""
    devices: int | None = None
    """Use the first N devices; a CPU counts as one device per core."""
    hosts: bool = False
    """With --mapping data or shard_map: one program over the devices of all processes that srun, mpirun, Kubernetes or a TPU
    pod started for this command."""
    coordinator: str | None = None
    """The same where no launcher says which processes there are: HOST:PORT of process 0, with --process-id and --processes."""
    process_id: int | None = None
    """With --coordinator: the number of this process, from 0."""
    processes: int | None = None
    """With --coordinator: how many processes there are."""
    mapping: str = "local"
    """How packs use several devices: local, shard_map or pmap; data splits each batch over all devices, for a large net."""
    shard: str | None = None
    """I/N: train packs I, I+N, …; auto takes both numbers from the batch system, auto/N the task's number modulo N."""
    cluster: str | None = None
    """Train on a Ray cluster: auto (the one that this machine is in), ray://HOST:10001, or ray (this machine alone)."""
    collect: bool = False
    """With --cluster: this process writes the results; --out need not be shared with the cluster's nodes."""
    halving: str | None = None
    """Epochs R1,R2,… after which the worst runs are pruned, or off; overrides the file's HALVING."""
    keep: float | None = None
    """With --halving: the fraction of the runs kept each time (0.5)."""
    halving_metric: str | None = None
    """With --halving: the metric that ranks the runs (what they monitor: valid_loss)."""
    max_seconds: float | None = None
    """Save and stop after this many seconds (exit status 75), once a first chunk has been trained."""
    track: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Pass curves on while training: jsonl, tensorboard or wandb (offline), into DIR; besides the file's CALLBACKS."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; searched before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    data_bytes: int = 2 << 30
    """Data sets up to this size are held on the device; larger ones are streamed, in buffers of this size in all."""
    report: bool = True
    """Write DIR/report.html at the end."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 all runs ended, 2 wrong request, 3 some runs failed, 75 stopped early, everything saved."""
    keep_freed_memory()
    import_jax()
    import jax

    from lanes.cluster.batch_jobs import is_auto, parse_shard
    from lanes.describe.halving import parse_halving
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.program.places import prepare_devices
    from lanes.reporting.trackers import trackers

    loaded()
    tracking = trackers([name for group in arguments.track for name in group])
    halving = parse_halving(arguments.halving, arguments.keep, arguments.halving_metric)
    _check_cluster(arguments)
    options = Options(
        width=_width(arguments.width),
        sharing=arguments.programs,
        devices=arguments.devices,
        mapping=arguments.mapping,
        shard=None if arguments.shard is None else parse_shard(arguments.shard),
        helps_shards=arguments.shard is not None and is_auto(arguments.shard),
        max_seconds=arguments.max_seconds,
        data_dir=arguments.data_dir,
        data_bytes=arguments.data_bytes,
    )
    prepare_devices()
    if arguments.cluster is not None:
        jax.config.update("jax_platforms", "cpu")  # a GPU of this machine is a worker's
    options = dataclasses.replace(options, hosts=joined(arguments))
    choices = Choices(
        _texts(arguments.set),
        _texts(arguments.only),
        **{name: getattr(arguments, name) for name in ("seeds", "best", "metric", "no_code", "halving", "data_dir")},
    )
    plan = None
    with refusing_together(options.hosts):
        request = requested(arguments.experiment, arguments.from_, arguments.out, choices, halving)
        options = dataclasses.replace(options, halving=request.halving, callbacks=(*request.callbacks, *tracking))
        if options.hosts.several:
            plan = make_plan(request.runs, options, request.run_ids)

    def run() -> int:
        if arguments.cluster is None:
            outcome = _trained(request, options, arguments, plan=plan)
        else:
            outcome = _trained_on_cluster(request, options, arguments)
        if outcome is None:
            return ExitStatus.DONE
        _tell(outcome, request, arguments)
        return outcome.status

    return run() if plan is None else run_together(run, arguments, request, plan, options)


def _check_cluster(arguments: Arguments) -> None:
    """Raise RequestError for options that do not go with each other."""
    from lanes.cluster.ray_connection import check_address

    if arguments.cluster is not None:
        check_address(arguments.cluster)
        if arguments.shard is not None:
            raise RequestError("--cluster and --shard both divide the packs: leave one of them out")
    elif arguments.collect:
        raise RequestError("--collect is for workers of a cluster: add --cluster, or leave it out")


def _trained(
    request: Request,
    options: "Options",
    arguments: Arguments,
    check: "Callable[[Plan], None] | None" = None,
    plan: "Plan | None" = None,
) -> "Outcome | None":
    """How the sweep ended; None for a dry run, whose plan is printed. `check` refuses plans; `plan` is one that is made."""
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep

    later = check is None and not arguments.dry_run
    plan = make_plan(request.runs, options, request.run_ids, checked=not later) if plan is None else plan
    if check is not None:
        check(plan)
    if arguments.dry_run:
        _print_plan(plan, request.out, options, arguments.json)
        return None
    return run_sweep(
        plan,
        request.out,
        options,
        experiment=request.experiment,
        command=sys.argv,
        asking=request.asking(plan),
    )


def _trained_on_cluster(request: Request, options: "Options", arguments: Arguments) -> "Outcome | None":
    """The same, by the workers of a Ray cluster."""
    from lanes.cluster.ray_driver import Asked, Cluster

    assert arguments.cluster is not None
    asked = Asked(request.out, request.experiment, arguments.data_dir, len(request.callbacks), len(options.callbacks))
    with Cluster(arguments.cluster, arguments.devices, arguments.mapping, arguments.collect) as cluster:
        return _trained(
            request, dataclasses.replace(options, elsewhere=cluster), arguments, lambda plan: cluster.check(plan, asked)
        )


def _print_plan(plan: "Plan", out: Path, options: "Options", json: bool) -> None:
    """Print the plan of a dry run; nothing is trained or written."""
    from lanes.engine.continuing import going_on
    from lanes.engine.plan_summary import describe, summarize
    from lanes.engine.requests import check_data, in_recorded_programs
    from lanes.storage.directory import Directory

    directory = Directory(out, changes=False)
    check_data(plan, directory)
    plan = going_on(in_recorded_programs(plan, directory, options), directory, ranked=options.halving is not None)
    if json:
        say_json(summarize(plan, options, directory))
    else:
        print(describe(plan, options, directory))


def _tell(outcome: "Outcome", request: Request, arguments: Arguments) -> None:
    """Print how a sweep ended, and write the report."""
    for line in outcome.failures:
        warn(f"error: {line}")
    tell = warn if arguments.json else say
    tell(outcome.summary(request.out))
    for line in outcome.left:
        tell(f"note: {line}")
    if outcome.status == ExitStatus.STOPPED:
        tell(f"resume with: {request.resume}")
    elif arguments.report and outcome.ended:
        try:
            _report(request.out, bool(outcome.trained), arguments.json)
        except RequestError as error:  # what was trained is trained
            warn(f"note: no report: {error}")
    if arguments.json:
        say_json(_document(outcome, request.out))


def _document(outcome: "Outcome", out: Path) -> dict[str, Any]:
    """How a sweep ended, with its leaderboards and runs."""
    from lanes.results.documents import results_document, rows
    from lanes.results.tables import load

    table = load(out)
    document = {"directory": str(out), "exit_status": outcome.status, **outcome.numbers()}
    if not table["status"].notna().any():
        return {**document, "leaderboards": [], "notes": [], "runs": rows(table)}
    return {**document, **results_document(table)}


def _report(out: Path, has_trained: bool, quiet: bool) -> None:
    """Write the page, unless there is nothing new, and print the leaderboard, or what it leaves out if nothing was trained."""
    from lanes.reporting.pages import read, write_page
    from lanes.results.leaderboard import ranking
    from lanes.results.printed_leaderboard import print_leaderboard

    page = out / "report.html"
    sources = [(out / name).stat().st_mtime for name in ("results", "runs.parquet")]
    is_new = has_trained or not page.exists() or page.stat().st_mtime < max(sources)
    if quiet and not is_new:
        return
    runs, curves = read([out])
    ranked = ranking(runs)
    if is_new:
        page = write_page(ranked, curves, [out])
    if quiet:
        return
    if has_trained:
        print_leaderboard(ranked)
    elif ranked.left_out:
        say(ranked.left_out)
    say(f"report: {page}")


def _texts(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(text for group in groups for text in group)


def _width(text: str) -> int | None:
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise RequestError(f"--width is {text!r}: it must be a number of lanes, or auto") from None


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes sweep")
