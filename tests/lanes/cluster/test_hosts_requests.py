"""Wrong requests of several processes that run one program: one line each, before anything is written."""

import socket
import subprocess
from pathlib import Path

import pytest
from hosts_here import DATA, FILE, Job, free_port, own_lines, written

from lanes.cluster.hosts import join
from lanes.errors import RequestError
from lanes.program.hosts import ALONE

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("hosts"))


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
