"""How a sweep is run, as against what is run, and how it ended."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from lanes.describe.halving import Halving
from lanes.plan.packs import Pack
from lanes.program.compiled import Programs

DATA_BYTES = 2 << 30
CHUNK_SECONDS = 5.0
CHUNK_STEPS = 4096
WAIT_SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Options:
    """How a sweep is run, as against what is run. No option below `halving` changes a number.

    Attributes:
        width: lanes computed at once; None is measured or taken from the directory.
        devices: how many devices; None is all.
        mapping: of packs onto the devices: "local", "shard_map", "pmap" or "data" (`lanes.program.places`).
        shard: (I, N): train the packs I, I + N, I + 2N, … only.
        max_seconds: stop, saved, after so long.
        data_dir: where prepared TFDS sets are.
        data_bytes: a data set up to so many bytes is held on the device; a larger one is streamed within as many.
        quiet: no progress.
        halving: prune the worse part of the runs at some epochs; None is what the directory was begun with.
        pack_lanes: lanes in a new pack at most, where the width asks for no more; None is 128 on a CPU, 16,384 elsewhere.
        chunk_seconds: the time that a chunk should take: what a kill loses at most, and how long an interrupt may take.
        chunk_steps: steps in a chunk at most: bounds the history and the table of orders on the device.
        wait_seconds: at a rung, how long a shard waits for packs that no other worker is training.
        programs: a cache of compiled programs to share with other sweeps of the same data; None is one of its own.
        after_chunk: called in the training thread with each pack and the epoch that it has reached, after each of its chunks;
            the sweep stops, saved, where it returns True, and the pack fails where it raises.
    """

    width: int | None = None
    devices: int | None = None
    mapping: str = "local"
    shard: tuple[int, int] | None = None
    max_seconds: float | None = None
    data_dir: str | None = None
    data_bytes: int = DATA_BYTES
    quiet: bool = False
    halving: Halving | None = None
    pack_lanes: int | None = None
    chunk_seconds: float = CHUNK_SECONDS
    chunk_steps: int = CHUNK_STEPS
    wait_seconds: float = WAIT_SECONDS
    programs: Programs | None = None
    after_chunk: Callable[[Pack, int], bool | None] | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        status: the exit status: 0 all ended, 3 some failed, 75 stopped early with everything saved.
        ended: runs of the request that have ended, by now.
        planned: runs of the request.
        trained: runs that this call trained.
        steps: training steps that this call executed, summed over running lanes.
        computed: the same, summed over all lanes that were computed: ended ones beside running ones included.
        programs: training programs that this call used, compiled now or found in `Options.programs`.
        seconds: of this call.
        compile_seconds: of tracing and compiling all programs, part of them while others trained.
        failures: one line for each pack that failed.
        waiting: the shards that have runs left, by name, where the sweep is sharded.
    """

    status: int
    ended: int
    planned: int
    trained: int
    steps: int
    programs: int
    seconds: float
    failures: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    compile_seconds: float = 0.0
    computed: int = 0

    def summary(self, out: Path) -> str:
        """One line for the end of a sweep."""
        if not self.trained and not self.failures and self.ended == self.planned:
            return f"{self.ended} of {self.planned} runs in {out} had ended before: nothing to do"
        each = f", {1e3 * self.seconds / self.trained:.1f} ms per run" if self.trained else ""
        return (
            f"{self.ended} of {self.planned} runs ended in {out}: {self.trained} trained now by {self.programs} training "
            f"programs (compiled in {self.compile_seconds:.1f} s), {self.steps} steps, {self.seconds:.1f} s{each}"
            + (f"; not ended yet: {', '.join(self.waiting)}" if self.waiting else "")
        )
