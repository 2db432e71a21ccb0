"""One program over the devices of several processes, on CPUs: numbers, checkpoints, lost processes, wrong requests."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lanes import load, load_curves
from lanes.cluster.hosts import join
from lanes.errors import RequestError
from lanes.program.hosts import ALONE

CHECKOUT = Path(__file__).parents[3]
slow = pytest.mark.slow
FILE = """
import os
import time

from lanes import Blobs, Run, grid
from nets import MLP

# The first chunk is one epoch, after which LINGER seconds pass.
BASE = Run(data=Blobs(n=400, classes=3), net=MLP(widths=(8,)), batch_size=20, epochs=6, dropout=0.1)


def linger(reached):
    time.sleep(float(os.environ.get("LINGER", 0)))


CALLBACKS = (linger,)


def sweep() -> list[Run]:
    return grid(BASE, learning_rate=[1e-3, 3e-3])
"""
DATA = ("--mapping", "data", "--width", "1")
LANES = ("--mapping", "shard_map", "--width", "1")


class Job:
    """Processes of one command, each in a folder of its own or in the same one.

    Args:
        folder: where they run.
        count: how many.
        words: what follows the experiment file.
        prefixes: words before the command of each process, such as those that put it into a namespace.
        host: of the coordinator.
        devices: that each process has.
        further: words of a process alone, by its number.
        variables: of the environment.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        words: Sequence[object],
        *,
        prefixes: Sequence[Sequence[str]] = (),
        host: str = "127.0.0.1",
        devices: int = 1,
        further: dict[int, Sequence[str]] | None = None,
        **variables: str,
    ):
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
        environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(CHECKOUT), **variables}
        port = free_port()
        self.logs = [folder / f"log-{port}-{index}" for index in range(count)]
        self.processes = []
        for index, log in enumerate(self.logs):
            joining = ["--coordinator", f"{host}:{port}", "--process-id", str(index), "--processes", str(count)]
            command = [sys.executable, "-m", "lanes.cli.main", "sweep", "rates.py", *map(str, words), "--no-report"]
            command += [*(joining if count > 1 else []), *(further or {}).get(index, ())]
            prefix = list(prefixes[index]) if prefixes else []
            with open(log, "wb") as out:
                self.processes.append(
                    subprocess.Popen([*prefix, *command], cwd=folder, env=environment, stdout=out, stderr=out)
                )

    def text(self, index: int) -> str:
        return self.logs[index].read_text(errors="replace")

    def statuses(self, seconds: float = 600) -> list[int]:
        """The exit statuses of all processes."""
        until = time.monotonic() + seconds
        try:
            return [process.wait(max(1.0, until - time.monotonic())) for process in self.processes]
        except subprocess.TimeoutExpired:
            pytest.fail("\n".join(map(self.text, range(len(self.processes)))))
        finally:
            for process in self.processes:
                process.kill()
                process.wait()

    def ends(self, status: int) -> None:
        """Wait for all processes, which end with this status."""
        found = self.statuses()
        assert set(found) == {status}, "\n".join(map(self.text, range(len(found))))

    def wait(self, what: Callable[[], object], seconds: float = 400) -> None:
        until = time.monotonic() + seconds
        while not what():
            if time.monotonic() > until or all(process.poll() is not None for process in self.processes):
                self.statuses(1)
                pytest.fail("\n".join(map(self.text, range(len(self.processes)))))
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def own_lines(text: str) -> list[str]:
    """The lines that are ours, without those of the libraries of JAX."""
    return [line for line in text.splitlines() if line.startswith(("error: ", "resume with: ", "note: "))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "rates.py").write_text(FILE)
    return folder


@pytest.fixture(scope="module")
def two(folder: Path) -> Path:
    """The sweep by two processes of a device each."""
    Job(folder, 2, ["--out", "two", *DATA]).ends(0)
    return folder / "two"


def table(out: Path) -> pd.DataFrame:
    return load(out).drop(columns=["seconds", "calls", "device"]).set_index("run_id").sort_index()


def curves(out: Path) -> pd.DataFrame:
    return load_curves(out).sort_values(["run_id", "epoch"], ignore_index=True)


def are_equal(first: Path, second: Path) -> None:
    pd.testing.assert_frame_equal(table(first), table(second), check_exact=True)
    pd.testing.assert_frame_equal(curves(first), curves(second), check_exact=True)


def are_close(first: Path, second: Path) -> None:
    """Losses to 1e-4 of their value: gradients are sums in another order."""
    for read in (table, curves):
        left, right = (read(out).select_dtypes("number").drop(columns="valid_accuracy") for out in (first, second))
        losses = [name for name in left if "loss" in name]
        np.testing.assert_allclose(left[losses], right[losses], rtol=1e-4)


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


# ---- wrong requests ----------------------------------------------------------------------------------------------


def refused(job: Job, text: str, folder: Path, out: str) -> None:
    job.ends(2)
    for index in range(len(job.processes)):
        (line,) = own_lines(job.text(index))
        assert text in line, line
    assert not (folder / out).exists()


@slow
@pytest.mark.parametrize(
    ("further", "text"),
    [
        ({1: ["--set", "epochs=3"]}, "process 1 of 2 differs from process 0: --set"),
        ({1: ["--devices", "2"]}, "--devices is 2: there is 1 (cpu)"),
        ({0: ["--set", "batch_size=3"], 1: ["--set", "batch_size=3"]}, "it must be a multiple of their number"),
    ],
    ids=["command", "devices", "batch"],
)
def test_processes_that_ask_for_different_or_wrong_things_end_together(folder, further, text):
    refused(Job(folder, 2, ["--out", "absent", *DATA], further=further), text, folder, "absent")


@slow
def test_code_must_be_the_same(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "rates.py").write_text(FILE.replace("widths=(8,)", "widths=(9,)"))
    job = Job(folder, 2, ["--out", folder / "absent", *DATA], prefixes=[[], ["env", "-C", str(other)]])
    refused(job, "process 1 of 2 differs from process 0: experiment", folder, "absent")


@slow
def test_the_directory_must_be_shared(folder):
    """A mount of its own hides what process 0 writes."""
    hidden = folder / "hidden"
    hidden.mkdir()
    apart = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {hidden} && exec "$@"', "sh"]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    job = Job(folder, 2, ["--out", "hidden/out", *DATA], prefixes=[[], apart])
    refused(job, "process 1 does not see what process 0 writes", folder, "hidden/out")
    assert list(hidden.iterdir()) == []


def test_an_address_where_nothing_answers():
    with pytest.raises(RequestError, match="where nothing answers after 0 s"):
        join(f"127.0.0.1:{free_port()}", 1, 2, patience=0.3)


def test_an_address_of_another_machine_or_a_port_in_use_for_process_0():
    with pytest.raises(RequestError, match="write an address of process 0's host, and a free port"):
        join(f"192.0.2.1:{free_port()}", 0, 2, patience=0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RequestError, match="a free port"):
            join(f"127.0.0.1:{taken.getsockname()[1]}", 0, 2, patience=0.3)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (("node1", 0, 2), "write HOST:PORT of process 0"),
        (("node1:http", 0, 2), "write HOST:PORT of process 0"),
        (("node1:0", 0, 2), "write HOST:PORT of process 0"),
        (("node1:99999", 1, 2), "write HOST:PORT of process 0"),
        (("node1:1234", None, 2), "--process-id is missing"),
        ((None, 1, None), "--coordinator and --processes are missing"),
        (("node1:1234", 2, 2), "it must be from 0 to 1"),
        (("node1:1234", -1, 2), "it must be from 0 to 1"),
    ],
)
def test_wrong_numbers_and_addresses(asked, text):
    with pytest.raises(RequestError, match=text):
        join(*asked, patience=0.1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--hosts"], "--mapping is local, and several processes run one program only with --mapping data"),
        (["--hosts", "--mapping", "pmap"], "--mapping is pmap, and several processes"),
        (["--hosts", "--mapping", "data", "--shard", "0/2"], "leave one of them out"),
        (["--hosts", "--mapping", "data", "--processes", "2"], "--processes states them"),
    ],
)
def test_options_that_do_not_go_with_hosts(call, tmp_path, words, text):
    (tmp_path / "rates.py").write_text(FILE)
    status, _, err = call(tmp_path / "rates.py", "--out", tmp_path / "out", *words)
    assert status == 2
    assert text in err
    assert not (tmp_path / "out").exists()


def test_one_process_alone():
    assert (ALONE.leads, ALONE.several, ALONE.agreed([1]), ALONE.begin("x")) == (True, False, [1], "x")
    assert ALONE.gathered("name", 3, 1.0) == [3]
