"""Injects faults into a sweep and its directory, and checks what must be equal afterwards."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import driver
import numpy as np
import pandas as pd

import lanes
from lanes.errors import DamagedFileError, RequestError
from lanes.program.compiled import Programs
from lanes.storage import checkpoints
from lanes.storage.directory import Directory

DRIVER = Path(driver.__file__)
PROGRAMS = Programs()  # the small sweep's, compiled once in this process
NOT_COMPARED = ["seconds", "calls", "dir", "pack", "lane", "pack_shape", "program", "device"]


def start(out: Path, *words: str) -> subprocess.Popen:
    """Start the small sweep in its own process group."""
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(out), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


def wait_for_training(process: subprocess.Popen, said: str = "training") -> None:
    """Wait until the process begins to train, or says that it is held up ("waiting")."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == said:
            return
    raise AssertionError(f"ended with {process.wait()} before it said {said!r}")


def finish(process: subprocess.Popen, timeout: float = 300) -> tuple[int, str]:
    """Wait for the process; returns (exit status, output)."""
    text, _ = process.communicate(timeout=timeout)
    return process.returncode, text


def kill(process: subprocess.Popen) -> None:
    """SIGKILL to the process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def killed_at(out: Path, seconds: float, *words: str) -> bool:
    """Start the small sweep and kill it `seconds` after training began; False if it had already ended."""
    process = start(out, *words)
    wait_for_training(process)
    time.sleep(seconds)
    was_running = process.poll() is None
    kill(process)
    return was_running


# ---- in this process ---------------------------------------------------------------------------------------------


def ignore(_line: str) -> None:
    """Discard a warning."""


def resume(
    out: Path, warn: Callable[[str], None] = ignore, devices: int = 1, halving: lanes.Halving | None = None
) -> int:
    """Run the small sweep in this process; returns its exit status."""
    from lanes.describe.experiment_files import runs_of
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep
    from lanes.program import compilation_cache

    compilation_cache.switch_on()
    options = Options(**driver.SMALL, devices=devices, halving=halving, programs=PROGRAMS)
    plan = make_plan(runs_of(driver.EXPERIMENT), options)
    return run_sweep(plan, out, options, experiment=driver.EXPERIMENT, warn=warn).status


def table(out: Path) -> pd.DataFrame:
    """Results by run, without columns that may differ between workers."""
    loaded = lanes.load(out).sort_values("run_id", ignore_index=True)
    assert loaded["run_id"].is_unique
    return loaded.drop(columns=[name for name in NOT_COMPARED if name in loaded])


def curves(out: Path) -> pd.DataFrame:
    """Curves by run and epoch."""
    loaded = lanes.load_curves(out)
    return loaded.sort_values(["run_id", "epoch"], ignore_index=True) if len(loaded) else loaded


def leaves(out: Path) -> dict[str, dict[str, np.ndarray]]:
    """Every leaf of every run's checkpoint, by run."""
    directory = Directory(out, ignore)
    known = directory.read_runs(["run_id", "pack", "lane"])
    found = {pack: directory.checkpoint(pack) for pack in known["pack"].unique()}
    return {
        run_id: {name: leaf[lane] for name, leaf in found[pack][1].items() if leaf.ndim}
        for run_id, pack, lane in known.itertuples(index=False)
    }


def assert_same(out: Path, reference: "Reference") -> None:
    """Bit-equal results, curves and checkpoints; each run once."""
    pd.testing.assert_frame_equal(table(out), reference.table, check_exact=True)
    pd.testing.assert_frame_equal(curves(out), reference.curves, check_exact=True)
    seen = leaves(out)
    assert seen.keys() == reference.leaves.keys()
    for run_id, expected in reference.leaves.items():
        for name, leaf in expected.items():
            assert leaf.tobytes() == seen[run_id][name].tobytes(), (run_id, name)


class Reference:
    """Results, curves and checkpoints of an uninterrupted sweep."""

    def __init__(self, out: Path):
        self.path, self.table, self.curves, self.leaves = out, table(out), curves(out), leaves(out)


# ---- damage ------------------------------------------------------------------------------------------------------

KINDS = (
    "sweep.json",
    "calls",
    "runs.parquet",
    "runs.copy.parquet",
    "experiment.py",
    "results",
    "curves",
    "checkpoints",
)


def damage(out: Path, chance: random.Random) -> str:
    """Flip a bit of, truncate or delete a file of a directory; returns a description of the damage."""
    kind = chance.choice([kind for kind in KINDS if (out / kind).exists()])
    files = [out / kind] if (out / kind).is_file() else sorted(p for p in (out / kind).rglob("*") if p.is_file())
    if not files:
        return damage(out, chance)
    file, how = chance.choice(files), chance.choice(["flip", "flip", "truncate", "delete"])
    content = bytearray(file.read_bytes())
    if how == "delete":
        file.unlink()
    elif how == "truncate":
        file.write_bytes(content[: chance.randrange(max(1, len(content)))])
    elif content:
        at = chance.randrange(len(content))
        content[at] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
    return f"{how} {file.relative_to(out)}"


def assert_no_wrong_numbers(out: Path, reference: Reference) -> None:
    """Assert that whatever readers accept from a damaged directory is right; the rest is missing or refused."""
    try:
        seen = table(out).set_index("run_id")
    except RequestError:
        return
    expected = reference.table.set_index("run_id").loc[seen.index]
    ended = seen["status"].notna()
    for name in seen.columns:
        if name in expected and ended.any():
            left, right = seen.loc[ended, name], expected.loc[ended, name]
            assert ((left == right) | (left.isna() & right.isna())).all(), name
    found = curves(out)
    if len(found):
        merged = found.merge(reference.curves, on=["run_id", "epoch"], suffixes=("", " expected"))
        assert len(merged) == len(found)
        for name in found.columns[2:]:
            left, right = merged[name], merged[f"{name} expected"]
            assert ((left == right) | (left.isna() & right.isna())).all(), name
    packs = Directory(out, ignore).read_runs(["run_id", "pack"]).groupby("pack")["run_id"].first()
    for run_id in packs[packs.isin(seen.index[ended])]:  # a run that has not ended has only its best so far
        try:
            _, variables = lanes.restore(out, run_id)
        except (RequestError, DamagedFileError):
            continue
        right = reference.leaves[run_id]
        for name, leaf in checkpoints.flatten({"params": variables["params"]}).items():
            assert leaf.tobytes() == right[f"best.{name}"].tobytes(), (run_id, name)


def copy(source: Path, target: Path) -> Path:
    """A fresh copy of a directory."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))
