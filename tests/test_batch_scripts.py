"""`scripts/batch`: shells accept the scripts, manifests have what their systems require, and each command is one of lanes.

The scripts run with stand-ins for the programs of the queue; in a real Slurm they run in `tests/lanes/cluster/test_slurm.py`.
"""

import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
import types
from pathlib import Path

import pytest
import tyro
import yaml

from lanes.cli import sweep
from lanes.cluster.batch_jobs import parse_shard

BATCH = Path(__file__).parents[1] / "scripts" / "batch"
SHELL = sorted(BATCH.glob("*.sh"))
bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def arguments(words: list[str]) -> sweep.Arguments:
    """The command line after `.venv/bin/lanes sweep` as lanes reads it."""
    assert words[:2] == [".venv/bin/lanes", "sweep"]
    return tyro.cli(sweep.Arguments, args=words[2:])


def stand_in(folder: Path, name: str, text: str) -> None:
    """A program of that name that a script finds first."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def call(tmp_path):
    """Calls a script in a folder of its own, with the stand-ins in `bin` before everything else."""

    def call(script: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", **variables}
        command = ["bash", str(script), *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    return call


@bash
@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shells_accept_the_scripts(script):
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.read_text().startswith("#!/bin/bash\n")


@bash
@pytest.mark.parametrize(("status", "requeued"), [(0, False), (2, False), (3, False), (75, True)])
def test_a_task_of_the_array_is_requeued_on_75_only(call, tmp_path, status, requeued):
    stand_in(tmp_path / "bin", "srun", 'shift; echo "$@" >command; exit ' + str(status))
    stand_in(tmp_path / "bin", "scontrol", 'echo "$@" >requeued')
    about = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "4"}
    done = call(BATCH / "slurm_gpu_array.sh", "my.py", "out", "--seeds", "3", **about)
    assert done.returncode == status, done.stderr
    assert (tmp_path / "requeued").exists() == requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 12_4\n"
    found = arguments((tmp_path / "command").read_text().split())
    assert (found.experiment, found.out, found.shard, found.seeds) == (Path("my.py"), Path("out"), "auto", 3)


@bash
@pytest.mark.parametrize(("signal", "requeued"), [("USR1", True), ("TERM", False)])
def test_the_array_passes_a_signal_on_and_waits_until_the_sweep_has_saved(call, tmp_path, signal, requeued):
    """A SIGTERM is Slurm's, which requeues what it preempts itself; on one to srun, srun would kill the sweep."""
    stand_in(
        tmp_path / "bin", "srun", f"trap 'sleep 0.3; touch saved; exit 75' USR1; kill -{signal} $PPID; sleep 20 & wait"
    )
    stand_in(tmp_path / "bin", "scontrol", "test -e saved && touch requeued")
    about = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "4"}
    assert call(BATCH / "slurm_gpu_array.sh", "my.py", "out", **about).returncode == 75
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "requeued").exists() == requeued


@bash
@pytest.mark.parametrize(
    ("status", "restarts", "requeued"),
    [(0, 0, False), (2, 0, False), (3, 0, False), (75, 9, True), (137, 4, True), (137, 5, False)],
)
def test_a_large_net_is_requeued_if_it_was_stopped_and_a_few_times_if_a_process_was_lost(
    call, tmp_path, status, restarts, requeued
):
    stand_in(tmp_path / "bin", "srun", 'echo "$@" >command; exit ' + str(status))
    stand_in(tmp_path / "bin", "scontrol", 'echo "$@" >requeued')
    about = {"SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": str(restarts)}
    assert call(BATCH / "slurm_large_net.sh", "my.py", "out", "--seeds", "3", **about).returncode == status
    assert (tmp_path / "requeued").exists() == requeued
    found = arguments((tmp_path / "command").read_text().split())
    assert (found.hosts, found.mapping, found.seeds, found.shard) == (True, "data", 3, None)


@bash
def test_the_chain_submits_links_that_wait_for_a_failure_of_the_one_before(call, tmp_path):
    stand_in(tmp_path / "bin", "sbatch", 'echo "$@" >>submitted; wc -l <submitted')
    done = call(BATCH / "slurm_chain.sh", "3", "my.py", "out", SBATCH_OPTIONS="--array=0-6:2 --time=10")
    assert done.returncode == 0, done.stderr
    first, *rest = (tmp_path / "submitted").read_text().splitlines()
    assert "--dependency" not in first
    assert [re.search(r"afternotok:(\d+)", line)[1] for line in rest] == ["1", "2"]
    for line in (first, *rest):
        assert line.endswith(f"--array=0-6:2 --time=10 {BATCH / 'slurm_gpu_array.sh'} my.py out")


def containers(pod: dict) -> dict:
    (container,) = pod["spec"]["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted <= {volume["name"] for volume in pod["spec"]["volumes"]}
    return container


def test_the_kubernetes_job(monkeypatch):
    job = yaml.safe_load((BATCH / "kubernetes_job.yaml").read_text())
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == ("batch/v1", "Job", "Indexed")
    pod = job["spec"]["template"]
    assert pod["spec"]["restartPolicy"] == "Never"  # what podFailurePolicy requires
    container = containers(pod)
    rules = [
        (rule["action"], *rule.get("onExitCodes", {}).get("values", []))
        for rule in job["spec"]["podFailurePolicy"]["rules"]
    ]
    assert rules == [("FailJob", 2), ("FailIndex", 3), ("Ignore", 75), ("Ignore",)]
    assert "backoffLimitPerIndex" in job["spec"]  # what FailIndex requires
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        assert rule.get("onExitCodes", {}).get("containerName", container["name"]) == container["name"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    shards = set()
    for index in range(job["spec"]["completions"]):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))  # as Kubernetes does
        shards.add(parse_shard(arguments(container["command"]).shard))
    assert shards == {(index, job["spec"]["completions"]) for index in range(job["spec"]["completions"])}


def test_the_jobset_for_tpus():
    jobset = yaml.safe_load((BATCH / "gke_tpu_jobset.yaml").read_text())
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    (replicated,) = jobset["spec"]["replicatedJobs"]
    container = containers(replicated["template"]["spec"]["template"])
    (variable,) = container["env"]
    assert "job-index" in variable["valueFrom"]["fieldRef"]["fieldPath"]
    replicas = range(replicated["replicas"])
    words = [
        [word.replace(f"$({variable['name']})", str(index)) for word in container["command"]] for index in replicas
    ]
    assert [parse_shard(arguments(one).shard) for one in words] == [(index, len(replicas)) for index in replicas]


def test_the_skypilot_task(monkeypatch):
    task = yaml.safe_load((BATCH / "skypilot.yaml").read_text())
    assert task["resources"]["use_spot"]
    (line,) = task["run"].splitlines()
    found = arguments(line.replace("$SKYPILOT_JOB_RANK", "2").split())
    monkeypatch.setenv("SKYPILOT_JOB_RANK", "2")
    monkeypatch.setenv("SKYPILOT_NUM_JOBS", "4")
    assert (parse_shard(found.shard), found.out.name) == ((2, 4), "quickstart-2")


def test_submitit_submits_every_shard_once(monkeypatch, capsys):
    commands = []

    class AutoExecutor:
        def __init__(self, folder: str):
            assert folder == "out-jobs"

        def update_parameters(self, **settings: object) -> None:
            assert settings["gpus_per_node"] == 1

        def map_array(self, function, *columns):
            return [types.SimpleNamespace(result=lambda row=row: function(*row)) for row in zip(*columns, strict=True)]

    def run(words, check):
        assert not check
        commands.append(arguments(words))
        return types.SimpleNamespace(returncode=0)

    monkeypatch.setitem(sys.modules, "submitit", types.SimpleNamespace(AutoExecutor=AutoExecutor))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["submitit_array.py", "my.py", "out", "3"])
    runpy.run_path(str(BATCH / "submitit_array.py"), run_name="__main__")
    assert [parse_shard(one.shard) for one in commands] == [(0, 3), (1, 3), (2, 3)]
    assert {(one.experiment, one.out) for one in commands} == {(Path("my.py"), Path("out"))}
    assert capsys.readouterr().out == "exit statuses: [0, 0, 0]\n"
