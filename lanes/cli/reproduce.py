"""Run the experiments on claims and papers again, and compare their verdicts with what is recorded."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from lanes.cli.command import run_command
from lanes.errors import ExitStatus, RequestError, say, warn

if TYPE_CHECKING:
    from lanes.results.reproducing import Experiment, Reproduced


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Run the experiments on claims and papers again, and compare their verdicts with what is recorded.

    Repeat the command to go on.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ("claims",)
    """claims, papers, names of experiments in these folders, or paths of experiment files."""
    out: Path = Path("runs/reproduced")
    """Folder for their sweeps, measurements and pictures."""
    folder: Path = Path("experiments")
    """Where the folders claims and papers are; the default is the checkout's if the current folder has none."""
    minutes: float | None = None
    """Save and stop after this time (exit status 75)."""
    record: bool = False
    """Record verdicts and pictures beside the experiments, in place of comparing with them."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; searched before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 all as recorded, 2 wrong request, 3 one is not or failed, 75 out of time, everything saved."""
    from lanes.cli.sweep_request import in_checkout
    from lanes.program.places import prepare_devices
    from lanes.results.reproducing import find

    if arguments.minutes is not None and arguments.minutes <= 0:
        raise RequestError(f"--minutes is {arguments.minutes:g}: it must be above 0")
    prepare_devices()
    experiments = find(arguments.names, in_checkout(arguments.folder))
    began, worst = time.monotonic(), ExitStatus.DONE
    for at, experiment in enumerate(experiments):
        left = None if arguments.minutes is None else 60 * arguments.minutes - (time.monotonic() - began)
        if left is not None and left <= 0:
            warn(f"out of time: {len(experiments) - at} of {len(experiments)} are left; repeat the command to go on")
            return ExitStatus.STOPPED
        status = _one(experiment, arguments, left)
        if status == ExitStatus.STOPPED:
            count = len(experiments)
            warn(f"stopped in {experiment.name}: {count - at} of {count} are left; repeat the command to go on")
            return status
        worst = max(worst, status)
    return worst


def _one(experiment: "Experiment", arguments: Arguments, left: float | None) -> ExitStatus:
    """Reproduce one experiment and say what came out."""
    from lanes.engine.options import Options
    from lanes.program.places import select_devices
    from lanes.results.reproducing import question, record, reproduce, stated, write

    say(f"{experiment.name}: {question(experiment.module)}")
    if (needs := stated(experiment.module, "Needs")) and select_devices(None)[0].platform == "cpu":
        need, *_ = needs.split(". ")
        say(f"  skipped: it needs {need} (lanes sweep {experiment.file} trains it here all the same)")
        return ExitStatus.DONE
    options = Options(max_seconds=left, data_dir=arguments.data_dir, quiet=True)
    try:
        found = reproduce(experiment, arguments.out, options, sys.argv)
    except RequestError as error:
        if "lanes prepare" in str(error):
            say(f"  skipped: {error}")
            return ExitStatus.DONE
        if len(arguments.names) == 1 and arguments.names[0] == experiment.name:
            raise
        warn(f"error: {experiment.name}: {error}")
        return ExitStatus.FAILED
    if isinstance(found, ExitStatus):
        if found != ExitStatus.STOPPED:
            warn(
                f"error: {experiment.name}: some of its runs failed: lanes status {arguments.out / experiment.name} says why"
            )
        return found
    if arguments.record:
        record(experiment, found)
    write(found, arguments.out, experiment.name)
    return _told(found, is_recorded=arguments.record)


def _told(found: "Reproduced", is_recorded: bool) -> ExitStatus:
    """Say the verdict, its numbers, and whether they are as recorded."""
    from lanes.results.verdicts import shown

    say(f"  {found.verdict.outcome}: {found.verdict.sentence}")
    for name, number in found.verdict.numbers.items():
        say(f"    {name}: {shown(number)}")
    if is_recorded:
        say(f"  recorded ({found.seconds:.0f} s of processor time)")
    elif found.differences is None:
        say(f"  nothing is recorded to compare it with: --record does ({found.seconds:.0f} s of processor time)")
    elif found.differences:
        warn(f"  not as recorded: {'; '.join(found.differences)}")
        return ExitStatus.FAILED
    else:
        say(f"  as recorded ({found.seconds:.0f} s of processor time)")
    return ExitStatus.DONE


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes reproduce")
