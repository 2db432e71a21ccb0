"""The command as a process: how soon it trains, and how time, memory and files grow with the number of runs."""

import functools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.bare import BareStep
from benchmarks.measuring import Sample, Table, Way, figure, interleaved
from benchmarks.ours import Packs
from benchmarks.setting import Setting
from benchmarks.works import work

ROOT = Path(__file__).resolve().parents[1]
RUNS_PER_SEED = 10  # in digits_mlp.py
TIMEOUT = 600  # seconds for the first epoch
FLOOR = "training program alone"


def command(experiment: Path, out: Path, *options: str) -> list[str]:
    """The sweep's command line."""
    return [sys.executable, "-m", "lanes.cli.main", "sweep", str(experiment), "--out", str(out), *options]


def environment(cache: Path) -> dict[str, str]:
    """This process's environment, with `cache` for lanes' own caches and no compilation cache of JAX's.

    Python keeps byte code there, as it does unless told otherwise.
    """
    left_out = ("JAX_COMPILATION_CACHE", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "LANES_CACHE_DIR": str(cache)}


# ---- startup -----------------------------------------------------------------------------------------------------


def startup(setting: Setting) -> Table:
    """Seconds from the start of the quickstart's command to its first epoch on disk, cold and warm."""
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder)
        ways = [
            Way("cold: empty caches", _cold, warm=False),
            Way("warm: programs and data in the cache", lambda: first_epoch(warm)),
        ]
        rows = interleaved(ways, setting.repetitions(5))
    notes = [
        "From the start of the process of `lanes sweep experiments/quickstart.py` until the curves of a pack's first "
        "epoch are on disk: imports, validation, data, compilation, initialization, 44 steps of a pack, one file.",
        "Cold also reads the digits from scikit-learn's file. Python's byte code and the disk's pages are warm in both.",
    ]
    return Table("startup", "s", rows, notes=notes)


def _cold() -> float:
    with tempfile.TemporaryDirectory() as cache:
        return first_epoch(Path(cache))


def first_epoch(cache: Path) -> float:
    """Seconds until the quickstart has written its first curves; the process is then killed.

    Raises RuntimeError if it ends before that, or takes longer than TIMEOUT.
    """
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        process = subprocess.Popen(
            command(ROOT / "experiments" / "quickstart.py", Path(out)),
            env=environment(cache), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        try:
            while time.perf_counter() - began < TIMEOUT:
                if any((Path(out) / "curves").glob("*.parquet")):
                    return time.perf_counter() - began
                if process.poll() is not None:
                    raise RuntimeError(f"the quickstart ended with status {process.returncode} before it trained")
                time.sleep(0.005)
            raise RuntimeError(f"the quickstart did not train within {TIMEOUT} s")
        finally:
            process.kill()
            process.communicate()


# ---- scaling -----------------------------------------------------------------------------------------------------


def scaling(setting: Setting) -> Table:
    """The command from start to report, for 10² to 10⁴ runs of the digits MLP, on one device and on all."""
    sizes = (10, 20) if setting.quick else (100, 1000, 5040, 10000)
    counts = sorted({1, len(setting.devices)})
    digits_mlp, lanes = work("sweep", setting.quick), 8 if setting.quick else 64
    width = setting.chosen_widths((4,))[0]
    ways = []
    for count in counts:
        on = f"{count} device{'s' * (count > 1)}"
        floor = _median_of_five(Packs(digits_mlp, width, lanes, count, validated=True))
        bare = BareStep(digits_mlp, width, lanes, setting.devices[:count])
        ways.append(Way(f"bare step, {on}", _median_of_five(bare)))
        ways.append(Way(f"{FLOOR}, {on}", floor))
        for size in sizes:
            once = functools.partial(_beside, floor, functools.partial(_command, size, count, setting.quick))
            ways.append(Way(f"{size:,} runs, {on}", once, warm=False))
    notes = [
        "The whole command, cold: a new process, imports, planning, compilation with an empty cache, training with results, "
        "curves and checkpoints, the report. Memory: the largest resident set of the process.",
        f"{FLOOR}: packs of {lanes} lanes on every device, {width} wide, validation after every epoch, nothing written; "
        "each command's ratio is to the mean of its time just before and just after.",
    ]
    return Table("scaling", "ms per run", interleaved(ways, setting.repetitions(1)), notes=notes)


def _beside(floor: Callable[[], Sample], once: Callable[[], Sample]) -> Sample:
    """A long measurement and its ratio to a short one taken just before and just after it."""
    before, sample, after = floor(), once(), floor()
    ratio = 2 * sample.value / (before.value + after.value)
    return Sample(sample.value, {"times the training program": figure(ratio), **sample.columns})


def _median_of_five(call: Callable[[], Sample]) -> Callable[[], Sample]:
    """The median of five calls, for short ways next to long ones that run once."""
    return lambda: sorted((call() for _ in range(5)), key=lambda sample: sample.value)[2]


def _command(size: int, count: int, quick: bool) -> Sample:
    """One sweep of `size` runs by the command, with empty caches."""
    experiment = Path(__file__).with_name("digits_mlp.py")
    shorter = ["--set", "epochs=2"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sweep"
        line = command(experiment, out, "--seeds", str(size // RUNS_PER_SEED), "--devices", str(count), *shorter)
        seconds, usage, _ = finished(line, environment(Path(folder) / "cache"))
        files = [path for path in out.rglob("*") if path.is_file()]
        return Sample(1e3 * seconds / size, _columns(seconds, usage, files))


class Finished(NamedTuple):
    """A command that has ended: seconds from the start of its process to its end, what it used, and what it printed."""

    seconds: float
    usage: resource.struct_rusage
    lines: list[str]


def finished(line: list[str], variables: dict[str, str]) -> Finished:
    """Run a command as a process of its own, to its end.

    Raises RuntimeError, with the last line of its output, if its exit status is not 0.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        began = time.perf_counter()
        process = subprocess.Popen(line, env=variables, stdout=log, stderr=log, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        lines = log.read().strip().splitlines()
    if process.returncode:
        raise RuntimeError(f"the command ended with status {process.returncode}: {lines[-1] if lines else ''}")
    return Finished(seconds, usage, lines)


def _columns(seconds: float, usage: resource.struct_rusage, files: list[Path]) -> dict[str, str]:
    megabytes = sum(path.stat().st_size for path in files) / 2**20
    return {
        "seconds": f"{seconds:.1f}",
        "peak memory, MB": f"{usage.ru_maxrss / 1024:.0f}",
        "files": f"{len(files):,}",
        "on disk, MB": f"{megabytes:.0f}",
    }
