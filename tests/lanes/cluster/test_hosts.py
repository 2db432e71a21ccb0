"""One program over the devices of several processes, on CPUs: numbers, checkpoints, lost processes."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts_here import CHECKOUT, DATA, FILE, LANES, Job, are_close, are_equal, own_lines, written

from lanes import load

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("hosts"))


@pytest.fixture(scope="module")
def two(folder: Path) -> Path:
    """The sweep by two processes of a device each."""
    Job(folder, 2, ["--out", "two", *DATA]).ends(0)
    return folder / "two"


# ---- numbers -----------------------------------------------------------------------------------------------------


@slow
def test_losses_of_two_processes_equal_those_of_one(folder, two):
    Job(folder, 1, ["--out", "one", *DATA], devices=2).ends(0)
    are_close(two, folder / "one")
    assert set(load(two)["device"]) == {"cpu x2"}


@slow
def test_batches_are_streamed_in_parts(folder, two):
    Job(folder, 2, ["--out", "streamed", *DATA, "--data-bytes", "4000"]).ends(0)
    are_close(two, folder / "streamed")


@slow
def test_lanes_over_two_processes_equal_those_over_two_devices(folder):
    Job(folder, 2, ["--out", "lanes", *LANES]).ends(0)
    Job(folder, 1, ["--out", "devices", *LANES], devices=2).ends(0)
    are_equal(folder / "lanes", folder / "devices")


@slow
def test_the_commands_of_the_guide(tmp_path):
    """Those of `node1` and `node2`, as written, with another address."""
    page = (CHECKOUT / "docs" / "guides" / "large_net_over_hosts.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "rates.py").write_text(block)
    lines = [shlex.split(line) for line in re.findall(r"^node\d\$ \.venv/bin/lanes sweep wide\.py (.*)$", page, re.M)]
    assert [words[-5:] for words in lines] == [
        ["node1:12345", "--process-id", str(index), "--processes", "2"] for index in range(2)
    ]
    Job(tmp_path, 2, lines[0][:-6]).ends(0)
    assert list(load(tmp_path / "runs" / "wide-two")["status"]) == ["done", "done"]


# ---- ends --------------------------------------------------------------------------------------------------------


@slow
def test_a_killed_process_ends_the_job_which_resumes_on_other_numbers_of_processes(folder, two):
    job = Job(folder, 2, ["--out", "killed", *DATA], LINGER="6")
    job.wait(lambda: list(folder.glob("killed/checkpoints/*/[1-9]*")))
    job.processes[1].send_signal(signal.SIGKILL)
    began = time.monotonic()
    assert job.statuses()[0] == 75, job.text(0)
    assert time.monotonic() - began < 60
    assert own_lines(job.text(0)) == [
        "error: process 1 of 2 is lost; stopped; the last checkpoint is kept: start all processes again to resume"
    ]
    assert load(folder / "killed")["status"].isna().any()
    for name in ("on-one", "on-four"):
        shutil.copytree(folder / "killed", folder / name)
    Job(folder, 2, ["--out", "killed", *DATA]).ends(0)
    are_equal(folder / "killed", two)
    Job(folder, 1, ["--out", "on-one", *DATA]).ends(0)
    are_close(folder / "on-one", two)
    Job(folder, 4, ["--out", "on-four", *DATA]).ends(0)
    are_close(folder / "on-four", two)
    assert set(load(folder / "on-four")["device"]) <= {"cpu x2", "cpu x4"}


@slow
def test_where_process_0_is_killed_the_others_end_too(folder, two):
    job = Job(folder, 2, ["--out", "beheaded", *DATA], LINGER="6")
    job.wait(lambda: list(folder.glob("beheaded/checkpoints/*/[1-9]*")))
    job.processes[0].send_signal(signal.SIGKILL)
    began = time.monotonic()
    assert job.statuses()[1] == 75, job.text(1)
    assert time.monotonic() - began < 60
    assert [line for line in job.text(1).splitlines() if "[Gloo]" not in line] == [
        "error: process 0 of 2 is lost; stopped; the last checkpoint is kept: start all processes again to resume"
    ]
    Job(folder, 2, ["--out", "beheaded", *DATA]).ends(0)
    are_equal(folder / "beheaded", two)


@slow
@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_one_process_saves_and_stops_all(folder, two, asked):
    out = f"stopped-{asked}"
    job = Job(folder, 2, ["--out", out, *DATA], LINGER="6")
    job.wait(lambda: list(folder.glob(f"{out}/checkpoints/*/[1-9]*")))
    job.processes[asked].send_signal(signal.SIGTERM)
    job.ends(75)
    assert [line[:13] for line in own_lines(job.text(0))] == ["resume with: "]
    assert own_lines(job.text(1)) == []
    if asked:
        Job(folder, 2, ["--out", out, *DATA]).ends(0)
        are_equal(folder / out, two)


# ---- hosts of their own ------------------------------------------------------------------------------------------


@pytest.fixture
def namespaces(tmp_path: Path) -> Iterator[list[list[str]]]:
    """Words that run a command in one of two network namespaces, 10.83.7.1 and 10.83.7.2, joined by a pair of devices."""
    names = [f"lanes-{os.getpid()}-{index}" for index in range(2)]
    links = [f"l{os.getpid() % 100000}{end}" for end in "ab"]
    etc = [Path("/etc/netns") / name for name in names]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", links[0], "type", "veth", "peer", "name", links[1])
        for index, (name, link) in enumerate(zip(names, links, strict=True)):
            ip("link", "set", link, "netns", name)
            ip("-n", name, "addr", "add", f"10.83.7.{index + 1}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
            etc[index].mkdir(parents=True)
            (etc[index] / "hosts").write_text(f"127.0.0.1 localhost\n10.83.7.{index + 1} {socket.gethostname()}\n")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {error}")
    yield [["ip", "netns", "exec", name] for name in names]
    for name, folder in zip(names, etc, strict=True):
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    del tmp_path


@slow
def test_hosts_with_networks_of_their_own(folder, two, namespaces):
    job = Job(folder, 2, ["--out", "apart", *DATA], prefixes=namespaces, host="10.83.7.1")
    job.ends(0)
    are_equal(folder / "apart", two)


# ---- halving -----------------------------------------------------------------------------------------------------


@slow
@pytest.mark.parametrize("mapping", ["data", "shard_map"])
def test_halving_prunes_over_hosts_as_on_one(tmp_path, mapping):
    """Four rates at which the runs clearly differ; the worse half is pruned after epochs 2 and 4."""
    (tmp_path / "rates.py").write_text(FILE.replace("[1e-3, 3e-3]", "[1e-4, 1e-3, 1e-2, 1e-1]"))
    words = ["--mapping", mapping, "--width", "1", "--halving", "2,4", "--keep", "0.5"]
    Job(tmp_path, 2, ["--out", "two", *words]).ends(0)
    Job(tmp_path, 1, ["--out", "one", *words], devices=2).ends(0)
    (are_close if mapping == "data" else are_equal)(tmp_path / "two", tmp_path / "one")
    assert sorted(load(tmp_path / "two")["epochs_done"]) == [2, 2, 4, 6]
    assert sorted(load(tmp_path / "two")["status"]) == ["done", "pruned", "pruned", "pruned"]
