"""What a sweep is doing: its workers, its runs by status, the time left, and what failed. Nothing is written, no code is run."""

import dataclasses
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lanes.storage import checkpoints, life
from lanes.storage.asked import ASKED_BY, EARLIER
from lanes.storage.directory import Directory, existing
from lanes.storage.life import Worker

ENDED = ("done", "stopped_early", "pruned", "diverged", "failed")
TRAINING, BEGUN, WAITING, LEFT = "training", "begun", "waiting", "of an earlier version"


@dataclasses.dataclass(frozen=True)
class Failed:
    """Runs that failed together.

    Attributes:
        run_ids: of the runs.
        error: why.
        repeat: a command that trains them again; None for runs that come from Python.
    """

    run_ids: tuple[str, ...]
    error: str
    repeat: str | None


@dataclasses.dataclass(frozen=True)
class Status:
    """What a sweep is doing.

    Attributes:
        directory: of the sweep.
        planned: number of runs.
        runs: their number by status: how they ended or, of those that have not, `training` (in a pack that a worker trains),
            `begun` (saved, and nobody trains them), `waiting`, or `of an earlier version` of the experiment file.
        workers: the calls that have not ended, killed ones included.
        seconds_left: an estimate; None if nobody trains, or before the first chunk.
        failed: the runs that failed.
        repeat: a command that goes on with runs that have not ended; None if all have, and for runs that come from Python.
    """

    directory: str
    planned: int
    runs: Mapping[str, int]
    workers: Sequence[Worker]
    seconds_left: float | None
    failed: Sequence[Failed]
    repeat: str | None

    @property
    def unended(self) -> int:
        """Number of runs that a sweep's command would train."""
        return sum(self.runs.get(name, 0) for name in (TRAINING, BEGUN, WAITING, "failed"))

    @property
    def at_work(self) -> list[Worker]:
        """The workers that are alive."""
        return [worker for worker in self.workers if worker.state == life.ALIVE]


def status(path: str | os.PathLike[str]) -> Status:
    """What the sweep of a directory is doing. Raises RequestError for a directory without a sweep."""
    (directory,) = existing([path], changes=False)
    runs = directory.planned_runs()
    results = directory.read_parts(directory.results)[["run_id", "status", "error"]]
    table = runs.reindex(columns=["run_id", "pack", EARLIER, ASKED_BY]).merge(results, on="run_id", how="left")
    workers = life.workers(directory)
    table["status"] = _statuses(directory, table, workers)
    counts = table["status"].value_counts()
    order = [*ENDED, TRAINING, BEGUN, WAITING, LEFT]
    by_status = {name: int(counts[name]) for name in order if name in counts}
    failed = [
        Failed(tuple(rows["run_id"]), str(error), _repeat(directory, rows))
        for (_, error), rows in table[table["status"] == "failed"].groupby(["pack", "error"], dropna=False, sort=False)
    ]
    unended = table[table["status"].isin([TRAINING, BEGUN, WAITING, "failed"])]
    return Status(
        directory=str(path),
        planned=len(table),
        runs=by_status,
        workers=workers,
        seconds_left=_seconds_left(len(unended), workers),
        failed=failed,
        repeat=_repeat(directory, unended) if len(unended) else None,
    )


def _statuses(directory: Directory, table: pd.DataFrame, workers: Sequence[Worker]) -> list[str]:
    """The status of each run."""
    at_work = {one.pack for worker in workers if worker.state != life.KILLED for one in worker.packs}
    ended = table["status"].notna()
    begun = {
        pack
        for pack in table.loc[~ended, "pack"].unique()
        if pack not in at_work and checkpoints.numbers_in(directory.checkpoints / pack)
    }
    out = []
    for is_ended, found, pack, earlier in zip(
        ended, table["status"], table["pack"], table[EARLIER].notna(), strict=True
    ):
        if is_ended and not (found == "failed" and pack in at_work):
            out.append(str(found))
        elif pack in at_work:
            out.append(TRAINING)
        else:
            out.append(LEFT if earlier else BEGUN if pack in begun else WAITING)
    return out


def _seconds_left(runs: int, workers: Sequence[Worker]) -> float | None:
    """The time until runs have ended, from what the workers that are alive say of themselves."""
    alive = [worker for worker in workers if worker.state == life.ALIVE]
    told = [worker.seconds_left for worker in alive if worker.seconds_left is not None]
    if not told:
        return None
    if len(alive) == 1 or any(worker.shard for worker in alive):
        return max(told)
    rate = sum(worker.runs_per_second or 0.0 for worker in alive)
    parts = sum(one.runs * min(1.0, one.epoch / max(one.epochs, 1)) for worker in alive for one in worker.packs)
    return min([max(0.0, runs - parts) / rate, max(told)]) if rate > 0 else max(told)


def _repeat(directory: Directory, rows: pd.DataFrame) -> str | None:
    """The command that asks for runs, as the directory records it; the last one that was given, where several do."""
    for text in rows[ASKED_BY].dropna().unique()[::-1]:
        commands = json.loads(text)
        for command in reversed(commands):
            if command["file"] is not None and not command.get("gone"):
                words = ["lanes", "sweep", command["file"], "--out", str(directory.path)]
                words += [word for setting in command["set"] for word in ("--set", setting)]
                words += [] if command["seeds"] is None else ["--seeds", str(command["seeds"])]
                return shlex.join(words)
    return None


def as_json(found: Status) -> dict[str, Any]:
    """A status as a JSON document."""
    content = dataclasses.asdict(found)
    return {**content, "runs": dict(found.runs), "workers": [dataclasses.asdict(one) for one in found.workers]}
