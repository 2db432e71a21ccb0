"""More epochs than a finished run has: it goes on where that equals one longer run bit for bit; otherwise a line says why not."""

import dataclasses
import functools

import jax
import numpy as np
import pandas as pd
import pytest

import lanes
from lanes import EMA, Adam, RequestError, Run, Warmup, grid
from lanes.program.compiled import Programs
from nets import MLP
from tests.small_sweeps import OVERLAPPING

PROGRAMS = Programs()
OPTIONS = {"programs": PROGRAMS, "devices": 1, "quiet": True}
sweep = functools.partial(lanes.sweep, width=2, **OPTIONS)

# State in every place: moments, an average, batch statistics, early stopping, streams of randomness that follow the step.
BASE = Run(
    data=OVERLAPPING,
    net=MLP(widths=(6,), norm="batch_norm"),
    optimizer=Adam(b1=0.8),
    learning_rate=0.02,
    dropout=0.2,
    average=EMA(0.7),
    patience=6,
    batch_size=16,
    epochs=6,
)
SHORT = dataclasses.replace(BASE, epochs=3)
COMPARED = ("train_loss", "valid_loss", "test_loss", "train_accuracy", "valid_accuracy", "best_epoch", "epochs_done")


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    out = tmp_path_factory.mktemp("longer") / "sweep"
    sweep(grid(BASE, seed=range(2)), out)
    return out


@pytest.fixture(scope="module")
def shorter(tmp_path_factory):
    out = tmp_path_factory.mktemp("shorter") / "sweep"
    sweep(grid(SHORT, seed=range(2)), out)
    return out


def assert_equal(first, second, run_ids):
    """That runs of two directories are equal in results, curves and last parameters, bit for bit."""
    tables = [lanes.load(path).set_index("run_id").loc[run_ids] for path in (first, second)]
    for name in COMPARED:
        np.testing.assert_array_equal(*(table[name].astype(float) for table in tables), err_msg=name)
    curves = [lanes.load_curves(path) for path in (first, second)]
    kept = [one[one["run_id"].isin(run_ids)].sort_values(["run_id", "epoch"]).reset_index(drop=True) for one in curves]
    pd.testing.assert_frame_equal(*kept, check_exact=True, check_like=True)
    for run_id in run_ids:
        variables = [lanes.restore(path, run_id, epoch="last")[1] for path in (first, second)]
        jax.tree.map(np.testing.assert_array_equal, *variables)


def test_more_epochs_in_the_file_go_on_and_equal_one_longer_run(longer, shorter, capfd):
    table = sweep(grid(BASE, seed=range(3)), shorter)
    said = capfd.readouterr().err
    assert "2 runs go on from finished ones of 3 epochs" in said
    assert len(table) == 5  # the two shorter runs, and a new one of seed 2, from its start
    assert set(table["status"]) <= {"done", "stopped_early"}
    new = lanes.load(longer)["run_id"]
    assert_equal(longer, shorter, list(new))


@pytest.mark.slow
def test_a_run_goes_on_elsewhere(longer, tmp_path):
    sweep([SHORT], tmp_path / "short")
    (run_id,) = lanes.load(tmp_path / "short")["run_id"]
    table = lanes.continue_run(tmp_path / "short", run_id[:9], epochs=6, out=tmp_path / "long", **OPTIONS)
    assert len(table) == 1
    assert table["run_id"][0] in set(lanes.load(longer)["run_id"])
    assert_equal(longer, tmp_path / "long", list(table["run_id"]))
    with pytest.raises(RequestError, match=r"epochs is 3: it must be a number above the 3"):
        lanes.continue_run(tmp_path / "short", run_id, epochs=3, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_what_reads_the_length_trains_again_and_says_so(tmp_path, capfd):
    run = dataclasses.replace(SHORT, schedule="cosine", patience=None)
    sweep([run], tmp_path / "sweep")
    (run_id,) = lanes.load(tmp_path / "sweep")["run_id"]
    with pytest.raises(
        RequestError, match=r"cannot go on exactly: what a step does depends on the length.*init_from='"
    ):
        lanes.continue_run(tmp_path / "sweep", run_id, epochs=5, out=tmp_path / "other", **OPTIONS)
    sweep([dataclasses.replace(run, epochs=5)], tmp_path / "sweep")
    assert "1 runs differ from finished ones only in epochs and train from the start" in capfd.readouterr().err
    sweep([dataclasses.replace(run, epochs=5)], tmp_path / "alone")
    assert_equal(tmp_path / "alone", tmp_path / "sweep", list(lanes.load(tmp_path / "alone")["run_id"]))


@pytest.mark.slow
def test_a_warmup_of_so_many_steps_goes_on(tmp_path, capfd):
    run = dataclasses.replace(SHORT, schedule=Warmup(warmup=8.0))
    sweep([run], tmp_path / "sweep")
    sweep([dataclasses.replace(run, epochs=4)], tmp_path / "sweep")
    assert "go on from finished ones" in capfd.readouterr().err


@pytest.mark.slow
def test_an_epoch_that_only_the_shorter_run_evaluates_is_not_gone_on_from(tmp_path):
    run = dataclasses.replace(SHORT, eval_every=2)
    sweep([run], tmp_path / "sweep")
    (run_id,) = lanes.load(tmp_path / "sweep")["run_id"]
    with pytest.raises(RequestError, match=r"epoch 3, their last, was evaluated, and eval_every=2"):
        lanes.continue_run(tmp_path / "sweep", run_id, epochs=6, out=tmp_path / "other", **OPTIONS)
