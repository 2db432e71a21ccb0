"""A call says that it lives while it works, sees that it is asked to stop, and leaves nothing when it ends."""

import time

import pytest
from made_directories import without_runs

from lanes.engine import life as engine_life
from lanes.engine.life import Life
from lanes.storage import life, stops

CALL = "20260131-235959123456-0123abcd-89abcdef"
OTHER = "20260131-235959123457-0123abcd-89abcdef"


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_life, "POLL_SECONDS", 0.01)
    return without_runs(tmp_path / "sweep")


def within(seconds, condition):
    """Whether a condition comes to hold."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_it_says_so_until_it_ends(directory):
    with Life(directory, CALL, (1, 2)):
        (worker,) = life.workers(directory)
        assert (worker.call, worker.doing, worker.shard, worker.state) == (CALL, "starting", "1/2", life.ALIVE)
    assert not list(life.folder(directory).iterdir())


def test_it_sees_requests(directory):
    with Life(directory, CALL) as one, Life(directory, OTHER) as other:
        life.ask_to_stop(directory, CALL)
        stops.write(directory, stops.Stop("ab12"))
        assert within(10, one.asked.is_set)
        assert not other.asked.is_set()
        assert within(10, lambda: one.stops.by({"run_id": "ab12", "status": "stopped_early", "epochs": None}) == "user")
    with Life(directory, CALL) as again:
        assert not within(0.1, again.asked.is_set), "the request ended with the call"


def test_a_directory_that_cannot_be_written_stops_nobody(directory, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(life, "write", full)
    with Life(directory, CALL) as one:
        assert not one.asked.is_set()
