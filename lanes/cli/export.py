"""Write one trained run's parameters to a file that needs no lanes to be read."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from lanes.cli.command import run_command
from lanes.errors import ExitStatus, say


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write one trained run's parameters to a file that needs no lanes to be read."""

    directory: tyro.conf.Positional[Path]
    """A sweep's directory (its --out)."""
    run: str
    """A run id, or an unambiguous prefix of it."""
    to: Path
    """FILE.npz, FILE.msgpack (Flax), FILE.safetensors, or a folder for an Orbax checkpoint; it must not exist."""
    epoch: str = "best"
    """best or last: the parameters of the best epoch by what the run monitors (the validation loss), or of the last epoch."""
    no_code: bool = False
    """Refuse a run that needs the directory's copy of the experiment, which is code."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 written; 2 (raised as a RequestError) for an invalid request."""
    from lanes.results.exporting import export

    path = export(arguments.directory, arguments.run, arguments.to, epoch=arguments.epoch, trust=not arguments.no_code)
    say(f"run {arguments.run}, {arguments.epoch} epoch: {path}")
    return ExitStatus.DONE


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes export")
