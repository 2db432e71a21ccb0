"""A sweep that is looked at, stopped, steered and partly forgotten from another terminal keeps every other bit."""

import shutil
import time

import pandas as pd
import pytest
from injuries import assert_same, copy, curves, finish, kill, leaves, resume, start, table, wait_for_training

from lanes.cli import forget, stop
from lanes.results.status import status
from lanes.storage import life, stops
from lanes.storage.directory import Directory

pytestmark = pytest.mark.slow
SLOW = ("hang=0.8",)  # after each chunk but the first


def wait_for_epochs(out, epochs=1):
    """Wait until a worker has trained a pack so far."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if any(pack.epoch >= epochs for worker in life.workers(Directory(out)) for pack in worker.packs):
            return
        time.sleep(0.05)
    raise AssertionError("nothing is trained")


def test_a_worker_is_seen_stopped_and_resumed(reference, tmp_path, capsys):
    out = tmp_path / "sweep"
    process = start(out, *SLOW)
    wait_for_training(process)
    wait_for_epochs(out)
    (worker,) = status(out).workers
    assert (worker.process, worker.state) == (process.pid, life.ALIVE)
    assert status(out).runs["training"] == 8
    began = time.monotonic()
    assert stop.run([str(out)]) == 0
    text = capsys.readouterr().out
    assert f"process {process.pid} on" in text
    assert "has stopped" in text
    exit_status, text = finish(process)
    assert exit_status == 75, text
    assert time.monotonic() - began < 10
    assert status(out).workers == []
    assert resume(out) == 0, "the request was for that call alone"
    assert_same(out, reference)


def test_a_killed_worker_is_shown_as_killed(reference, tmp_path):
    out = tmp_path / "sweep"
    process = start(out, *SLOW)
    wait_for_training(process)
    wait_for_epochs(out)
    kill(process)
    found = status(out)
    assert [worker.state for worker in found.workers] == [life.KILLED]
    assert found.at_work == []
    assert found.seconds_left is None
    assert found.repeat is None, "the driver's runs have no command"
    assert resume(out) == 0
    assert status(out).workers == []
    assert_same(out, reference)


def test_single_runs_end_in_a_running_sweep(reference, tmp_path):
    out = tmp_path / "sweep"
    process = start(out, "hang=3")
    wait_for_training(process)
    wait_for_epochs(out)
    known = Directory(out).read_runs(["run_id", "pack"])
    packs = [pack for worker in life.workers(Directory(out)) for pack in worker.packs]
    inside = known[known["pack"] == packs[0].pack]["run_id"].iloc[3]
    later = known[known["pack"] != packs[0].pack]["run_id"].iloc[-1]
    assert stop.run([str(out), inside[:10], later]) == 0
    exit_status, text = finish(process)
    assert exit_status == 0, text
    found, expected = table(out).set_index("run_id"), reference.table.set_index("run_id")
    ended = found.loc[[inside, later]]
    assert (ended["status"] == "stopped_early").all()
    assert (ended["stopped_by"] == "user").all()
    assert (ended["epochs_done"] < 6).all()
    rest = found.drop(ended.index)
    pd.testing.assert_frame_equal(rest, expected.loc[rest.index], check_exact=True)
    for run_id, names in leaves(out).items():
        if run_id not in ended.index:
            assert all(leaf.tobytes() == reference.leaves[run_id][name].tobytes() for name, leaf in names.items())
    # Trained again from the start, the two end where they did.
    shutil.rmtree(out / "results")
    shutil.rmtree(out / "curves")
    shutil.rmtree(out / "checkpoints")
    assert resume(out) == 0
    pd.testing.assert_frame_equal(table(out).set_index("run_id"), found, check_exact=True)
    # Forgotten, they are trained to the end.
    assert forget.run([str(out), inside, later]) == 0
    assert stops.names(Directory(out)) == set()
    assert resume(out) == 0
    assert_same(out, reference)


@pytest.mark.parametrize("count", [1, 8, 11])
def test_forgotten_runs_are_trained_again(reference, tmp_path, count):
    out = copy(reference.path, tmp_path)
    run_ids = list(table(out)["run_id"])[:count]
    assert forget.run([str(out), *run_ids]) == 0
    left = table(out).set_index("run_id")
    expected = reference.table.set_index("run_id").drop(run_ids)
    pd.testing.assert_frame_equal(left.loc[expected.index], expected, check_exact=True)
    kept = reference.curves[~reference.curves["run_id"].isin(run_ids)].reset_index(drop=True)
    pd.testing.assert_frame_equal(curves(out), kept, check_exact=True)
    lines: list[str] = []
    assert resume(out, lines.append) == 0
    assert lines == []
    assert_same(out, reference)


def test_what_is_being_trained_is_not_forgotten(reference, tmp_path, capsys):
    out = tmp_path / "sweep"
    process = start(out, *SLOW)
    wait_for_training(process)
    wait_for_epochs(out)
    (worker,) = life.workers(Directory(out))
    known = Directory(out).read_runs(["run_id", "pack"])
    run_ids = list(known[known["pack"] == worker.packs[0].pack]["run_id"])
    assert forget.run([str(out), *run_ids]) == 2
    assert f"is trained by process {process.pid}" in capsys.readouterr().err
    # Of a pack that waits for its turn: the worker leaves it out, and says so.
    waiting = known[~known["pack"].isin([one.pack for one in worker.packs])].groupby("pack")["run_id"].first().iloc[-1]
    assert forget.run([str(out), waiting]) == 0
    exit_status, text = finish(process)
    assert exit_status == 75, text
    assert "1 of its 8 runs have been forgotten meanwhile: repeat this command" in text
    assert resume(out) == 0
    assert_same(out, reference)
