"""The ways of lanes: the whole sweep with compiled programs, and the training program alone on a pack per device."""

import dataclasses
import functools
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.measuring import Sample
from benchmarks.works import Work
from lanes import Run
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.program.compiled import Programs
from lanes.program.places import Place

SEEDS = 4  # seeds, and so orders of examples, in a pack


def many(run: Run, count: int) -> list[Run]:
    """`count` runs of one signature, which differ in rate and seed."""
    return [
        dataclasses.replace(run, learning_rate=1e-3 * (1 + at // SEEDS / count), seed=at % SEEDS) for at in range(count)
    ]


def together(calls: Sequence[Callable[[], Any]]) -> float:
    """Seconds until all calls, each in its own thread, have returned.

    Raises the first error of any call.
    """
    failures: list[BaseException] = []

    def guarded(call: Callable[[], Any]) -> None:
        try:
            jax.block_until_ready(call())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    return seconds


class WarmSweep:
    """A sweep as users run it (validation, planning, results, curves, checkpoints); compiled programs are kept between calls.

    Attributes:
        first_seconds: duration of the first call, compilation included.
        programs: training programs that a call uses.
    """

    def __init__(self, requested: list[Run], options: Options):
        programs = options.programs or Programs()
        self.requested, self.options = requested, dataclasses.replace(options, quiet=True, programs=programs)
        self.first_seconds: float | None = None
        self.programs = 0

    def __call__(self) -> Sample:
        """Milliseconds per run of one sweep into a new directory.

        Raises RuntimeError if the sweep's exit status is not 0.
        """
        with tempfile.TemporaryDirectory() as out:
            began = time.perf_counter()
            plan = make_plan(self.requested, self.options)
            planned = time.perf_counter() - began
            outcome = run_sweep(plan, Path(out), self.options)
            seconds = time.perf_counter() - began
        if outcome.status:
            raise RuntimeError(f"sweep ended with status {outcome.status}: {'; '.join(outcome.failures)}")
        self.programs = outcome.programs
        if self.first_seconds is None:
            self.first_seconds = seconds
        per_run = 1e3 / len(self.requested)
        return Sample(per_run * seconds, {"planning, ms": f"{per_run * planned:.2f}"})


Calls = dict[Place, list[tuple[Callable, tuple[Any, ...]]]]


class Recording(Programs):
    """A cache of programs that records the calls of training programs, with their arguments, by place."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Calls = {}

    def get(self, key: tuple[Any, ...], place: Place, *args: Any, **options: Any) -> Callable:
        """As in `Programs`; a training program also records its calls."""
        ready = super().get(key, place, *args, **options)

        @functools.wraps(ready, assigned=("memory_analysis",), updated=())
        def recorded(*args: Any) -> Any:
            self.calls.setdefault(place, []).append((ready, args))
            return ready(*args)

        return recorded if key[0] == "train" else ready


class Packs:
    """The training program alone on one pack per device: repeats the calls that a real sweep made.

    That sweep runs at the first call, so that an error in it counts as this way's failure.

    Args:
        work: what to train.
        width: lanes computed at once.
        lanes: lanes in each pack, rounded up to a multiple of the width.
        count: number of devices; None is all.
        changes: fields of the run to change.
        validated: time all epochs, each followed by validation; otherwise only the first, without validation.
    """

    def __init__(
        self,
        work: Work,
        width: int,
        lanes: int,
        count: int | None,
        changes: dict[str, Any] | None = None,
        validated: bool = False,
    ):
        self.options = Options(width=width, devices=count, quiet=True)
        self.lanes = -(-lanes // width) * width
        self.validated = validated
        length: dict[str, Any] = (
            {} if validated else {"epochs": 2, "eval_every": 2}
        )  # no validation after the first epoch
        self.run = dataclasses.replace(work.run, **length, **(changes or {}))
        self.temporary_bytes: int | None = None  # in addition to arguments and results; None if XLA does not report it

    @functools.cached_property
    def calls(self) -> list[Callable[[], None]]:
        """For each device, a function that repeats its training program's calls in order."""
        places = make_plan([self.run], self.options).places
        requested = many(self.run, self.lanes * len(places))
        recording = Recording()
        WarmSweep(requested, dataclasses.replace(self.options, pack_lanes=self.lanes, programs=recording))()
        calls = recording.calls.values()
        assert len(calls) == len(places), f"{len(calls)} of {len(places)} devices had a pack"
        # Of two epochs the first; a call computes a pack, or on a CPU one of its groups.
        timed = [on_device if self.validated else on_device[: len(on_device) // 2] for on_device in calls]
        self.temporary_bytes = _temporary_bytes(timed[0][0][0])
        return [functools.partial(_in_order, on_device) for on_device in timed]

    def __call__(self) -> Sample:
        """Milliseconds per run: for all its epochs, or for one if not validated."""
        lanes = self.lanes * len(self.calls)
        return Sample(1e3 * together(self.calls) / lanes, {"lanes at once": f"{lanes}"})


def _in_order(calls: Sequence[tuple[Callable, tuple[Any, ...]]]) -> None:
    for program, args in calls:
        jax.block_until_ready(program(*args))


def _temporary_bytes(program: Callable) -> int | None:
    analysis = program.memory_analysis() if hasattr(program, "memory_analysis") else None
    return getattr(analysis, "temp_size_in_bytes", None)
