"""Signs of life: a call that works, one that was killed, one that is silent; requests that a call stop."""

import json
import os
import subprocess
import sys

import pytest
from made_directories import without_runs

from lanes.storage import life, sealed

CALL = "20260131-235959123456-0123abcd-89abcdef"
OTHER = "20260131-235959123457-0123abcd-89abcdef"
TRAINING = {
    "doing": "training",
    "packs": [{"pack": "ab12", "epoch": 3, "epochs": 9, "runs": 4}],
    "shard": "1/2",
    "runs_per_second": 2.5,
    "seconds_left": 30.0,
}


@pytest.fixture
def directory(tmp_path):
    return without_runs(tmp_path / "sweep")


def rewritten(directory, **changes):
    """The sign of life with other content, sealed again."""
    path = life.folder(directory) / f"{CALL}.json"
    content = {name: value for name, value in json.loads(path.read_text()).items() if name != sealed.SEAL}
    sealed.write_sealed(path, content | changes)
    return life.workers(directory)


def test_a_worker_is_read_as_it_was_written(directory):
    life.write(directory, CALL, TRAINING)
    (worker,) = life.workers(directory)
    assert (worker.call, worker.process, worker.state) == (CALL, os.getpid(), life.ALIVE)
    assert worker.packs == (life.Working("ab12", 3, 9, 4),)
    assert (worker.shard, worker.runs_per_second, worker.seconds_left) == ("1/2", 2.5, 30.0)
    assert worker.silent_seconds < 5
    life.remove(directory, CALL)
    assert life.workers(directory) == []


def test_a_process_that_ended_is_killed(directory):
    life.write(directory, CALL, TRAINING)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (worker,) = rewritten(directory, process=process.pid)
    assert worker.state == life.KILLED
    life.write(directory, OTHER, TRAINING)
    life.remove_gone(directory)
    assert [one.call for one in life.workers(directory)] == [OTHER]


@pytest.mark.skipif(not life.began(os.getpid()), reason="the system does not say when a process began")
def test_a_number_that_another_process_has_now_is_not_the_worker(directory):
    life.write(directory, CALL, TRAINING)
    (worker,) = rewritten(directory, began="1")
    assert worker.state == life.KILLED


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"space": "pid:[1]"}])
@pytest.mark.parametrize(("age", "state"), [(5.0, life.ALIVE), (1000.0, life.SILENT)])
def test_of_another_host_or_container_silence_is_all_there_is_to_see(directory, change, age, state):
    life.write(directory, CALL, TRAINING)
    at = json.loads((life.folder(directory) / f"{CALL}.json").read_text())["at"]
    (worker,) = rewritten(directory, at=at - age, began="1", **change)
    assert worker.state == state
    assert worker.silent_seconds == pytest.approx(age, abs=5)
    life.remove_gone(directory)
    assert len(life.workers(directory)) == 1
    rewritten(directory, at=at - 8 * 86400, **change)
    life.remove_gone(directory)
    assert life.workers(directory) == []


def test_a_clock_that_is_ahead_is_no_silence(directory):
    life.write(directory, CALL, TRAINING)
    at = json.loads((life.folder(directory) / f"{CALL}.json").read_text())["at"]
    (worker,) = rewritten(directory, at=at + 3600, host="elsewhere")
    assert (worker.state, worker.silent_seconds) == (life.ALIVE, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"sweep": "0" * 32},
        {"call": OTHER},
        {"process": 0},
        {"process": True},
        {"process": 1 << 40},
        {"at": "now"},
        {"packs": [{"pack": "ab12"}]},
        {"packs": [{"pack": "ab12", "epoch": "3", "epochs": 9, "runs": 4}]},
        {"packs": {}},
        {"seconds_left": "soon"},
        {"host": None},
        {"shard": 3},
    ],
    ids=str,
)
def test_what_this_program_does_not_write_is_not_read(directory, change):
    life.write(directory, CALL, TRAINING)
    assert rewritten(directory, **change) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 9000, b"\xff", b'{"sha256": 1}'])
def test_damaged_files_are_not_read(directory, content):
    life.write(directory, CALL, TRAINING)
    (life.folder(directory) / f"{CALL}.json").write_bytes(content)
    (life.folder(directory) / "notes.json").write_bytes(content)
    assert life.workers(directory) == []


def test_nothing_is_read_or_written_through_links(directory, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    life.folder(directory).symlink_to(outside, target_is_directory=True)
    with pytest.raises(OSError, match="link"):
        life.write(directory, CALL, TRAINING)
    with pytest.raises(OSError, match="link"):
        life.ask_to_stop(directory, CALL)
    (outside / f"{CALL}.json").write_text("{}")
    life.remove(directory, CALL)
    assert [path.name for path in outside.iterdir()] == [f"{CALL}.json"]
    assert life.workers(directory) == []


def test_a_request_is_for_one_call(directory):
    life.write(directory, CALL, TRAINING)
    assert not life.is_asked_to_stop(directory, CALL)
    life.ask_to_stop(directory, CALL)
    assert life.is_asked_to_stop(directory, CALL)
    assert not life.is_asked_to_stop(directory, OTHER)
    stop = life.folder(directory) / f"{CALL}{life.STOP}"
    stop.rename(life.folder(directory) / f"{OTHER}{life.STOP}")
    assert not life.is_asked_to_stop(directory, OTHER), "another call's request under this call's name"
    life.remove(directory, OTHER)
    assert not life.is_asked_to_stop(directory, CALL)
