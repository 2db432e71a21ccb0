"""Requests that runs end: when they are due, and that they hold at the same epoch ever after."""

import types

import numpy as np
import pytest
from made_directories import without_runs

from lanes.engine.stopping_runs import StoppingRuns
from lanes.program.lane import Status
from lanes.storage import stops
from lanes.storage.stops import Stop

RUNNING = np.full(4, Status.RUNNING)


class Pack:
    """Three runs and an empty lane."""

    members = tuple(types.SimpleNamespace(run_id=name) for name in ("a0", "b1", "c2"))
    lanes = (*members, None)


@pytest.fixture
def directory(tmp_path):
    return without_runs(tmp_path / "sweep")


def asked(directory, *requests):
    """The requests of a directory that has these."""
    for stop in requests:
        stops.write(directory, stop)
    found = StoppingRuns(directory)
    found.refresh()
    return found


def test_a_request_is_due_after_one_epoch_and_bounds_the_first_chunk(directory):
    found = asked(directory, Stop("b1"))
    assert not found.cut(Pack, 0, RUNNING).any()
    assert found.next_epoch(Pack, 0, 9) == 1
    assert list(found.cut(Pack, 1, RUNNING)) == [False, True, False, False]
    assert found.next_epoch(Pack, 4, 9) == 9


def test_it_is_written_with_its_epoch_and_holds_there(directory):
    found = asked(directory, Stop("b1"))
    (applied,) = found.applied(Pack, 5, found.cut(Pack, 5, RUNNING))
    assert applied == Stop("b1", "user", 5)
    assert not found.applied(Pack, 6, found.cut(Pack, 6, RUNNING)), "once"
    again = asked(directory, applied)
    assert again.next_epoch(Pack, 0, 9) == 5
    assert not again.cut(Pack, 4, RUNNING).any()
    assert again.cut(Pack, 5, RUNNING)[1]
    assert again.by({"run_id": "b1", "status": "stopped_early", "epochs": 5}) == "user"
    assert again.by({"run_id": "b1", "status": "stopped_early", "epochs": 4}) is None, "patience ended it before"
    assert again.by({"run_id": "b1", "status": "diverged", "epochs": 5}) is None


@pytest.mark.parametrize("status", [Status.DONE, Status.STOPPED_EARLY, Status.DIVERGED, Status.PRUNED, Status.EMPTY])
def test_a_run_that_has_ended_stays_as_it_is(directory, status):
    found = asked(directory, Stop("b1"))
    ended = RUNNING.copy()
    ended[1] = status
    assert not found.cut(Pack, 3, ended).any()


def test_a_request_that_came_too_late_is_dropped(directory):
    """A pack that is trained again would end its run early otherwise."""
    found = asked(directory, Stop("b1"), Stop("c2", epoch=2))
    assert found.too_late(["a0", "b1", "c2"]) == ["b1"]
    assert found.by({"run_id": "b1", "status": "stopped_early", "epochs": None}) is None
    stops.remove(directory, "b1")
    stops.remove(directory, "b1")
    assert stops.names(directory) == {"c2"}


def test_a_callback_names_itself():
    found = StoppingRuns()
    found.refresh()
    found.ask(["a0"], "impatient")
    found.ask(["a0"], "another")
    (applied,) = found.applied(Pack, 3, found.cut(Pack, 3, RUNNING))
    assert applied == Stop("a0", "impatient", 3)
