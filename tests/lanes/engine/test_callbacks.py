"""Callbacks see the curves so far, end runs, change no other number, and lose nothing when they raise."""

import dataclasses
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_sweeps import GOOD

import lanes
from lanes import Reached, Run
from lanes.engine.callbacks import Callback, CallbackError, Callbacks
from lanes.program.compiled import Programs
from lanes.program.lane import Status
from lanes.storage import stops
from lanes.storage.directory import Directory

PROGRAMS = Programs()
# One pack, in chunks of one epoch.
OPTIONS = {"width": 4, "devices": 1, "quiet": True, "chunk_seconds": 0.0, "programs": PROGRAMS}
BASE = dataclasses.replace(GOOD, epochs=3, valid_fraction=0.25)
NOT_COMPARED = ["seconds", "calls"]


def runs() -> list[Run]:
    """Four runs."""
    return lanes.grid(BASE, learning_rate=[1e-3, 1e-2], seed=range(2))


def swept(out, *callbacks) -> pd.DataFrame:
    """The table by run, without what differs between equal sweeps."""
    table = lanes.sweep(runs(), out, callbacks=callbacks, **OPTIONS)
    return table.set_index("run_id").drop(columns=NOT_COMPARED)


def curves(out) -> pd.DataFrame:
    """Curves by run and epoch."""
    return lanes.load_curves(out).sort_values(["run_id", "epoch"], ignore_index=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The sweep without callbacks: its folder and its table."""
    out = tmp_path_factory.mktemp("plain") / "sweep"
    return out, swept(out)


def test_a_callback_sees_the_curves_so_far_and_changes_nothing(plain, tmp_path):
    seen: list[Reached] = []
    table = swept(tmp_path / "sweep", seen.append)
    pd.testing.assert_frame_equal(table, plain[1])
    pd.testing.assert_frame_equal(curves(tmp_path / "sweep"), curves(plain[0]))
    assert [reached.epoch for reached in seen] == [1, 2, 3]
    for reached in seen:
        assert len(reached.curves) == 4 * reached.epoch
        assert reached.running == ([] if reached.epoch == 3 else list(reached.runs))
        assert {run.epochs for run in reached.runs.values()} == {3}
    last = seen[-1].curves.sort_values(["run_id", "epoch"], ignore_index=True)
    expected = curves(plain[0])[list(last.columns)]
    pd.testing.assert_frame_equal(last, expected, check_dtype=False)


def test_a_run_that_a_callback_ends_keeps_what_it_has_reached_and_others_every_bit(plain, tmp_path):
    asked: list[str] = []

    def impatient(reached: Reached) -> list[str]:
        if reached.epoch == 2:
            asked.append(next(iter(reached.runs)))
            return asked[-1:]
        return []

    out = tmp_path / "sweep"
    table = swept(out, impatient)
    ended = table.loc[asked]
    assert (ended["status"] == "stopped_early").all()
    assert (ended["epochs_done"] == 2).all()
    assert ended["stopped_by"].str.contains("impatient").all()
    pd.testing.assert_frame_equal(
        table.drop(asked).drop(columns="stopped_by"), plain[1].drop(asked).drop(columns="stopped_by")
    )
    assert table.drop(asked)["stopped_by"].isna().all()
    first, whole = curves(out), curves(plain[0])
    kept = whole[~whole["run_id"].isin(asked) | (whole["epoch"] <= 2)].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, kept)
    assert {stops.read(Directory(out), run_id).epoch for run_id in asked} == {2}
    # Trained again, it ends at the same epoch though nobody asks any more.
    pack = table.loc[asked[0], "pack"]
    (out / "results" / f"{pack}.parquet").unlink()
    (out / "curves" / f"{pack}.parquet").unlink()
    pd.testing.assert_frame_equal(swept(out), table)


@pytest.mark.slow
def test_a_callback_that_raises_stops_the_sweep_and_loses_nothing(plain, tmp_path, capfd):
    def broken(reached: Reached) -> None:
        if reached.epoch == 2:
            raise ValueError("no such server\nat all")

    out = tmp_path / "sweep"
    assert swept(out, broken)["status"].isna().all()
    error = capfd.readouterr().err
    assert "broken: ValueError: no such server; stopped, everything saved" in error
    assert len(error.splitlines()) == 1
    seen: list[int] = []
    table = swept(out, lambda reached: seen.append(reached.epoch))
    assert seen[0] == 3
    pd.testing.assert_frame_equal(table, plain[1])


class Pack:
    """What of a pack callbacks see: two runs."""

    pack_id = "aa"
    members = tuple(types.SimpleNamespace(run_id=name, run=BASE) for name in ("a1", "b2"))


def after(callback: Callback, status=(Status.RUNNING, Status.DONE)) -> dict[str, list[str]]:
    """The runs that a callback ends after two epochs of the pack."""
    history = {"batch_loss": np.ones((2, 2), np.float32)}
    return Callbacks([callback], Path("sweep")).after(Pack(), 2, np.array(status), history, np.array([2, 2]))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("a1", "must return a list of run_ids"),
        (["abc"], "no run_id of reached.runs"),
        ([["a1"]], "no run_id of reached.runs"),
        (3, "must return a list"),
        (True, "must return a list"),
    ],
)
def test_what_a_callback_may_not_return(returned, message):
    with pytest.raises(CallbackError, match=message):
        after(lambda _: returned)


def test_only_running_runs_are_ended():
    (ended,) = after(lambda reached: [*reached.runs, *reached.runs]).values()
    assert ended == ["a1"]
    assert not after(lambda _: iter(()))
    assert not after(lambda _: None)
    assert not after(lambda _: ["b2"])


def test_a_callback_cannot_write_into_the_curves():
    def vandal(reached: Reached) -> None:
        reached.history["batch_loss"][:] = 0

    with pytest.raises(CallbackError, match="read-only"):
        after(vandal)


def test_a_library_that_ends_the_process_does_not_end_the_sweep_unsaved():
    def leaving(_: Reached) -> None:
        raise SystemExit(3)

    with pytest.raises(CallbackError, match="leaving: SystemExit: 3"):
        after(leaving)


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([3], "must be a function"),
        ([lanes.JSONLines], r"write JSONLines\(\)"),
        ([lambda: None], "does not take one argument"),
        ("jsonl", "must be a list of functions"),
        (3, "must be a list of functions"),
    ],
)
def test_wrong_callbacks_are_refused(tmp_path, callbacks, message):
    with pytest.raises(lanes.RequestError, match=message):
        lanes.sweep(runs(), tmp_path / "sweep", callbacks=callbacks, **OPTIONS)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_a_run_that_the_user_ends_from_outside(plain, tmp_path):
    out = tmp_path / "sweep"
    swept(out, stop_now)
    table = lanes.load(out).set_index("run_id").drop(columns=NOT_COMPARED)
    ended = table[table["stopped_by"] == "user"]
    assert len(ended) == 1
    assert (ended["epochs_done"] == 1).all()
    assert (ended["status"] == "stopped_early").all()
    rest = table.drop(ended.index)
    pd.testing.assert_frame_equal(rest.drop(columns="stopped_by"), plain[1].loc[rest.index].drop(columns="stopped_by"))


def stop_now(reached: Reached) -> None:
    """Ask as `lanes stop` does, and wait until the thread that looks for requests has seen it."""
    if reached.epoch == 1:
        stops.write(Directory(reached.directory), stops.Stop(next(iter(reached.runs))))
        time.sleep(1.5)
