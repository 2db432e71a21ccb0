"""Prepare a TFDS data set as array_record files; downloads only with --yes, after saying what."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from lanes.cli.command import run_command
from lanes.errors import ExitStatus


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Prepare a TFDS data set as array_record files; downloads only with --yes, after saying what.

    The files are then read without TensorFlow. `digits` and generated sets need no preparation.
    """

    name: tyro.conf.Positional[str]
    """Name of the data set, as in TFDS: mnist, mnist:3.0.1, set/config."""
    data_dir: str | None = None
    """Folder for prepared sets. Default: $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    yes: bool = False
    """Download, after saying what."""
    traceback: bool = False
    """Show where an error came from."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 the set is ready; 2 it is not, and nothing was downloaded."""
    from lanes.data.tfds_preparing import plan, prepare

    planned = plan(arguments.name, arguments.data_dir)
    if planned is None:
        print(f"{arguments.name}: is generated when it is used; nothing to prepare")
        return ExitStatus.DONE
    if isinstance(planned, Path):
        print(f"{arguments.name}: is prepared in {planned}")
        return ExitStatus.DONE
    print("\n".join(planned.lines()))
    if not arguments.yes:
        print("nothing was downloaded; add --yes to do it", file=sys.stderr)
        return ExitStatus.WRONG_REQUEST
    prepare(planned)
    return ExitStatus.DONE


def run(words: Sequence[str]) -> int:
    """The command as typed after its name; its exit status."""
    return run_command(main, Arguments, words, "lanes prepare")
