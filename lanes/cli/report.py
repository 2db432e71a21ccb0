"""Write a sweep's report as one self-contained page; several directories are compared, paired by seed."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from lanes.cli.command import run_command
from lanes.cli.json_output import say_json
from lanes.errors import say


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write a sweep's report as one self-contained page; several directories are compared, paired by seed."""

    directories: tyro.conf.Positional[tuple[Path, ...]]
    """Directories of sweeps (their --out). Differences are relative to the first."""
    metric: str | None = None
    """Metric that ranks the combinations; by default the first that compares all runs of validation accuracy and loss."""
    out: Path | None = None
    """File to write; the default is report.html in the first directory."""
    statistic: str = "mean"
    """mean, or iqm: also interquartile means with stratified bootstrap intervals (a section of the page)."""
    baseline: tuple[str, ...] = ()
    """FIELD=VALUE … that one combination meets: all others are compared with it, paired by seed, with corrected intervals."""
    top: int = 10
    """Rows of the leaderboard printed in the terminal."""
    json: bool = False
    """Print the leaderboards and the table of runs as one JSON document, in full."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 written; 2 (raised as a RequestError) for a missing directory, no results or an unknown metric."""
    from lanes.reporting.pages import read, write_report
    from lanes.results.documents import results_document
    from lanes.results.printed_leaderboard import print_leaderboard

    directories = list(arguments.directories)
    page = write_report(directories, arguments.metric, arguments.out, arguments.statistic, arguments.baseline)
    runs = read(directories)[0]
    if arguments.json:
        say_json({"report": str(page), **results_document(runs, arguments.metric, arguments.baseline, directories)})
        return 0
    print_leaderboard(runs, arguments.metric, arguments.top)
    say(f"report: {page}")
    return 0


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes report")
