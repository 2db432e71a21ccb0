"""Remove runs from a sweep: results, curves, checkpoints. The sweep's command trains again what it asks for."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from lanes.cli.command import run_command
from lanes.errors import RequestError, say


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Remove runs from a sweep: results, curves, checkpoints. The sweep's command trains again what it asks for."""

    directory: tyro.conf.Positional[Path]
    """A sweep's directory (its --out)."""
    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run ids, or unambiguous prefixes of them."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 forgotten; 2 (raised as a RequestError) for what cannot be forgotten, and nothing was changed."""
    from lanes.storage import forgetting
    from lanes.storage.directory import existing
    from lanes.storage.trained import find_run

    if not arguments.runs:
        raise RequestError("name the runs to forget: lanes forget DIR RUN …")
    (directory,) = existing([arguments.directory])
    rows = [find_run(directory, name) for name in arguments.runs]
    run_ids = list(dict.fromkeys(str(row["run_id"]) for row in rows))
    results = directory.read_parts(directory.results)
    ended = dict(zip(results["run_id"], results["status"], strict=True))
    try:
        forgetting.forget(directory, run_ids)
    except OSError as error:
        raise RequestError(
            f"{directory.path} cannot be written ({error.strerror or error}): fix the cause, then repeat this command"
        ) from None
    for run_id in run_ids:
        say(f"forgot run {run_id} ({ended.get(run_id, 'not ended')})")
    say(
        f"{len(directory.planned_runs()):,} runs are left in {directory.path}; the sweep's command trains the forgotten ones "
        "again if it asks for them, and report.html is of before"
    )
    return 0


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes forget")
