"""Write the report of a sweep, one self-contained page; several directories are compared, paired by seed."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from lanes.cli.command import run_command


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write the report of a sweep, one self-contained page; several directories are compared, paired by seed."""

    directories: tyro.conf.Positional[tuple[Path, ...]]
    """What sweeps wrote (their --out). Differences are taken from the first."""
    metric: str | None = None
    """What ranks the combinations; validation accuracy where there is one, else validation loss."""
    out: Path | None = None
    """The page; report.html in the first directory."""
    top: int = 10
    """Rows of the leaderboard on the terminal."""
    traceback: bool = False
    """Show where an error came from."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 written; 2 (raised as a RequestError) for a missing directory, no results, a wrong metric."""
    from lanes.reporting.pages import read, write_report
    from lanes.results.leaderboard import print_leaderboard

    directories = list(arguments.directories)
    page = write_report(directories, arguments.metric, arguments.out)
    print_leaderboard(read(directories)[0], arguments.metric, arguments.top)
    print(f"report: {page}")
    return 0


def run(words: Sequence[str]) -> int:
    """The command as typed after its name; its exit status."""
    return run_command(main, Arguments, words, "lanes report")
