"""Simulates sweeps of 10⁶ and 10⁹ runs on 10 to 10,000 workers that share directories, from times measured on one machine.

    python -m benchmarks.scale_simulation [--write]

Every worker is one device: it starts, plans, compiles, and then takes one pack after the other until none is left. Packs are
written through one file server, which does a bounded number of operations a second. Workers differ in speed, and are lost and
replaced. What is measured and what is assumed stands in `Work` and `Cluster`; docs/scale.md holds the tables.
"""

import argparse
import dataclasses
import heapq
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.measuring import put_between

PULLS = 100  # of packs, at least, by a worker in a simulation: packs are taken in bundles where there are more
SCALE = Path(__file__).resolve().parents[1] / "docs" / "scale.md"


@dataclasses.dataclass(frozen=True)
class Work:
    """What a sweep's runs take, as measured on one device of two CPU cores.

    Attributes:
        run_seconds: of training, per run: the digits MLP for 20 epochs.
        lanes: runs in a pack.
        start_seconds: imports, and what is read before planning.
        plan_seconds: of planning, per run.
        compile_seconds: of all programs of the sweep, once per worker.
        operations: of the file system for a pack: new files and folders, renames, removals, and `fsync`.
        chunk_seconds: of training between two checkpoints: the most that a lost worker loses.
    """

    run_seconds: float = 0.028
    lanes: int = 128
    start_seconds: float = 3.0
    plan_seconds: float = 1.6e-4
    compile_seconds: float = 8.0
    operations: int = 113
    chunk_seconds: float = 5.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Workers and what they share; all of it assumed.

    Attributes:
        workers: their number.
        server_operations: of the file server, a second.
        spread: standard deviation of the logarithm of the workers' speeds.
        slow_share, slow_factor: the share of workers that are stragglers, and how many times as long these take.
        lost_after: mean seconds until a worker is lost, and replaced by one that starts anew.
    """

    workers: int
    server_operations: float = 5_000.0
    spread: float = 0.1
    slow_share: float = 0.01
    slow_factor: float = 3.0
    lost_after: float = 8 * 3600.0


@dataclasses.dataclass(frozen=True)
class Simulated:
    """What a sweep takes.

    Attributes:
        seconds: from the start of the workers to the last pack on disk.
        efficiency: the time that training takes if every worker does nothing else from start to end, divided by `seconds`.
        starting: share of the workers' time that is imports, planning and compiling.
        waiting: share of the workers' time in which they wait for the file server.
        lost: number of workers lost.
        tail: share of the workers' time in which they have nothing left to take.
    """

    seconds: float
    efficiency: float
    starting: float
    waiting: float
    lost: int
    tail: float


def simulate(runs: int, work: Work, cluster: Cluster, seed: int = 0) -> Simulated:
    """One directory: every worker plans all of its runs, then takes packs until none is left."""
    random = np.random.default_rng(seed)
    packs = math.ceil(runs / work.lanes)
    bundle = max(1, packs // (PULLS * cluster.workers))
    pace = np.exp(cluster.spread * random.standard_normal(cluster.workers))
    pace[random.random(cluster.workers) < cluster.slow_share] *= cluster.slow_factor
    start = work.start_seconds + work.plan_seconds * runs + work.compile_seconds
    trained = bundle * work.lanes * work.run_seconds
    written = bundle * work.operations / cluster.server_operations
    free = [(start * pace[at], at) for at in range(cluster.workers)]
    heapq.heapify(free)
    until_lost = random.exponential(cluster.lost_after, cluster.workers)
    served = waiting = 0.0
    starting, lost, left = start * float(pace.sum()), 0, packs
    while left > 0:
        now, at = heapq.heappop(free)
        share = min(left, bundle) / bundle
        done = now + share * trained * pace[at]
        if done > until_lost[at]:  # its last chunk is lost, and what it had written is not
            again = start * pace[at]
            starting, lost = starting + again, lost + 1
            done += again + random.random() * min(work.chunk_seconds, trained) * pace[at]
            until_lost[at] = done + random.exponential(cluster.lost_after)
        # Writing goes on while the next pack is trained, unless the server is behind.
        served = max(served, now) + share * written
        waiting += max(0.0, served - done)
        heapq.heappush(free, (max(done, served), at))
        left -= bundle
    ends = np.array([end for end, _ in free])
    seconds = float(ends.max())
    held = seconds * cluster.workers
    return Simulated(
        seconds,
        runs * work.run_seconds / float(np.sum(1 / pace)) / seconds,
        starting / held,
        waiting / held,
        lost,
        float(np.sum(seconds - ends)) / held,
    )


def simulate_directories(runs: int, directories: int, work: Work, cluster: Cluster, draws: int = 5) -> Simulated:
    """Equal directories with the workers dealt to them; means over `draws` simulations of one of them.

    Directories that run at the same time share the file server; those that are more than the workers follow one another.
    """
    at_once = min(directories, cluster.workers)
    server = cluster.server_operations / at_once
    part = dataclasses.replace(cluster, workers=cluster.workers // at_once, server_operations=server)
    found = [simulate(math.ceil(runs / directories), work, part, seed) for seed in range(draws)]
    mean = {
        name: float(np.mean([getattr(one, name) for one in found]))
        for name in ("efficiency", "starting", "waiting", "tail")
    }
    seconds = math.ceil(directories / at_once) * float(np.mean([one.seconds for one in found]))
    return Simulated(seconds=seconds, lost=round(directories * float(np.mean([one.lost for one in found]))), **mean)


def rows() -> list[list[str]]:
    """The table of docs/scale.md."""
    out = []
    for runs, divided in ((10**6, (1, 10)), (10**9, (1_000,))):
        for run_seconds in (0.028, 2.8):
            for workers in (10, 100, 1_000, 10_000):
                for directories in divided:
                    work, cluster = Work(run_seconds=run_seconds), Cluster(workers)
                    found = simulate_directories(runs, directories, work, cluster)
                    out.append(_row(runs, run_seconds, workers, directories, found))
    return out


HEAD = (
    "runs",
    "seconds a run",
    "workers",
    "directories",
    "time",
    "efficiency",
    "starting",
    "waiting for the file server",
    "nothing left to take",
    "workers lost",
)


def _row(runs: int, run_seconds: float, workers: int, directories: int, found: Simulated) -> list[str]:
    shares = (found.efficiency, found.starting, found.waiting, found.tail)
    counts = f"{runs:,}", f"{run_seconds:g}", f"{workers:,}", f"{directories:,}"
    return [*counts, duration(found.seconds), *(f"{share:.0%}" for share in shares), f"{found.lost:,}"]


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---:|" * len(HEAD)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in table)])


def main(words: Sequence[str]) -> None:
    """Print the table; with --write, put it into docs/scale.md too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write the table into docs/scale.md")
    arguments = parser.parse_args(words)
    text = markdown(rows())
    print(text)
    if arguments.write:
        put_between(SCALE, "simulation", text)


if __name__ == "__main__":
    main(sys.argv[1:])
