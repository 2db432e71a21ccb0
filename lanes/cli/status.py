"""What a sweep is doing: workers, runs by status, time left, what failed. Reads only, and runs no code."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from lanes.cli.command import run_command
from lanes.cli.json_output import say_json
from lanes.errors import say

if TYPE_CHECKING:
    from lanes.results.status import Failed, Status
    from lanes.storage.life import Worker

SHOWN = 4  # packs of a worker, and run_ids of a failure


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What a sweep is doing: workers, runs by status, time left, what failed. Reads only, and runs no code."""

    directory: tyro.conf.Positional[Path]
    """A sweep's directory (its --out)."""
    json: bool = False
    """Print one JSON document."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0, or 2 (raised as a RequestError) for a directory without a sweep."""
    from lanes.results.status import as_json, status

    found = status(arguments.directory)
    if arguments.json:
        say_json(as_json(found))
        return 0
    for line in lines(found):
        say(line)
    return 0


def lines(found: "Status") -> list[str]:
    """A status in lines."""
    from lanes.engine.progress import clock

    counts = ", ".join(f"{count:,} {name}" for name, count in found.runs.items())
    left = "" if found.seconds_left is None else f" · about {clock(found.seconds_left)} left"
    out = [f"{found.directory}: {found.planned:,} runs: {counts}{left}"]
    out += [_worker(worker) for worker in found.workers]
    if not found.at_work and found.unended:
        then = f"; to go on: {found.repeat or 'repeat the call of lanes.sweep'}"
        out.append(f"no worker is at work{then}")
    return out + [line for failed in found.failed for line in _failed(found, failed)]


def _worker(worker: "Worker") -> str:
    from lanes.engine.progress import clock

    said = f"{worker.doing}, last sign of life {clock(worker.silent_seconds)} ago"
    if worker.state == "killed":
        said = f"killed {'while ' + worker.doing if worker.doing else ''}, {clock(worker.silent_seconds)} ago or later"
    elif worker.state == "silent":
        said = f"silent for {clock(worker.silent_seconds)}, was {worker.doing}"
    packs = [f"pack {one.pack} epoch {one.epoch}/{one.epochs} ({one.runs} runs)" for one in worker.packs]
    more = [f"{len(packs) - SHOWN} more"] if len(packs) > SHOWN else []
    shard = f", shard {worker.shard}" if worker.shard else ""
    return f"  process {worker.process} on {worker.host}{shard}: {said}" + "".join(
        f"; {pack}" for pack in packs[:SHOWN] + more
    )


def _failed(found: "Status", failed: "Failed") -> list[str]:
    """What failed, and what repeats it."""
    names = " ".join(failed.run_ids[:SHOWN]) + (" …" if len(failed.run_ids) > SHOWN else "")
    runs = "1 run" if len(failed.run_ids) == 1 else f"{len(failed.run_ids)} runs"
    all_of_them = failed.repeat or "the same call of lanes.sweep"
    one = f"lanes train --run {found.directory}:{failed.run_ids[0]} --out {found.directory}-{failed.run_ids[0]}"
    return [
        f"  failed: {runs} ({names}): {failed.error}",
        f"    to train them again: {all_of_them}; one alone: {one}",
    ]


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes status")
