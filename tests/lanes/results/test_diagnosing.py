"""Diagnoses during training: the same numbers as from checkpoints, and none changed by looking."""

import numpy as np
import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

import lanes
from lanes import RequestError, Run, grid
from lanes.program.compiled import Programs
from nets import MLP

PROGRAMS = Programs()
RUNS = grid(Run(data=OVERLAPPING, net=MLP(widths=(6,)), epochs=5, batch_size=16, activation="tanh"), seed=range(2))


def sweep(out, **options):
    return lanes.sweep(RUNS, out=out, quiet=True, devices=1, programs=PROGRAMS, **options)


def written(out, what):
    return pd.read_parquet(out / "diagnoses" / f"training_{what}").sort_values(["epoch", "run_id"], kind="stable")


@pytest.mark.slow
def test_looking_changes_no_number_and_sees_what_the_checkpoint_holds(tmp_path):
    plain, looked = tmp_path / "plain", tmp_path / "looked"
    before = sweep(plain)
    after = sweep(looked, callbacks=[lanes.Diagnose(every=2, examples=30)])
    pd.testing.assert_series_equal(before["run_id"], after["run_id"])
    pd.testing.assert_frame_equal(lanes.load_curves(plain), lanes.load_curves(looked))
    for what, columns in {"activations": ["std", "saturated", "dead"], "gradients": ["gradient_norm"]}.items():
        table = written(looked, what)
        assert table.groupby("run_id")["epoch"].unique().map(list).tolist() == [[2, 4, 5]] * 2
        keys = ["run_id", "layer", *(["parameter"] if what == "gradients" else [])]
        last = table[table["epoch"] == 5].set_index(keys)[columns].sort_index()
        stored = lanes.diagnose(looked, what, epoch="last", examples=30)[what].set_index(keys)[columns].sort_index()
        pd.testing.assert_frame_equal(last, stored, rtol=1e-5)


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_with_its_rows(tmp_path):
    out = tmp_path / "out"
    sweep(out, callbacks=[lanes.Diagnose("gradients")], after_chunk=lambda _, epoch: epoch >= 2)
    first = written(out, "gradients")
    assert set(first["epoch"]) <= {1, 2, 3}
    sweep(out, callbacks=[lanes.Diagnose("gradients")])
    table = written(out, "gradients")
    assert list(dict.fromkeys(table["epoch"])) == [1, 2, 3, 4, 5]
    assert not table.duplicated(["run_id", "epoch", "layer", "parameter"]).any()
    assert np.isfinite(table["gradient_norm"]).all()


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: lanes.Diagnose("gradient"), "unknown diagnosis during training 'gradient': did you mean 'gradients'?"),
        (lambda: lanes.Diagnose(every=0), "Diagnose: every is 0: it must be a whole number, at least 1"),
        (lambda: lanes.Diagnose(examples=1.5), "Diagnose: examples is 1.5: it must be a whole number, at least 1"),
        (lambda: lanes.Diagnose(split="tests"), "unknown split 'tests': did you mean 'test'?"),
    ],
    ids=["name", "every", "examples", "split"],
)
def test_a_wrong_request_is_refused_when_it_is_made(make, line):
    with pytest.raises(RequestError) as caught:
        make()
    assert str(caught.value).startswith(line)
