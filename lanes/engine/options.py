"""How a sweep is run, as opposed to what it runs, and how it ended."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lanes.describe.halving import Halving
from lanes.engine.callbacks import Callback
from lanes.engine.elsewhere import Elsewhere
from lanes.plan.packs import Pack
from lanes.program.compiled import Programs
from lanes.program.hosts import ALONE, Hosts

DATA_BYTES = 2 << 30
CHUNK_SECONDS = 5.0
CHUNK_STEPS = 4096
WAIT_SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Options:
    """How a sweep is run, as opposed to what it runs. No option below `halving` changes a number.

    Attributes:
        width: lanes computed at once; None takes the directory's width, or else chooses one.
        sharing: whether runs that differ in which switched fields are on, in activation or schedule, share a training program:
            "shared", "separate", or "auto", which estimates what is faster; unless "separate", perceptrons of other widths share
            one where this is faster. A directory keeps the programs of its runs.
        devices: number of devices to use; None uses all.
        mapping: how packs map onto devices: "local", "shard_map", "pmap" or "data" (`lanes.program.places`).
        shard: (I, N): train only the packs I, I + N, I + 2N, …
        helps_shards: with a shard: afterwards train packs of others too, where nobody does.
        max_seconds: save and stop after this time, but not before a first chunk has been trained.
        data_dir: directory of the prepared TFDS data sets.
        data_bytes: data sets up to this size are held on the device; larger ones are streamed within this many bytes.
        quiet: show no progress.
        halving: prune the worse part of the runs at some epochs; None keeps the directory's halving, if any.
        pack_lanes: most lanes in a new pack, unless the width is larger; None is 128 on a CPU, 16,384 elsewhere.
        chunk_seconds: target time of a chunk: the most that a kill loses, and the longest that an interrupt takes. A program's
            second chunk, whose time the first tells roughly, takes at most 1.4 times as long.
        chunk_steps: most steps in a chunk; bounds the history and the table of orders on the device.
        wait_seconds: at a rung, how long a shard waits for packs that no other worker is training.
        programs: a cache of compiled programs to share with other sweeps of the same data; None makes a new one.
        after_chunk: called in the training thread after each chunk of a pack, with the pack and the epoch it has reached;
            if it returns True the sweep saves and stops; if it raises, the pack fails.
        callbacks: functions called after each chunk of whole epochs with a `Reached`, the curves of a pack's runs so far; each
            may return run_ids to end. They change no number but by that. If one raises, the sweep saves and stops. A callback
            with an attribute `called_every` is called after each so many epochs, where chunks then end.
        elsewhere: trains the packs in other processes, on the devices that these have; None trains here.
        hosts: the processes whose devices one program uses, and which of them this is.
    """

    width: int | None = None
    sharing: str = "auto"
    devices: int | None = None
    mapping: str = "local"
    shard: tuple[int, int] | None = None
    helps_shards: bool = False
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
    callbacks: Sequence[Callback] = ()
    elsewhere: Elsewhere | None = None
    hosts: Hosts = ALONE


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        status: the exit status: 0 all ended, 3 some failed, 75 stopped early with everything saved.
        ended: number of requested runs that have ended so far.
        planned: number of requested runs.
        trained: number of runs that this call trained.
        steps: training steps that this call executed, summed over running lanes.
        computed: the same, summed over all computed lanes: also those that ended but share a group with running ones.
        programs: training programs that this call used, compiled now or found in `Options.programs`.
        seconds: time of this call.
        compile_seconds: time spent tracing and compiling all programs, partly while others trained.
        failures: one line for each pack that failed.
        waiting: names of the shards with runs left, if the sweep is sharded.
        left: one line for each earlier version of the experiment with runs that have not ended: they stay as they are.
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
    left: tuple[str, ...] = ()

    def numbers(self) -> dict[str, Any]:
        """The attributes by name, without the status."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "status"}

    def summary(self, out: Path) -> str:
        """One line for the end of a sweep."""
        if not self.trained and not self.failures and self.ended == self.planned:
            return f"{self.ended} of {self.planned} runs in {out} had already ended: nothing to do"
        per_run = f", {1e3 * self.seconds / self.trained:.1f} ms per run" if self.trained else ""
        return (
            f"{self.ended} of {self.planned} runs ended in {out}: {self.trained} trained now by {self.programs} training "
            f"programs (compiled in {self.compile_seconds:.1f} s), {self.steps} steps, {self.seconds:.1f} s{per_run}"
            + (f"; not ended yet: {', '.join(self.waiting)}" if self.waiting else "")
        )
