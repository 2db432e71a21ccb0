"""The tables behind the plots: grids of two axes, slices, bands of curves, noise floor and endings."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lanes.results.curve_bands import bands, run_curves
from lanes.results.endings import endings
from lanes.results.leaderboard import ranked
from lanes.results.noise_floor import noise_floor, paired_half, unpaired_half
from lanes.results.pivots import grid_of
from lanes.results.slices import slice_of, spread_over_decades


def rows_of(rates=(0.001, 0.01, 0.1), sizes=(1, 2), seeds=3):
    return pd.DataFrame(
        [
            {
                "run_id": f"{at}",
                "status": "done",
                "learning_rate": r,
                "batch_size": b,
                "seed": s,
                "valid_accuracy": r + b / 10 + s / 100,
            }
            for at, (r, b, s) in enumerate(itertools.product(rates, sizes, range(seeds)))
        ]
    )


# ---- grids -----------------------------------------------------------------------------------------------------------


def test_a_grid_of_two_axes_tells_lost_cells_from_cells_that_were_not_planned():
    runs = rows_of()
    runs.loc[(runs["learning_rate"] == 0.1) & (runs["batch_size"] == 1), ["status", "valid_accuracy"]] = [
        "diverged",
        None,
    ]
    runs = runs[(runs["learning_rate"] != 0.001) | (runs["batch_size"] != 2)]
    board = ranked(runs, "valid_accuracy")
    rate, size = board.axes
    best, median = grid_of(board, size, rate)
    assert (best.index.tolist(), best.columns.tolist()) == (["1", "2"], ["0.001", "0.01", "0.1"])
    assert median.loc["2", "0.1"] == pytest.approx(0.31)
    assert best.loc["1", "0.1"] == -1
    assert np.isnan(best.loc["2", "0.001"])
    assert (best >= 0).to_numpy().sum() == 4 == median.notna().to_numpy().sum()


# ---- slices ----------------------------------------------------------------------------------------------------------


def test_a_slice_keeps_the_combinations_that_were_lost():
    generator = np.random.default_rng(0)
    rates = 10 ** generator.uniform(-3, 1, 30)
    status = np.where(rates > 1, "diverged", "done")
    runs = pd.DataFrame({"run_id": map(str, range(30)), "status": status, "learning_rate": rates})
    runs["valid_accuracy"] = np.where(rates > 1, np.nan, rates)
    board = ranked(runs, "valid_accuracy")
    found = slice_of(board, board.axes[0])
    assert len(found) == 30
    assert (found["lost"] == "diverged").sum() == (rates > 1).sum() > 0
    kept = found[found["lost"] == ""]
    np.testing.assert_allclose(kept["x"], kept["value"])
    assert spread_over_decades(board.axes[0].numbers)
    assert not spread_over_decades((0.0, 1.0, 100.0))


# ---- curves ----------------------------------------------------------------------------------------------------------


def test_bands_count_the_seeds_of_each_epoch():
    board = ranked(rows_of((0.1,), (1, 2)), "valid_accuracy")
    curves = pd.DataFrame(
        [
            {"run_id": str(run), "epoch": epoch, "valid_loss": run * 10 + epoch if (run, epoch) != (1, 3) else np.inf}
            for run in range(6)
            for epoch in range(1, 5 if run < 2 else 3 if run == 2 else 2)
        ]
    )
    second = board.runs.loc[board.runs["run_id"] == "0", "combination"].iloc[0]
    found = bands(board, curves, "valid_loss", [0, 1])
    part = found[found["row"] == second]
    assert part["n"].tolist() == [3, 3, 1, 2]
    assert part["median"].tolist() == [11, 12, 3, 9]
    assert (part["low"].tolist(), part["high"].tolist()) == ([1, 2, 3, 4], [21, 22, 3, 14])
    assert not part["alone"].any()
    assert found.loc[found["row"] != second, "alone"].tolist() == [True]
    lines = run_curves(board.runs, curves, "valid_loss")
    assert lines[("1",)]["epoch"].tolist() == [1, 2, 4]


# ---- noise floor -----------------------------------------------------------------------------------------------------


def test_the_noise_floor_is_half_the_width_of_an_interval_at_the_pooled_deviation():
    generator = np.random.default_rng(0)
    runs = rows_of(seeds=4)
    runs["valid_accuracy"] = 0.5 + runs["seed"] * 0.1 + generator.normal(size=len(runs)) * 0.01
    board = ranked(runs, "valid_accuracy")
    found = noise_floor(board, "valid_accuracy")
    groups = [part.to_numpy() for _, part in runs.groupby(["learning_rate", "batch_size"])["valid_accuracy"]]
    pooled = np.sqrt(np.mean([np.var(group, ddof=1) for group in groups]))
    pairs = [np.var(a - b, ddof=1) for a, b in itertools.combinations(groups, 2)]
    assert (found.seeds, found.deviation) == (4, pytest.approx(pooled))
    assert found.paired_deviation == pytest.approx(np.sqrt(np.mean(pairs)))
    assert found.unpaired == pytest.approx(stats.t.ppf(0.975, 6) * pooled * np.sqrt(2 / 4))
    assert found.paired == pytest.approx(stats.t.ppf(0.975, 3) * found.paired_deviation / 2)
    assert found.paired < found.unpaired / 3  # the seeds' own effects cancel
    for half, deviation, wanted, count in (
        (paired_half, found.paired_deviation, found.paired, found.paired_seeds_for_half),
        (unpaired_half, found.deviation, found.unpaired, found.seeds_for_half),
    ):
        assert half(deviation, count) <= wanted / 2 < half(deviation, count - 1)


def test_the_paired_floor_at_the_pooled_deviation_is_the_paired_interval_of_two_combinations():
    runs = rows_of((0.1,), (1, 2), seeds=5)
    runs["valid_accuracy"] += np.random.default_rng(1).normal(size=10)
    found = noise_floor(ranked(runs, "valid_accuracy"), "valid_accuracy")
    a, b = (part.to_numpy() for _, part in runs.groupby("batch_size")["valid_accuracy"])
    assert found.paired == pytest.approx(stats.t.ppf(0.975, 4) * stats.sem(a - b))


@pytest.mark.parametrize("seeds", [1, 3])
def test_without_noise_there_is_no_floor(seeds):
    runs = rows_of(seeds=seeds).assign(valid_accuracy=0.5)
    assert noise_floor(ranked(runs, "valid_accuracy"), "valid_accuracy") is None


# ---- endings ---------------------------------------------------------------------------------------------------------


def test_endings_say_where_why_and_what_to_do():
    runs = rows_of(seeds=1).assign(
        epochs_done=3, best_epoch=2, diverged_step=None, patience=1, stopped_by=None, error=None
    )
    runs.loc[5, ["status", "valid_accuracy", "diverged_step"]] = ["diverged", None, 25]
    runs.loc[4, ["status", "valid_accuracy", "diverged_step"]] = ["diverged", None, 9]
    runs.loc[2, ["status", "valid_accuracy"]] = ["diverged", None]
    runs.loc[0, ["status", "valid_accuracy"]] = ["diverged", None]
    runs.loc[1, ["status", "stopped_by"]] = ["stopped_early", "user"]
    runs.loc[3, "status"] = "stopped_early"
    board = ranked(runs, "valid_accuracy")
    diverged = endings(board, "diverged").set_index("run_id")
    assert (diverged.loc["5", "epoch"], diverged.loc["5", "step"]) == (4, 25)
    assert diverged.loc["5", "remedy"] == "learning_rate 0.01 finished with all else equal"  # of batch size 2
    assert diverged.loc["4", "remedy"] == "a learning_rate below 0.1, or clip=1.0"
    stopped = endings(board, "stopped_early").set_index("run_id")
    assert stopped.loc["1", "reason"] == "asked to by user"
    assert stopped.loc["3", "reason"] == "no better epoch in 1 after epoch 2"
    runs.loc[1, ["status", "error", "valid_accuracy"]] = ["failed", "<b>no memory</b>", None]
    runs.loc[3, "status"] = "pruned"
    board = ranked(runs, "valid_accuracy")
    assert endings(board, "failed")["reason"].tolist() == ["<b>no memory</b>"]
    assert endings(board, "pruned")["reason"].tolist() == ["ranked too low at the rung with valid_accuracy 0.21"]
    assert endings(board, "pruned")["epoch"].tolist() == [3]
