"""What is ours: the whole sweep with warm programs, and a pack on every device through the training program alone."""

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

SEEDS = 4  # different orders of examples in a pack


def many(run: Run, count: int) -> list[Run]:
    """`count` runs of one signature: rates and seeds differ."""
    return [
        dataclasses.replace(run, learning_rate=1e-3 * (1 + at // SEEDS / count), seed=at % SEEDS) for at in range(count)
    ]


def together(calls: Sequence[Callable[[], Any]]) -> float:
    """Seconds until all calls, each in a thread of its own, have returned.

    Raises what the first failing call raised.
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
    """A sweep as users run it (validation, planning, results, curves, checkpoints), its compiled programs kept between calls.

    Attributes:
        first_seconds: of the first call, compilation included.
    """

    def __init__(self, requested: list[Run], options: Options):
        programs = options.programs or Programs()
        self.requested, self.options = requested, dataclasses.replace(options, quiet=True, programs=programs)
        self.first_seconds: float | None = None

    def __call__(self) -> Sample:
        """Milliseconds per run of one sweep into a new directory.

        Raises RuntimeError where the sweep does not end well.
        """
        with tempfile.TemporaryDirectory() as out:
            began = time.perf_counter()
            plan = make_plan(self.requested, self.options)
            planned = time.perf_counter() - began
            outcome = run_sweep(plan, Path(out), self.options)
            seconds = time.perf_counter() - began
        if outcome.status:
            raise RuntimeError(f"sweep ended with status {outcome.status}: {'; '.join(outcome.failures)}")
        if self.first_seconds is None:
            self.first_seconds = seconds
        each = 1e3 / len(self.requested)
        return Sample(each * seconds, {"of which planning": f"{each * planned:.2f}"})


Calls = dict[Place, list[tuple[Callable, tuple[Any, ...]]]]


class Recording(Programs):
    """A cache of programs that keeps the calls of training programs, with their arguments, by place."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Calls = {}

    def get(self, key: tuple[Any, ...], place: Place, *args: Any, **options: Any) -> Callable:
        """As in `Programs`."""
        ready = super().get(key, place, *args, **options)

        @functools.wraps(ready, assigned=("memory_analysis",), updated=())
        def recorded(*args: Any) -> Any:
            self.calls.setdefault(place, []).append((ready, args))
            return ready(*args)

        return recorded if key[0] == "train" else ready


class Packs:
    """One pack for each device through the training program alone: the calls that a real sweep made, made again.

    The sweep is done once, at the first call, so that what fails there is one way's failure.

    Args:
        work: what is trained.
        width: lanes computed at once.
        lanes: in each pack; the next multiple of the width is taken.
        count: devices; None is all.
        changes: fields of the run to change.
        validated: time all chunks with a validation after every epoch; otherwise the first epoch, without one.
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
        )  # the first of two epochs is not validated
        self.run = dataclasses.replace(work.run, **length, **(changes or {}))
        self.temporary_bytes: int | None = None  # beside arguments and results; None where XLA does not say

    @functools.cached_property
    def calls(self) -> list[Callable[[], None]]:
        """For each device, its training program's calls one after the other."""
        places = make_plan([self.run], self.options).places
        requested = many(self.run, self.lanes * len(places))
        recording = Recording()
        WarmSweep(requested, dataclasses.replace(self.options, pack_lanes=self.lanes, programs=recording))()
        calls = recording.calls.values()
        assert len(calls) == len(places), f"{len(calls)} of {len(places)} devices had a pack"
        chosen = [each if self.validated else each[:1] for each in calls]
        self.temporary_bytes = _temporary_bytes(chosen[0][0][0])
        return [functools.partial(_one_after_the_other, each) for each in chosen]

    def __call__(self) -> Sample:
        """Milliseconds per run: of all its epochs, or of one where it is not validated."""
        lanes = self.lanes * len(self.calls)
        return Sample(1e3 * together(self.calls) / lanes, {"lanes at once": f"{lanes}"})


def _one_after_the_other(calls: Sequence[tuple[Callable, tuple[Any, ...]]]) -> None:
    for program, args in calls:
        jax.block_until_ready(program(*args))


def _temporary_bytes(program: Callable) -> int | None:
    analysis = program.memory_analysis() if hasattr(program, "memory_analysis") else None
    return getattr(analysis, "temp_size_in_bytes", None)
