"""Diverging runs are frozen, labelled and never the best, and do not affect the runs beside them."""

import dataclasses

import pandas as pd
import pytest

import lanes
from lanes import Run, grid
from lanes.data.generated_sets import Blobs
from lanes.program.compiled import Programs
from lanes.results.leaderboard import leaderboard
from nets import MLP

BASE = Run(data=Blobs(n=120), net=MLP(widths=(4,)), activation="prelu", optimizer="sgd", batch_size=8, epochs=6)
PROGRAMS = Programs()
OPTIONS = {"width": 4, "devices": 1, "quiet": True, "pack_lanes": 8, "chunk_seconds": 0.0, "programs": PROGRAMS}


def numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=["pack", "lane", "pack_shape", "program", "seconds", "calls"]).sort_values(
        "run_id", ignore_index=True
    )


@pytest.mark.slow
def test_diverging_runs_do_not_change_their_neighbours(tmp_path):
    good = grid(BASE, learning_rate=[0.01, 0.1], seed=range(7))
    bad = grid(BASE, learning_rate=[1e30], seed=range(6))
    mixed = [
        run for pair in zip(good, bad + [None] * 8) for run in pair if run is not None
    ]  # 30%, spread over the lanes
    together = lanes.sweep(mixed, tmp_path / "mixed", **OPTIONS).set_index("run_id")
    alone = lanes.sweep(good, tmp_path / "good", **OPTIONS)
    beside = numbers(together.loc[alone["run_id"]].reset_index())
    common = [name for name in beside if name in alone and name != "diverged_step"]
    pd.testing.assert_frame_equal(beside[common], numbers(alone)[common], check_exact=True, check_dtype=False)
    curves = [lanes.load_curves(tmp_path / name).sort_values(["run_id", "epoch"]) for name in ("mixed", "good")]
    seen = curves[0][curves[0]["run_id"].isin(alone["run_id"])]
    pd.testing.assert_frame_equal(seen.reset_index(drop=True), curves[1].reset_index(drop=True), check_exact=True)
    for run_id in alone["run_id"]:
        left, right = (lanes.restore(tmp_path / name, run_id)[1]["params"] for name in ("mixed", "good"))
        assert str(left) == str(right)
    diverged = together[together["status"] == "diverged"]
    assert len(diverged) == 6
    assert (diverged["diverged_step"] >= 1).all()
    assert diverged[["valid_loss", "test_loss", "test_accuracy"]].isna().all(axis=None)
    board = leaderboard(lanes.load(tmp_path / "mixed"))
    best = board.table.iloc[0]
    assert best["diverged"] == 0
    assert board.table["diverged"].sum() == 6


@pytest.mark.slow
def test_a_pack_of_diverged_runs_ends_early(tmp_path):
    bad = grid(dataclasses.replace(BASE, epochs=400), learning_rate=[1e30], seed=range(4))
    table = lanes.sweep(bad, tmp_path / "sweep", **OPTIONS)
    assert (table["status"] == "diverged").all()
    from lanes.storage.directory import Directory

    directory = Directory(tmp_path / "sweep")
    epoch, _ = directory.checkpoint(table["pack"][0])
    assert epoch < 400
