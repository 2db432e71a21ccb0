"""Write a sweep's report as one self-contained page; several directories are compared, paired by seed."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from lanes.cli.command import run_command
from lanes.cli.json_output import say_json
from lanes.errors import ExitStatus, RequestError, say, unknown, warn

if TYPE_CHECKING:
    import pandas as pd

TOP = 10


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write a sweep's report as one self-contained page; several directories are compared, paired by seed."""

    directories: tyro.conf.Positional[tuple[Path, ...]]
    """Directories of sweeps (their --out). Differences are relative to the first."""
    metric: str | None = None
    """Metric that ranks the combinations; by default the first that compares all runs of validation accuracy and loss."""
    out: Path | None = None
    """File to write: the page, by default report.html in the first directory, or the table of --table."""
    statistic: str = "mean"
    """mean, or iqm: also interquartile means with stratified bootstrap intervals (a section of the page)."""
    baseline: tuple[str, ...] = ()
    """FIELD=VALUE … that one combination meets: all others are compared with it, paired by seed, with corrected intervals."""
    top: int | None = None
    """Rows of the leaderboard in the terminal and in tables of LaTeX and Markdown (10)."""
    table: str | None = None
    """latex, markdown or csv: print the leaderboard as a table for a paper, or write it to --out, in place of the page."""
    pivot: tuple[str, str] | None = None
    """ROWS COLUMNS: two axes; with --table, the metric over these two in place of the leaderboard."""
    figures: Path | None = None
    """Folder to write the figures to as SVG and PNG, for a paper; other files there stay as they are."""
    over_time: bool = False
    """The directories are versions of one experiment: write over_time.html, the trend over them and what changed between."""
    watch: bool = False
    """Rewrite the page while a sweep runs, until it has ended; the page reloads itself."""
    json: bool = False
    """Print the leaderboards and the table of runs as one JSON document, in full."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 written; 2 (raised as a RequestError) for a missing directory, no results or an unknown metric.

    With --watch that of the sweep, or 75 if a signal ends it.
    """
    _check(arguments)
    if arguments.table is not None:
        return _table(arguments, arguments.table)
    from lanes.reporting.pages import read, write_page
    from lanes.reporting.printed_comparison import document, lines
    from lanes.results.documents import results_document
    from lanes.results.leaderboard import ranking
    from lanes.results.printed_leaderboard import print_leaderboard

    directories = list(arguments.directories)
    if arguments.over_time:
        return _over_time(arguments, directories)
    status = ExitStatus.DONE
    if arguments.watch:
        status, is_over = _watch(arguments)
        if not is_over:
            return status
    page = arguments.out or directories[0] / "report.html"
    runs, curves = read(directories)
    ranked = ranking(runs, arguments.metric)
    if not arguments.watch:
        write_page(ranked, curves, directories, page, arguments.statistic, arguments.baseline)
    drawn = _figures(arguments, runs, curves)
    if arguments.json:
        written = {"report": str(page)} | ({} if drawn is None else {"figures": [str(path) for path in drawn]})
        differences = {"differences": document(runs, arguments.metric)} if len(directories) > 1 else {}
        found = results_document(runs, arguments.metric, arguments.baseline, directories)
        say_json({**written, **found, **differences})
        return status
    print_leaderboard(ranked, arguments.top or TOP)
    for line in lines(runs, arguments.metric):
        say(line)
    say(f"report: {page}")
    if drawn is not None:
        say(f"figures: {arguments.figures} ({len(drawn)} files)")
    return status


def _over_time(arguments: Arguments, directories: list[Path]) -> int:
    """Write the page of versions, and say how they differ."""
    from lanes.reporting import pages
    from lanes.reporting.over_time import lines, over_time_document, write_over_time
    from lanes.results.over_time import in_order

    page = write_over_time(directories, arguments.metric, arguments.out)
    paths = pages.names_of(directories)
    versions = in_order(paths)
    runs, _ = pages.read([paths[version.name] for version in versions])
    if arguments.json:
        say_json({"report": str(page), **over_time_document(runs, versions, arguments.metric)})
        return ExitStatus.DONE
    for line in lines(runs, versions, arguments.metric):
        say(line)
    say(f"report: {page}")
    return ExitStatus.DONE


def _watch(arguments: Arguments) -> tuple[ExitStatus, bool]:
    """Rewrite the page until the sweeps have ended: the exit status, and whether they have, with results."""
    import threading

    from lanes.reporting.live_page import has_results, watch

    stop = threading.Event()
    call = {name: getattr(arguments, name) for name in ("metric", "out", "statistic", "baseline")}
    status = watch(arguments.directories, call, say, stop)
    if stop.is_set():
        warn("stopped: the page is of its last change; repeat the command to go on watching")
    elif not has_results(arguments.directories):
        warn("the sweep has ended, and no run with it: there is no page")
    else:
        return status, True
    return status, False


def _figures(arguments: Arguments, runs: "pd.DataFrame", curves: "pd.DataFrame") -> "list[Path] | None":
    """Write the figures and return their files; None if they were not asked for."""
    if arguments.figures is None:
        return None
    from lanes.reporting.static_figures import write_figures

    return write_figures(arguments.figures, runs, curves, arguments.metric, arguments.baseline)


def _check(arguments: Arguments) -> None:
    """Raises RequestError for options that contradict each other, and for places that cannot be written."""
    from lanes.files import oddity, unwritable
    from lanes.reporting.table_formats import FORMATS

    if arguments.top is not None and arguments.top < 1:
        raise RequestError(f"--top is {arguments.top}: it must be at least 1")
    if arguments.table is not None and arguments.table not in FORMATS:
        raise unknown("--table", arguments.table, FORMATS)
    if arguments.table is not None and arguments.json:
        raise RequestError(
            "--table and --json both print to standard output: choose one; --table csv holds numbers in full"
        )
    if arguments.table is not None and (
        arguments.statistic != "mean" or (arguments.baseline and not arguments.figures)
    ):
        raise RequestError("--baseline and --statistic are of the page, and --table writes none: leave them out")
    if arguments.watch and (arguments.json or arguments.table is not None):
        raise RequestError("--watch rewrites the page, and prints neither --table nor --json: leave it out, or them")
    others = [name for name in ("table", "figures", "watch", "baseline") if getattr(arguments, name)]
    if arguments.over_time and (others or arguments.statistic != "mean"):
        raise RequestError(f"--over-time writes a page of its own: leave --{(others or ['statistic'])[0]} out")
    if arguments.pivot is not None and arguments.table is None:
        raise RequestError("--pivot needs a format: add --table latex, markdown or csv")
    if arguments.figures is not None and (why := unwritable(arguments.figures)) is not None:
        raise RequestError(f"cannot write --figures {arguments.figures}: {why}; choose another folder")
    if (out := arguments.out) is not None:
        why = oddity(out) or (unwritable(out.parent) if out.parent.is_dir() else f"{out.parent} is no folder")
        if why:
            raise RequestError(f"cannot write --out {out}: {why}; choose another file")


def _table(arguments: Arguments, form: str) -> int:
    """Print or write a table for a paper."""
    from lanes.files import write_bytes
    from lanes.reporting.pages import read
    from lanes.reporting.paper_tables import tables
    from lanes.reporting.table_formats import written
    from lanes.results.leaderboard import ranking

    runs, curves = read(list(arguments.directories))
    top = arguments.top if form == "csv" else arguments.top or TOP
    ranked = ranking(runs, arguments.metric)
    text = written(tables(ranked, arguments.pivot, top), form)
    for note in ranked.notes:
        warn(f"note: {note}")
    if (drawn := _figures(arguments, runs, curves)) is not None:
        warn(f"figures: {arguments.figures} ({len(drawn)} files)")
    if arguments.out is None:
        for line in text.splitlines():
            say(line)
        return 0
    try:
        write_bytes(arguments.out, text.encode())
    except OSError as error:
        raise RequestError(f"cannot write --out {arguments.out}: {error.strerror}; choose another file") from None
    say(f"table: {arguments.out}")
    return 0


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes report")
