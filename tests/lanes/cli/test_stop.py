"""`lanes stop` asks the calls that work now, waits for them, and ends single runs."""

import threading
import time

import pytest
from made_directories import with_three_runs

from lanes.cli import stop
from lanes.storage import life, stops
from lanes.storage.directory import Directory

CALL = "20260131-235959123456-0123abcd-89abcdef"


@pytest.fixture
def directory(tmp_path):
    return with_three_runs(tmp_path / "sweep")


def called(directory, capsys, *words):
    """(exit status, standard output, standard error)."""
    status = stop.run([str(directory.path), *words])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_nobody_is_at_work(directory, capsys):
    status, out, _ = called(directory, capsys)
    assert (status, out) == (0, f"no worker is at work in {directory.path}: nothing to stop\n")


def test_a_worker_is_asked_and_waited_for(directory, capsys):
    life.write(directory, CALL, {"doing": "training"})

    def worker():
        while not life.is_asked_to_stop(directory, CALL):
            time.sleep(0.01)
        life.remove(directory, CALL)

    thread = threading.Thread(target=worker)
    thread.start()
    status, out, _ = called(directory, capsys)
    thread.join()
    assert status == 0
    assert "asked to save and stop: process" in out
    assert out.endswith(" has stopped\n")


def test_a_worker_that_does_not_stop_is_said(directory, capsys):
    life.write(directory, CALL, {"doing": "compiling"})
    assert called(directory, capsys, "--wait", "0")[0] == 0
    status, out, _ = called(directory, capsys, "--wait", "0.3")
    assert status == 3
    assert "not stopped yet: process" in out
    assert life.is_asked_to_stop(directory, CALL)


def test_single_runs(directory, capsys):
    status, out, _ = called(directory, capsys, "a0", "a1", "a0")
    assert status == 0
    assert out.startswith("2 runs end once the sweep's command is repeated, as stopped_early")
    assert stops.names(directory) == {"a0", "a1"}
    stops.write(directory, stops.Stop("a0", epoch=3))
    life.write(directory, CALL, {"doing": "training"})
    status, out, _ = called(directory, capsys, "a0")
    assert out.startswith("1 run ends after its chunk")
    assert stops.read(directory, "a0") == stops.Stop("a0", epoch=3), "a second request changes nothing"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["b0"], "run b0 has ended (done)"),
        (["a0", "b0"], "run b0 has ended (done)"),
        (["a"], "matches 2 runs"),
        (["zz"], "unknown run 'zz'"),
        (["../a0"], "unknown run"),
    ],
)
def test_runs_that_cannot_be_ended(directory, capsys, words, message):
    status, _, err = called(directory, capsys, *words)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert stops.names(directory) == set()


def test_no_request_is_written_through_a_link(directory, capsys, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    stops.folder(directory).symlink_to(outside, target_is_directory=True)
    status, _, err = called(directory, capsys, "a0")
    assert status == 2
    assert "cannot be written" in err
    assert not list(outside.iterdir())


@pytest.mark.parametrize("content", ['{"run_id": "a1", "by": "user", "epoch": null}', "", "{}"])
def test_a_request_that_is_not_for_its_run_is_set_aside(directory, content):
    stops.write(directory, stops.Stop("a0"))
    (stops.folder(directory) / "a0.json").write_text(content)
    lines = []
    assert stops.read(Directory(directory.path, lines.append), "a0") is None
    assert len(lines) == 1
    assert stops.read(Directory(directory.path, lines.append), "a0") is None
