"""Sweeps over the widths of a perceptron: one program, and results, files and later commands do not notice."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

import lanes
from lanes import Run, grid
from lanes.cli import train
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from lanes.program.compiled import Programs
from lanes.results.evaluation import evaluate
from lanes.storage.directory import Directory
from lanes.storage.trained import own_variables
from nets import MLP

SIZES = [(3, 8), (6, 2), (5, 5)]
WIDEST = "widths=6,8"
BASE = Run(data=OVERLAPPING, net=MLP(widths=(3, 8)), batch_size=16, epochs=3, learning_rate=0.05)
SOME = grid(BASE, {"net.widths": SIZES}, seed=range(2))
OPTIONS = {"width": 2, "devices": 1, "quiet": True, "programs": Programs()}
FILE = """
from lanes import Blobs, Run, grid
from nets import MLP

BASE = Run(data=Blobs(n=120, classes=3, distance=1.5), batch_size=16, epochs=3, learning_rate=0.05)


def sweep():
    return grid(BASE, {"net.widths": [(4,), (9,)], "activation": ["relu", "tanh"]})
"""


def signatures(runs, **options) -> int:
    return len({member.signature for member in make_plan(runs, Options(devices=1, **options)).planned})


def tables(out: Path) -> tuple[pd.Series, pd.DataFrame]:
    """The program of each run, and the curves."""
    curves = lanes.load_curves(out).set_index(["run_id", "epoch"]).sort_index()
    return lanes.load(out).set_index("run_id")["program"], curves


def assert_same(out: Path, other: Path) -> None:
    """Equal curves, to the bit."""
    pd.testing.assert_frame_equal(tables(out)[1], tables(other)[1], check_exact=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shared") / "out"
    lanes.sweep(SOME, out, **OPTIONS)
    return out


@pytest.fixture(scope="module")
def separate(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("separate") / "out"
    lanes.sweep(SOME, out, sharing="separate", **OPTIONS)
    return out


def test_the_dry_run_says_what_was_chosen(tmp_path, call):
    file = tmp_path / "file.py"
    file.write_text(FILE)
    said = {
        way: call(file, "--out", tmp_path / "out", "--dry-run", "--programs", way)[1] for way in ("auto", "separate")
    }
    assert "by 1 training programs" in said["auto"]
    chosen = (
        "1 programs as wide as the widest of their nets in place of 2 of other widths (--programs separate): this saves"
    )
    assert chosen in said["auto"]
    assert "by 4 training programs" in said["separate"]


def test_a_program_trains_what_separate_ones_do(shared, separate):
    (programs, curves), (own, expected) = tables(shared), tables(separate)
    assert set(programs) == {WIDEST}
    assert set(own) == {"separate"}
    for name in ("batch_loss", "valid_loss"):
        np.testing.assert_allclose(curves[name], expected[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("epoch", ["best", "last"])
def test_restored_nets_have_their_own_sizes(shared, separate, epoch):
    x = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    ids = sorted(tables(shared)[0].index)
    for (net, variables), (_, expected) in zip(
        lanes.restore(shared, ids, epoch), lanes.restore(separate, ids, epoch), strict=True
    ):
        assert variables["params"]["hidden_1"]["dense"]["kernel"].shape == net.widths
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), variables, expected)
        assert np.asarray(net.apply(variables, x, train=False)).shape == (7, 3)


def test_evaluating_and_pruning_see_each_nets_own_weights(shared, separate, tmp_path):
    found, expected = (
        evaluate(shutil.copytree(path, tmp_path / path.parent.name), split="valid", prune=[0.5])
        .set_index("run_id")
        .sort_index()
        for path in (shared, separate)
    )
    results = lanes.load(shared).set_index("run_id").sort_index()
    np.testing.assert_allclose(found["evaluated_loss"], results["valid_loss"], rtol=1e-6)
    np.testing.assert_allclose(found["evaluated_loss_pruned_0.5"], expected["evaluated_loss_pruned_0.5"], rtol=1e-4)


@pytest.mark.slow
def test_shards_train_what_one_command_does(shared, tmp_path):
    for index in range(2):
        lanes.sweep(SOME, tmp_path, pack_lanes=2, shard=(index, 2), **OPTIONS)
    assert_same(tmp_path, shared)


@pytest.mark.slow
def test_halving_changes_no_number_of_a_survivor(shared, tmp_path):
    lanes.sweep(SOME, tmp_path, pack_lanes=2, halving=lanes.Halving(rungs=(1,), keep=0.5), **OPTIONS)
    (programs, curves), (_, expected) = tables(tmp_path), tables(shared)
    assert set(programs) == {WIDEST}
    assert len(curves) == 6 * 1 + 3 * 2
    pd.testing.assert_frame_equal(curves, expected.loc[curves.index], check_exact=True)


def test_a_stopped_sweep_goes_on_with_the_recorded_program(shared, tmp_path):
    lanes.sweep(SOME, tmp_path, after_chunk=lambda *_: True, chunk_seconds=0.0, **OPTIONS)
    lanes.sweep(SOME, tmp_path, sharing="separate", **OPTIONS)
    assert set(tables(tmp_path)[0]) == {WIDEST}
    assert_same(tmp_path, shared)


@pytest.mark.slow
def test_longer_runs_go_on_from_finished_ones(shared, tmp_path):
    longer = [dataclasses.replace(run, epochs=5) for run in SOME]
    lanes.sweep(longer, tmp_path / "whole", **OPTIONS)
    out = tmp_path / "out"
    shutil.copytree(shared, out)
    lanes.sweep(longer, out, **OPTIONS)
    (programs, curves), (_, expected) = tables(out), tables(tmp_path / "whole")
    assert set(programs) == {WIDEST}
    pd.testing.assert_frame_equal(curves.loc[expected.index], expected, check_exact=True)


def test_added_runs_join_if_they_are_not_wider(shared, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(shared, out)
    narrow, wide = (dataclasses.replace(BASE, net=MLP(widths=widths)) for widths in ((2, 4), (7, 1)))
    programs = lanes.sweep([*SOME, narrow, wide], out, **OPTIONS).set_index("run_id")["program"]
    assert programs[lanes.identify(narrow)] == WIDEST
    assert programs[lanes.identify(wide)] == "widths=7,8"  # of the program that all of them would have
    before = tables(shared)[1]
    pd.testing.assert_frame_equal(tables(out)[1].loc[before.index], before, check_exact=True)


def test_a_run_is_repeated_by_its_program(shared, tmp_path):
    run_id = tables(shared)[0].index[0]
    assert train.run(["--run", f"{shared}:{run_id}", "--out", str(tmp_path)]) == 0
    programs, curves = tables(tmp_path)
    assert list(programs) == [WIDEST]
    pd.testing.assert_frame_equal(curves, tables(shared)[1].loc[[run_id]], check_exact=True)


def test_a_net_starts_from_a_run_of_a_shared_program(shared, tmp_path):
    run_id = lanes.identify(SOME[-1])
    again = dataclasses.replace(SOME[-1], init_from=f"{shared}:{run_id}", seed=5)
    lanes.sweep([again], tmp_path, **OPTIONS)
    assert tables(tmp_path)[1]["batch_loss"].iloc[0] < tables(shared)[1].loc[run_id]["batch_loss"].iloc[0]


@pytest.mark.slow
def test_diagnoses_see_each_nets_own_units(shared, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(shared, out)
    found = lanes.diagnose(out, "gradients")
    assert len(found)
    own = tmp_path / "own"
    lanes.sweep(SOME, own, callbacks=[lanes.Diagnose("activations", every=3)], **OPTIONS)
    assert set(tables(own)[0]) == {"separate"}  # a callback is given a pack's parameters as one array


def test_what_differs_in_more_than_widths_stays_apart():
    runs = [
        *SOME,
        dataclasses.replace(BASE, net=MLP(widths=(4,))),
        dataclasses.replace(BASE, net=MLP(widths=(4, 4), norm="batch_norm")),
        dataclasses.replace(BASE, net=MLP(widths=(5, 4), norm="batch_norm")),
        dataclasses.replace(BASE, net=MLP(widths=(4, 4)), dropout=0.1),
    ]
    assert signatures(runs) == 5
    assert signatures(runs, sharing="separate") == 7


def test_the_choice_weighs_compiling_against_training():
    """A wide net's hours are not spent on narrow ones."""
    few = grid(BASE, {"net.widths": [(8,), (512,)]})
    many = grid(dataclasses.replace(BASE, epochs=10**5), {"net.widths": [(8,), (10,), (2000,)]}, seed=range(20))
    assert signatures(few) == 1
    assert signatures(many) == 2


def test_a_damaged_row_is_told(shared):
    row = Directory(shared).planned_runs().iloc[0].copy()
    row["description"] = json.dumps(json.loads(row["description"]) | {"net": "relu"})
    with pytest.raises(
        RequestError, match=r"has the program 'widths=6,8', and its net has no widths: its row is damaged$"
    ):
        own_variables(row, {"params": {}})
