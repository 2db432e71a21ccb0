"""Whole commands, from the start of the process to its end: sweeps of lanes with their page, and hand-batched PyTorch."""

import concurrent.futures
import functools
import re
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.commands import ROOT, command, environment, finished
from benchmarks.measuring import Sample, Table, Way, interleaved
from benchmarks.peers import CHECKOUT, Peers
from benchmarks.setting import Setting
from benchmarks.works import Work, work

MODELS = 24  # in one ensemble of torch
QUICK = ("--seeds", "1", "--set", "epochs=1")
SWEEPS = {"24 runs": Path(__file__).with_name("small_sweep.py"), "192 runs": ROOT / "experiments" / "quickstart.py"}


def whole(setting: Setting) -> Table:
    """Seconds of whole commands for 24 and for 192 runs, cold and warm, next to as many models in PyTorch."""
    sweeps = dict(list(SWEEPS.items())[:1]) if setting.quick else SWEEPS
    options = QUICK if setting.quick else ()
    digits_mlp = work("sweep", setting.quick)
    with tempfile.TemporaryDirectory() as folder, Peers(digits_mlp, setting.peer_python) as peers:
        warm = environment(Path(folder) / "cache")
        data = Path(folder) / "data.npz"
        digits_mlp.export(data)
        ways = []
        for name, experiment in sweeps.items():
            ways += sweep_ways(f"lanes, {name}", experiment, warm, options)
        if not peers.missing:
            one = functools.partial(hand_batched, peers.python, data, digits_mlp)
            ways.append(Way("torch, hand-batched, 24 models, 2 processes", lambda: one(1, MODELS // 2)))
        if not peers.missing and not setting.quick:
            ways.append(Way("torch, hand-batched, 192 models, 2 processes", lambda: one(4, MODELS)))
        rows = interleaved(ways, setting.repetitions(5))
    notes = [
        "24 runs: 2 activations × 2 initializers × 2 rates × 3 seeds; 192 runs: experiments/quickstart.py. Every run is the "
        f"digits MLP, {digits_mlp.epochs} epochs, with validation after each.",
        "lanes: the process of `lanes sweep`, from its start to its end: imports, planning, compilation, training, results, "
        "curves, checkpoints, table and page. Cold: empty caches; warm: programs and data in the cache. Python's byte code is "
        "kept.",
        "torch: two processes of one thread each, from their start to the end of the later one: imports, reading the arrays, "
        "training ensembles (24 models: one of 12 in each process; 192: four of 24 in each), validation after every epoch. "
        "No regularizers, one initialization, nothing written: less than the sweeps of lanes do.",
        *([peers.missing] if peers.missing else []),
    ]
    return Table("whole", "s", rows, notes=notes, facts={"peers": peers.versions})


def sweep_ways(name: str, experiment: Path, warm: dict[str, str], options: tuple[str, ...] = ()) -> list[Way]:
    """A sweep's whole command with empty caches, and with the caches of an earlier call."""
    line = functools.partial(timed_sweep, experiment, options)
    return [Way(f"{name}, cold", lambda: cold(line), warm=False), Way(f"{name}, warm", lambda: line(warm))]


def cold(line: Callable[[dict[str, str]], Sample]) -> Sample:
    """A command with empty caches."""
    with tempfile.TemporaryDirectory() as cache:
        return line(environment(Path(cache)))


def timed_sweep(experiment: Path, options: tuple[str, ...], variables: dict[str, str]) -> Sample:
    """Seconds of one sweep by the command."""
    with tempfile.TemporaryDirectory() as out:
        seconds, usage, _ = finished(command(experiment, Path(out) / "sweep", *options), variables)
        return Sample(seconds, used([usage]))


def hand_batched(python: str, data: Path, trained: Work, ensembles: int, models: int) -> Sample:
    """Seconds of two processes of hand-batched PyTorch, started at once, that train `ensembles` of `models` models each."""
    numbers = (ensembles, models, trained.run.batch_size, trained.steps, trained.epochs)
    line = [python, "-m", "benchmarks.torch_sweep", str(data), *map(str, numbers)]
    variables = {**environment(data.parent), "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: finished(line, variables), range(2)))
    return Sample(time.perf_counter() - began, used([one.usage for one in both]))


def used(usages: list[resource.struct_rusage]) -> dict[str, str]:
    """Processor time and memory of processes, as cells."""
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return {
        "CPU s": f"{seconds:.1f}",
        "peak memory, MB": f"{sum(usage.ru_maxrss for usage in usages) / 1024:.0f}",
    }


# ---- many nets ---------------------------------------------------------------------------------------------------

COMPILED = re.compile(r"by (\d+) training programs \(compiled in ([\d.]+) s\)")
ARCHITECTURES = {
    "19 widths, 5 seeds": ("clean_mlps.py", ()),
    "19 widths, 1 seed": ("clean_mlps.py", ("--seeds", "1")),
    "10 depths × 5 widths": ("depths_widths.py", ()),
}


def architectures(setting: Setting) -> Table:
    """Seconds of whole commands, with empty caches, of sweeps over the sizes of a net; compile time per net."""
    few = ("--seeds", "1", "--set", "steps=80", "--only", "net.widths=2,2|4,4")
    sweeps = {"2 widths, 1 seed": ("clean_mlps.py", few)} if setting.quick else ARCHITECTURES
    ways = [
        Way(
            name,
            functools.partial(cold, functools.partial(_architectures, Path(__file__).with_name(file), options)),
            False,
        )
        for name, (file, options) in sweeps.items()
    ]
    notes = [
        "19 widths: the MLPs 40-h-h-10 of the double descent of MNIST-1D (Greydanus and Kobak 2024), 20,000 steps of 100, on "
        "arrays of its shape. 10 depths × 5 widths: digits, 2 to 20 hidden layers of 16 to 256 units, one epoch.",
        "Whole commands, cold. Compiling: seconds that the command reports, tracing included, summed over programs and "
        "devices, partly while others train; divided by the number of nets.",
    ]
    return Table("architectures", "s", interleaved(ways, setting.repetitions(1)), notes=notes)


def _architectures(experiment: Path, options: tuple[str, ...], variables: dict[str, str]) -> Sample:
    with tempfile.TemporaryDirectory() as out:
        seconds, usage, lines = finished(command(experiment, Path(out) / "sweep", *options), variables)
    found = next(found for line in lines if (found := COMPILED.search(line)))
    nets = {"clean_mlps.py": 19, "depths_widths.py": 50}[experiment.name]
    per_net = float(found[2]) / (nets if "--only" not in options else 2)
    return Sample(seconds, {"programs": found[1], "compiling, s per net": f"{per_net:.2f}", **used([usage])})
