"""Prepare a TFDS data set as array_record files; downloads only with --yes, after printing what."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from lanes.cli.command import run_command
from lanes.errors import ExitStatus, say, warn


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Prepare a TFDS data set as array_record files; downloads only with --yes, after printing what.

    The files are read without TensorFlow. `digits` and generated sets need no preparation.
    """

    name: tyro.conf.Positional[str]
    """Name of the data set, as in TFDS: mnist, mnist:3.0.1, set/config."""
    data_dir: str | None = None
    """Folder for prepared sets; the default is $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    yes: bool = False
    """Download, after printing what."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 the set is ready; 2 it is not, and nothing was downloaded."""
    from lanes.data.tfds_preparing import plan, prepare

    planned = plan(arguments.name, arguments.data_dir)
    if planned is None:
        say(f"{arguments.name}: generated on use; nothing to prepare")
        return ExitStatus.DONE
    if isinstance(planned, Path):
        say(f"{arguments.name}: already prepared in {planned}")
        return ExitStatus.DONE
    for line in planned.lines():
        say(line)
    if not arguments.yes:
        warn("nothing was downloaded; add --yes to download")
        return ExitStatus.WRONG_REQUEST
    prepare(planned)
    return ExitStatus.DONE


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes prepare")
