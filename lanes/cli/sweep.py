"""Train every run of an experiment file, side by side in compiled programs; repeat the command to resume."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from lanes.cli.command import run_command, typed
from lanes.cli.json_output import say_json
from lanes.errors import ExitStatus, RequestError, say, warn

if TYPE_CHECKING:
    from lanes.engine.options import Outcome

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Train every run of an experiment file, side by side in compiled programs; repeat the command to resume."""

    experiment: tyro.conf.Positional[Path]
    """The experiment file (it is code: run only what you trust)."""
    out: Path
    """Directory for results, curves and checkpoints."""
    set: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUE: set a field of every run that sweep() returns; dotted paths reach into descriptions: net.widths=128,128."""
    only: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUE: keep only matching runs; join alternative values with |."""
    seeds: int | None = None
    """Replace the seeds by 0 to N-1."""
    json: bool = False
    """Print one JSON document on standard output: the plan with --dry-run, else how the sweep ended, leaderboards and runs."""
    dry_run: Annotated[bool, tyro.conf.arg(name="dry-run")] = False
    """Validate every run and print the plan; train and write nothing."""
    width: str = "auto"
    """Lanes computed at once; auto picks a width, by measuring if the sweep is long enough to repay it."""
    programs: str = "auto"
    """shared: one program for runs that differ in regularizers, activation or schedule; separate; auto takes what is faster."""
    devices: int | None = None
    """Use the first N devices; a CPU counts as one device per core."""
    mapping: str = "local"
    """How packs use several devices: local, shard_map or pmap; data splits each batch over all devices, for a large net."""
    shard: str | None = None
    """I/N: train packs I, I+N, …; auto takes both numbers from Slurm or Kubernetes."""
    halving: str | None = None
    """Epochs R1,R2,… after which the worst runs are pruned; overrides the file's HALVING."""
    keep: float | None = None
    """With --halving: the fraction of the runs kept each time (0.5)."""
    halving_metric: str | None = None
    """With --halving: the metric that ranks the runs (valid_loss)."""
    max_seconds: float | None = None
    """Save and stop after this many seconds (exit status 75), once a first chunk has been trained."""
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
    from lanes.cluster.batch_jobs import parse_shard
    from lanes.describe import settings
    from lanes.describe.experiment_files import halving_of, runs_of
    from lanes.describe.halving import parse_halving
    from lanes.engine.asking import asking_of, with_changes
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep
    from lanes.program.places import prepare_devices

    halving = parse_halving(arguments.halving, arguments.keep, arguments.halving_metric)
    options = Options(
        width=_width(arguments.width),
        sharing=arguments.programs,
        devices=arguments.devices,
        mapping=arguments.mapping,
        shard=None if arguments.shard is None else parse_shard(arguments.shard),
        max_seconds=arguments.max_seconds,
        data_dir=arguments.data_dir,
        data_bytes=arguments.data_bytes,
        halving=halving,
    )
    prepare_devices()
    experiment = _experiment_file(arguments.experiment)
    asked = runs_of(experiment)
    if halving is None:
        options = dataclasses.replace(options, halving=halving_of(experiment))
    changes = [text for group in arguments.set for text in group]
    requested = settings.only(
        with_changes(asked, changes, arguments.seeds), [text for group in arguments.only for text in group]
    )
    plan = make_plan(requested, options)
    if arguments.dry_run:
        from lanes.engine.plan_summary import describe, summarize
        from lanes.engine.requests import check_data, in_recorded_programs
        from lanes.storage.directory import Directory

        directory = Directory(arguments.out, changes=False)
        check_data(plan, directory)
        plan = in_recorded_programs(plan, directory, options)
        if arguments.json:
            say_json(summarize(plan, options))
        else:
            print(describe(plan, options))
        return 0
    asking = asking_of(experiment, asked, changes, arguments.seeds, plan)
    outcome = run_sweep(plan, arguments.out, options, experiment=experiment, command=sys.argv, asking=asking)
    _tell(outcome, arguments)
    return outcome.status


def _tell(outcome: "Outcome", arguments: Arguments) -> None:
    """Print how a sweep ended, and write the report."""
    for line in outcome.failures:
        warn(f"error: {line}")
    tell = warn if arguments.json else say
    tell(outcome.summary(arguments.out))
    for line in outcome.left:
        tell(f"note: {line}")
    if outcome.status == ExitStatus.STOPPED:
        tell(f"resume with: {typed()}")
    elif arguments.report and outcome.ended:
        try:
            _report(arguments.out, bool(outcome.trained), arguments.json)
        except RequestError as error:  # what was trained is trained
            warn(f"note: no report: {error}")
    if arguments.json:
        say_json(_document(outcome, arguments.out))


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
    from lanes.reporting.pages import write_report
    from lanes.results.leaderboard import print_leaderboard
    from lanes.results.tables import load
    from lanes.results.versions import of_present_versions

    page = out / "report.html"
    sources = [(out / name).stat().st_mtime for name in ("results", "runs.parquet")]
    if has_trained or not page.exists() or page.stat().st_mtime < max(sources):
        page = write_report([out])
    if quiet:
        return
    if has_trained:
        print_leaderboard(load(out))
    elif left_out := of_present_versions(load(out))[1]:
        say(left_out)
    say(f"report: {page}")


def _experiment_file(experiment: Path) -> Path:
    """The experiment file: `experiments/NAME.py` means the checkout's if the current folder has none."""
    in_checkout = CHECKOUT / experiment
    if experiment.exists() or experiment.parts[:1] != ("experiments",) or not in_checkout.exists():
        return experiment
    warn(f"note: {experiment} is not in this folder; running {in_checkout}")
    return in_checkout


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
