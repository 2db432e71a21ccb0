"""`scripts/batch` in a real Slurm of one node, started for these tests where it is installed; no GPU, only what stands for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from slurm_here import NoSlurmError, Slurm, slurm

from lanes import load, load_curves
from lanes.storage.directory import Directory

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[3]
BATCH = CHECKOUT / "scripts" / "batch"
WARNING = "--signal=B:USR1@110"  # the scripts say 60 s; Slurm looks twice a minute
FILE = """
import os
import time

from lanes import Blobs, Run, grid
from nets import MLP

# Two epochs are the most of a chunk, after each of which LINGER seconds pass, until a job is requeued.
BASE = Run(data=Blobs(n=2560, classes=3), net=MLP(widths=(4,)), batch_size=1, epochs=16, eval_every=8)


def linger(reached):
    if "SLURM_RESTART_COUNT" not in os.environ:
        time.sleep(float(os.environ.get("LINGER", 0)))


CALLBACKS = (linger,)


def sweep() -> list[Run]:
    return grid(BASE, {"net.widths": [(3,), (4,), (5,), (6,)]}, learning_rate=[1e-3, 1e-2])
"""


@pytest.fixture(scope="module")
def here() -> Iterator[Slurm]:
    try:
        with slurm() as found:
            yield found
    except NoSlurmError as reason:
        pytest.skip(f"no Slurm here: {reason}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where jobs are submitted: the experiment, and a command `.venv/bin/lanes`."""
    folder = tmp_path_factory.mktemp("slurm")
    (folder / ".venv" / "bin").mkdir(parents=True)
    command = folder / ".venv" / "bin" / "lanes"
    command.write_text(f'#!/bin/bash\nexec env PYTHONPATH={CHECKOUT} {sys.executable} -m lanes.cli.main "$@"\n')
    command.chmod(0o755)
    (folder / "widths.py").write_text(FILE)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """The unsharded sweep."""
    words = [".venv/bin/lanes", "sweep", "widths.py", "--out", "whole", "--width", "2", "--no-report"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=600)
    return folder / "whole"


def numbers(out: Path) -> pd.DataFrame:
    """The table without times."""
    return load(out).drop(columns=["seconds", "calls"]).set_index("run_id").sort_index()


def are_equal(out: Path, whole: Path) -> None:
    """Tables and curves are equal bit for bit."""
    pd.testing.assert_frame_equal(numbers(out), numbers(whole), check_exact=True)
    seen, expected = (load_curves(one).sort_values(["run_id", "epoch"], ignore_index=True) for one in (out, whole))
    pd.testing.assert_frame_equal(seen, expected, check_exact=True)


def text(folder: Path, job: str) -> str:
    """The log of a task."""
    path = folder / f"lanes-{job}.log"
    return path.read_text() if path.exists() else ""


def test_an_array_requeued_warned_and_cancelled_ends_with_the_table_of_the_unsharded_sweep(here, folder, whole):
    array, options = BATCH / "slurm_gpu_array.sh", ("widths.py", "parts", "--width", "2", "--no-report")
    job = here("sbatch", "--parsable", "--array=0-6:2", WARNING, array, *options, cwd=folder, LINGER="6")
    requeued, warned, cancelled = f"{job}_0", f"{job}_2", f"{job}_4"

    def training(task: str) -> bool:
        return "runs · " in text(folder, task)

    def log(*tasks: str) -> str:
        return here("squeue", "-r", check=False) + "".join(
            text(folder, task) for task in tasks or (requeued, warned, cancelled)
        )

    here.wait(lambda: all(map(training, (requeued, warned, cancelled))), 120, log)
    here("scontrol", "requeue", requeued)
    here.limit(warned)  # of which Slurm warns 110 s ahead: now
    here("scancel", cancelled)

    here.wait(lambda: "CANCELLED" in here.about(cancelled, "JobState"), 40, log)
    here.wait(lambda: all("resume with: " in text(folder, task) for task in (requeued, warned, cancelled)), 150, log)
    for task in (requeued, warned):
        here.at_once(task)
        here("scontrol", "update", f"jobid={task}", "TimeLimit=60")
    assert Directory(folder / "parts").ended() < set(numbers(whole).index)
    again = here("sbatch", "--parsable", "--array=4", array, *options, cwd=folder)

    here.wait(lambda: not here("squeue", "-h"), 420, log)
    assert here.about(cancelled, "JobState") == "CANCELLED"  # not requeued by its script
    for task, restarts in ((requeued, "1"), (warned, "1"), (f"{job}_6", "0"), (f"{again}_4", "0")):
        assert (here.about(task, "JobState"), here.about(task, "Restarts")) == ("COMPLETED", restarts), log(task)
    are_equal(folder / "parts", whole)


def test_a_chain_goes_on_where_preemption_has_cancelled_a_link(here, folder, whole):
    options = {"SBATCH_OPTIONS": "--array=0-1 --partition=cancelling", "LINGER": "2"}
    words = ("3", "widths.py", "links", "--width", "2", "--no-report")
    first, second, third = here(BATCH / "slurm_chain.sh", *words, cwd=folder, **options).split()

    def log() -> str:
        return here("squeue", "-r", check=False) + "".join(
            text(folder, f"{job}_{task}") for job in (first, second) for task in (0, 1)
        )

    here.wait(lambda: all("runs · " in text(folder, f"{first}_{task}") for task in (0, 1)), 120, log)
    urgent = here("sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
    here.wait(lambda: here.about(urgent, "JobState") == "COMPLETED", 60, log)
    assert {here.about(f"{first}_{task}", "JobState") for task in (0, 1)} == {"PREEMPTED"}

    here.wait(lambda: not here("squeue", "-h"), 420, log)
    assert {here.about(f"{second}_{task}", "JobState") for task in (0, 1)} == {"COMPLETED"}, log()
    assert here.about(third, "JobState") == "CANCELLED"  # there is nothing left to do for it
    are_equal(folder / "links", whole)


def test_a_wrong_request_is_not_queued_again(here, folder):
    array = BATCH / "slurm_gpu_array.sh"
    job = here("sbatch", "--parsable", "--array=0-1", array, "absent.py", "wrong", cwd=folder)
    here.wait(lambda: not here("squeue", "-h"), 60)
    for task in (0, 1):
        assert (here.about(f"{job}_{task}", "JobState"), here.about(f"{job}_{task}", "ExitCode")) == ("FAILED", "2:0")
    assert not os.path.exists(folder / "wrong")


def test_one_net_over_processes_is_warned_requeued_and_ends(here, folder):
    """Two processes of one node, as the script starts them on several: JAX finds them by Slurm's variables."""
    words = (
        "widths.py",
        "wide",
        "--only",
        "net.widths=4",
        "--set",
        "epochs=4",
        "batch_size=32",
        "--width",
        "1",
        "--no-report",
    )
    script = BATCH / "slurm_large_net.sh"
    sizes = ("--nodes=1", "--ntasks-per-node=2")
    job = here(
        "sbatch", "--parsable", *sizes, WARNING, script, *words, cwd=folder, LINGER="120", JAX_NUM_CPU_DEVICES="1"
    )

    def log() -> str:
        path = folder / f"lanes-large-{job}.log"
        return here("squeue", check=False) + (path.read_text() if path.exists() else "")

    here.wait(lambda: list(folder.glob("wide/checkpoints/*/[1-9]*")), 120, log)
    here.limit(job)
    here.wait(lambda: "resume with: " in log(), 150, log)
    here.at_once(job)
    here("scontrol", "update", f"jobid={job}", "TimeLimit=60")
    here.wait(lambda: not here("squeue", "-h"), 180, log)
    assert (here.about(job, "JobState"), here.about(job, "Restarts")) == ("COMPLETED", "1"), (
        here("scontrol", "show", "job", job) + log()
    )
    found = load(folder / "wide")
    assert list(found["status"]) == ["done", "done"]
    assert set(found["mapping"]) == {"data"}
