"""What is ours: the whole sweep with warm programs, and a pack on every device through the training program alone."""

import dataclasses
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measuring import Sample
from benchmarks.works import Work
from lanes import Run, planning, program, runner, runs, training
from lanes.devices import Compiled, Place
from lanes.orders import epoch_order
from lanes.planning import Pack
from lanes.runner import Options

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
        self.requested, self.options = requested, dataclasses.replace(options, quiet=True)
        self.compiled = Compiled()
        self.first_seconds: float | None = None

    def __call__(self) -> Sample:
        """Milliseconds per run of one sweep into a new directory.

        Raises RuntimeError where the sweep does not end well.
        """
        with tempfile.TemporaryDirectory() as out, mock.patch.object(runner, "Compiled", lambda: self.compiled):
            began = time.perf_counter()
            plan = runner.make_plan(self.requested, self.options)
            planned = time.perf_counter() - began
            outcome = runner.run_sweep(plan, Path(out), self.options)
            seconds = time.perf_counter() - began
        if outcome.status:
            raise RuntimeError(f"sweep ended with status {outcome.status}: {'; '.join(outcome.failures)}")
        if self.first_seconds is None:
            self.first_seconds = seconds
        each = 1e3 / len(self.requested)
        return Sample(each * seconds, {"of which planning": f"{each * planned:.2f}"})


class Packs:
    """One pack for each device, trained by the chunk program: no files, no evaluation.

    Every call trains the same `epochs` from the same start; a run's epochs number so many that none is its last, which
    would be evaluated.

    Attributes:
        lanes: in all packs.
        temporary_bytes: what the program needs beside its arguments and results; None where XLA does not say.
    """

    def __init__(self, work: Work, width: int, lanes: int, devices: int | None, changes: dict[str, Any] | None = None):
        self.epochs = work.epochs
        run = dataclasses.replace(work.run, **{"epochs": 10**6, "eval_every": 10**6, **(changes or {})})
        plan = runner.make_plan(many(run, 1), Options(devices=devices))
        self.lanes = lanes * len(plan.places)
        plan = runner.make_plan(many(run, self.lanes), Options(devices=devices))
        widths = {one.signature: width for one in plan.planned}
        with mock.patch.object(planning, "MOST_LANES", lanes):
            packs = planning.make_packs(plan.planned, widths, len(plan.places), 1)
        assert len(packs) == len(plan.places), f"{len(packs)} packs for {len(plan.places)} devices"
        self.temporary_bytes: int | None = None
        self.compiled = Compiled()
        self.calls = [self._program(plan, pack, place) for pack, place in zip(packs, plan.places)]

    def _program(self, plan: runner.Plan, pack: Pack, place: Place) -> Callable[[], Any]:
        """The compiled chunk program with its arguments on the place."""
        dataset = plan.datasets.of(pack.setup.run)
        on_host = training.numbers_of(pack)
        data = training.on_device(dataset, place)
        empty = np.array([lane is None for lane in pack.lanes])
        numbers = place.split(on_host)
        lanes = jax.jit(program.start, static_argnums=0)(
            pack.setup, place.split(_alike(pack, on_host, dataset)), numbers, place.split(empty)
        )
        slots = np.array([lane.run.seed if lane else 0 for lane in pack.lanes], np.int32)
        args = (lanes, numbers, place.split(slots), place.shared(self._orders(pack)), data, jnp.int32(0), jnp.int32(0))
        chunk = program.Chunk(pack.setup, pack.width, self.epochs)
        compiled = self.compiled.get(("train", pack.signature), place, chunk, 3, args)
        analysis = compiled.memory_analysis() if hasattr(compiled, "memory_analysis") else None
        self.temporary_bytes = getattr(analysis, "temp_size_in_bytes", None)
        return lambda: compiled(*args[:-1], jnp.int32(self.epochs))

    def _orders(self, pack: Pack) -> np.ndarray:
        """[seeds, epochs, steps · B]."""
        examples, batch = pack.setup.examples, pack.setup.run.batch_size
        rows = [[epoch_order(examples, seed, at, batch) for at in range(self.epochs)] for seed in range(SEEDS)]
        return np.array(rows, np.int32)

    def __call__(self) -> Sample:
        """Milliseconds per run of one call of the program on every device."""
        return Sample(1e3 * together(self.calls) / self.lanes, {"lanes at once": f"{self.lanes}"})


def _alike(pack: Pack, numbers: dict[str, np.ndarray], dataset: Any) -> Any:
    """Initial variables [P, …], the first lane's for all: the time of a step does not depend on them."""
    examples = (
        np.asarray(dataset.train.x[: program.INIT_EXAMPLES]),
        np.asarray(dataset.offset),
        np.asarray(dataset.scale),
    )
    first = {name: value[0] for name, value in numbers.items()}

    def one(numbers: Any, examples: Any) -> Any:
        run = planning.initializing(pack.members[0].run)
        return program.initial_variables(pack.setup, runs.with_numbers(run, program.initial_numbers(numbers)), examples)

    return jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], pack.size, 0), jax.jit(one)(first, examples))
