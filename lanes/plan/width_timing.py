"""Timing the training program at several widths; the times are remembered in the cache folder."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lanes.data.loading import Dataset
from lanes.describe import identity, runs
from lanes.files import cache_dir, write_bytes
from lanes.plan.packs import Pack, numbers_of
from lanes.plan.planned import NOT_TRAINING, Planned
from lanes.program import determined, initialization, lane, memory
from lanes.program.chunks import Chunk
from lanes.program.over_lanes import Data
from lanes.program.places import Place, cores
from lanes.program.step import build_net
from nets import inspection

FORMAT = 1
MOST_SECONDS = 60.0  # after this time no further width is tried
TIMED_SECONDS = 0.5  # of calls at one width
LEAST_TURNS, MOST_TURNS = 4, 50
MOST_STEPS = 32
CALL_FLOPS = 5e9  # of one timed call, approximately
OPERATIONS = "operations"  # the cache's folder of counted operations
MOST_PLACES = 8  # most devices measured at once


def step_flops(planned: Planned, shapes: Sequence[tuple[int, ...]]) -> float:
    """Approximate floating-point operations of a training step of one lane: three passes of multiply-adds."""

    def count() -> int:
        once = sum(math.prod(shape) for shape in shapes)  # the fallback for a net that cannot be traced
        for dtype in (jnp.float32, jnp.int32):
            with contextlib.suppress(Exception):  # a user's own net may need any kind of input
                net = build_net(planned.setup, run)
                return max(once, inspection.multiply_adds(net, planned.setup.features, dtype))
        return once

    run, signature = planned.compiled, planned.signature
    about: Any = planned.setup
    if not planned.sharing.widths:  # a shared program computes as many as the run's own, for which it was chosen
        run = planned.run
        signature = identity.signature(run, NOT_TRAINING, planned.descriptions.versions)
        about = planned.setup.features, planned.setup.outputs
    once = determined.remembered(OPERATIONS, ("forward", signature, tuple(shapes)), about, count)
    return 6.0 * max(1, once) * planned.run.batch_size


def remembered(
    planned: Planned, data: Dataset, places: Sequence[Place], default: int, candidates: Sequence[int]
) -> dict[int, float]:
    """Seconds of one step of one lane by width, from the cache folder; those missing there are measured."""
    key = _key(planned, places)
    seconds = {width: value for width, value in read_cache().get(key, {}).items() if width in candidates}
    missing = [width for width in candidates if width not in seconds]
    if missing:
        seconds |= measure(planned, data, places, default, candidates, seconds)
        entries = read_cache()
        write_cache({**entries, key: {**entries.get(key, {}), **seconds}})
    return seconds


def cache_file() -> Path:
    """The file that remembers measurements; it may be deleted."""
    return cache_dir() / "widths.json"


def read_cache() -> dict[str, dict[int, float]]:
    """Measurements by key and width; empty if the file is missing or damaged."""
    try:
        content = json.loads(cache_file().read_bytes())
        if content["format"] != FORMAT:
            return {}
        return {
            str(key): {int(width): float(value) for width, value in entry.items() if float(value) > 0}
            for key, entry in content["seconds"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_cache(entries: Mapping[str, Mapping[int, float]]) -> None:
    """Write the whole cache; if the folder cannot be written, the next call measures again."""
    content = {"format": FORMAT, "seconds": entries}
    try:
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        write_bytes(cache_file(), json.dumps(content, indent=1, sort_keys=True).encode())
    except OSError:
        return


def _key(planned: Planned, places: Sequence[Place]) -> str:
    devices = [device for place in places for device in place.devices]
    known = (
        planned.signature,
        planned.setup.features,
        devices[0].device_kind,
        os.cpu_count() if devices[0].platform == "cpu" else None,
        min(len(devices), MOST_PLACES),
        jax.__version__,
        os.environ.get("XLA_FLAGS", ""),
    )
    return hashlib.sha256(repr(known).encode()).hexdigest()[:24]


def measure(
    planned: Planned,
    data: Dataset,
    places: Sequence[Place],
    default: int,
    candidates: Sequence[int],
    known: Mapping[int, float] | None = None,
    timed_seconds: float = TIMED_SECONDS,
) -> dict[int, float]:
    """Seconds of one step of one lane by width; infinite for a width that does not fit into memory.

    On a CPU every candidate is tried. Elsewhere compiling takes longer, and the time first falls, then rises with the
    width: the search goes up from the default while that is faster, and otherwise down.
    """
    began = time.perf_counter()
    seconds = dict(known or {})
    devices = [device for place in places for device in place.devices][:MOST_PLACES]
    begin = _first_lane(planned, data)
    if devices[0].platform == "cpu":
        return seconds | _race(planned, data, devices, candidates, begin, timed_seconds)

    def at_width(width: int) -> float:
        if width not in seconds:
            if seconds and time.perf_counter() - began > MOST_SECONDS:
                return math.inf
            seconds.update(_race(planned, data, devices, [width], begin, timed_seconds))
        return seconds[width]

    at_width(default)
    ordered = sorted(candidates)
    middle = ordered.index(default)
    for direction in (1, -1):
        here = middle
        while 0 <= here + direction < len(ordered) and at_width(ordered[here + direction]) < at_width(ordered[here]):
            here += direction
        if here != middle:
            break
    return seconds


def _first_lane(planned: Planned, data: Dataset) -> lane.Lane:
    """The lane of a run before its first epoch."""
    setup = planned.setup
    examples = (
        np.asarray(data.train.x[: initialization.INIT_EXAMPLES]),
        np.asarray(data.offset),
        np.asarray(data.scale),
    )

    values = {name: value[0] for name, value in numbers_of(Pack((planned,), 1, 1)).items()}

    def start(values: dict[str, Any]) -> lane.Lane:
        variables = initialization.initial_variables(setup, planned.run, examples)
        run = runs.with_numbers(setup.run, values)
        return lane.start(setup, run, variables["params"], variables["rest"], jnp.asarray(False))

    return jax.jit(start)(values)


def _race(
    planned: Planned,
    data: Dataset,
    devices: Sequence[jax.Device],
    widths: Sequence[int],
    begin: lane.Lane,
    timed_seconds: float,
) -> dict[int, float]:
    """Seconds of one step of one lane by width. Widths take turns, so that other load on the machine slows all of them."""
    seconds = dict.fromkeys(widths, math.inf)
    calls = {width: found for width in widths if (found := _calls(planned, data, devices, width, begin)) is not None}
    steps = {width: _steps(planned, width, begin) for width in calls}
    most = max((width * steps[width] for width in calls), default=0)
    clock = _clock(devices, cores())
    deadline = time.perf_counter() + timed_seconds * len(calls)
    for turn in range(MOST_TURNS):
        if turn >= LEAST_TURNS and time.perf_counter() > deadline:
            break
        for width, by_device in list(calls.items()):
            # Every width does the same work in a turn: short calls alone might never be interrupted by other processes.
            times = max(1, round(most / (width * steps[width])))
            try:
                spent = _together(by_device, times, clock)
            except Exception as error:
                if not memory.is_exhausted(error):
                    raise
                del calls[width]
                continue
            if turn > 0:  # the first turn warms up
                seconds[width] = min(seconds[width], spent / (times * steps[width] * width * len(devices)))
    return seconds


def _steps(planned: Planned, width: int, begin: lane.Lane) -> int:
    """Steps of a timed call."""
    flops = step_flops(planned, [leaf.shape for leaf in jax.tree.leaves(begin.trained.params)])
    return min(int(max(2, min(MOST_STEPS, CALL_FLOPS / (flops * width)))), planned.setup.steps_per_epoch)


def _calls(
    planned: Planned, data: Dataset, devices: Sequence[jax.Device], width: int, begin: lane.Lane
) -> list[Callable[[], Any]] | None:
    """A call of the training program for each device: a pack of `width` lanes, one short epoch; None if it does not fit."""
    examples = _steps(planned, width, begin) * planned.compiled.batch_size
    split = np.asarray(data.train.x[:examples]), np.asarray(data.train.y[:examples])
    args = (
        jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[None], (width, *leaf.shape)), begin),
        numbers_of(Pack((planned,) * width, width, 1)),
        np.zeros(width, np.int32),
        np.arange(examples, dtype=np.int32).reshape(1, 1, -1),
        Data({"train": split}, np.asarray(data.offset), np.asarray(data.scale)),
        np.int32(0),
        np.int32(1),
    )
    jitted = jax.jit(Chunk(dataclasses.replace(planned.setup, examples=examples), width, 1))
    calls: list[Callable[[], Any]] = []
    try:
        for device in devices:
            placed = jax.device_put(args, device)
            compiled = jitted.lower(*placed).compile()
            memory.check(memory.taken(compiled), device, len(devices))
            calls.append(functools.partial(compiled, *placed))
    except Exception as error:
        if memory.is_exhausted(error):
            return None
        raise
    return calls


def _together(calls: Sequence[Callable[[], Any]], times: int, clock: Callable[[], float]) -> float:
    """Seconds to make the calls `times` times, each in its own thread as in training."""

    def work(call: Callable[[], Any]) -> None:
        for _ in range(times):
            jax.block_until_ready(call())

    began = clock()
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(work, call) for call in calls]:
            done.result()
    return clock() - began


def _clock(devices: Sequence[jax.Device], count: int) -> Callable[[], float]:
    """Processor time if host devices fill the machine's `count` cores, where it determines lanes per second; else wall time.

    Other processes change processor time by a few per cent. Wall time, with seven processes waiting for each core, ranked
    the widths 1, 8 and 24 in reverse.
    """
    filled = devices[0].platform == "cpu" and len(devices) >= min(MOST_PLACES, count)
    return time.process_time if filled else time.perf_counter
