"""Ask the workers of a sweep, on any host, to save and stop; or end single runs, while the others go on."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from lanes.cli.command import run_command
from lanes.errors import ExitStatus, RequestError, say

if TYPE_CHECKING:
    from lanes.storage.directory import Directory
    from lanes.storage.life import Worker

POLL_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Ask the workers of a sweep, on any host, to save and stop; or end single runs, while the others go on.

    Stopped workers exit with status 75; repeat the sweep's command to resume. Runs that are ended stay so, as stopped_early.
    """

    directory: tyro.conf.Positional[Path]
    """A sweep's directory (its --out)."""
    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """End these runs alone: run ids, or unambiguous prefixes of them."""
    wait: float = 60.0
    """Seconds to wait until the workers have stopped; 0 only asks."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 asked, and stopped within the time to wait; 2 (raised as a RequestError) wrong request; 3 not yet."""
    from lanes.storage.directory import existing

    (directory,) = existing([arguments.directory])
    try:
        if arguments.runs:
            return _end_runs(directory, arguments.runs)
        return _stop_workers(directory, arguments.wait)
    except OSError as error:
        raise RequestError(
            f"{directory.path} cannot be written ({error.strerror or error}): fix the cause, then repeat this command"
        ) from None


def _stop_workers(directory: "Directory", wait: float) -> int:
    from lanes.storage import life

    asked = [worker for worker in life.workers(directory) if not worker.is_gone]
    if not asked:
        say(f"no worker is at work in {directory.path}: nothing to stop")
        return ExitStatus.DONE
    for worker in asked:
        life.ask_to_stop(directory, worker.call)
    say(f"asked to save and stop: {', '.join(map(_name, asked))}")
    until = time.monotonic() + wait
    left = {worker.call: worker for worker in asked}
    while left and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        now = {worker.call: worker for worker in life.workers(directory)}
        for call, worker in list(left.items()):
            if call not in now or now[call].is_gone:
                say(f"  {_name(worker)} has {'stopped' if call not in now else 'ended'}")
                del left[call]
    if left and wait > 0:
        say(f"  not stopped yet: {', '.join(map(_name, left.values()))}; `lanes status {directory.path}` shows them")
        return ExitStatus.FAILED
    return ExitStatus.DONE


def _name(worker: "Worker") -> str:
    return f"process {worker.process} on {worker.host}"


def _end_runs(directory: "Directory", names: Sequence[str]) -> int:
    from lanes.storage import life, stops
    from lanes.storage.trained import find_run

    run_ids = list(dict.fromkeys(str(find_run(directory, name)["run_id"]) for name in names))
    results = directory.read_parts(directory.results)
    ended = dict(zip(results["run_id"], results["status"], strict=True))
    for run_id in run_ids:
        if run_id in ended and ended[run_id] != "failed":
            raise RequestError(f"run {run_id} has ended ({ended[run_id]}): leave it out, or `lanes forget` it")
    for run_id in run_ids:
        if run_id not in stops.names(directory):
            stops.write(directory, stops.Stop(run_id))
    are = "1 run ends" if len(run_ids) == 1 else f"{len(run_ids)} runs end"
    at_work = [worker for worker in life.workers(directory) if worker.state == life.ALIVE]
    when = "after its chunk, after one epoch at least" if at_work else "once the sweep's command is repeated"
    say(f"{are} {when}, as stopped_early with what they have reached: {' '.join(run_ids)}")
    return ExitStatus.DONE


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes stop")
