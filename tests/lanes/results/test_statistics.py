"""Means and intervals against hand-computed numbers; seeds are replicates, diverged runs are counted but not averaged."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lanes.errors import RequestError
from lanes.reporting.comparison import compare
from lanes.results.axes import ABSENT, coarse, swept_axes
from lanes.results.leaderboard import leaderboard, marginals, ranking, separation
from lanes.results.pivots import grid_of
from lanes.results.printed_leaderboard import print_leaderboard
from lanes.results.statistics import selection_metric

DIVERGED = {"status": "diverged", "valid_accuracy": None, "test_accuracy": None, "diverged_step": 7}


def run(number, accuracy=0.9, *, test=None, status="done", **fields):
    """A row of `lanes.load`'s table."""
    results = {"valid_accuracy": accuracy, "test_accuracy": accuracy - 0.01 if test is None else test}
    base = {"data": "digits", "activation": "relu", "learning_rate": 0.1, "train_examples": 100, "seed": 0}
    return {"run_id": f"{number:04x}", "status": status, **base, **results, "diverged_step": None, **fields}


def table(*rows):
    return pd.DataFrame(list(rows))


def by_activation(values):
    """One run per activation and seed with these accuracies; None marks a diverged run."""
    rows = []
    for activation, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            more = DIVERGED if accuracy is None else {}
            rows.append(run(len(rows), accuracy or 0.0, activation=activation, seed=seed) | more)
    return table(*rows)


# ---- metrics -------------------------------------------------------------------------------------------------------


def test_default_metric_is_on_validation_never_on_test():
    runs = table(run(0, valid_loss=0.3, train_loss=0.1))
    assert selection_metric(runs) == "valid_accuracy"
    assert selection_metric(runs.drop(columns="valid_accuracy")) == "valid_loss"
    assert selection_metric(runs.drop(columns=["valid_accuracy", "valid_loss"])) == "train_loss"
    assert selection_metric(runs, "loss") == "valid_loss"
    assert selection_metric(runs, "test_accuracy") == "test_accuracy"
    with pytest.raises(RequestError, match="did you mean 'valid_accuracy'"):
        selection_metric(runs, "valid_acuracy")
    with pytest.raises(RequestError, match="unknown metric 'train_examples'"):  # a field that looks like a metric
        selection_metric(runs, "train_examples")


# ---- axes ----------------------------------------------------------------------------------------------------------


def test_axes_are_fields_with_several_values_but_not_seeds():
    runs = table(*(run(i, learning_rate=rate, seed=i) for i, rate in enumerate([0.1, 0.01, 0.1])))
    axes, labels = swept_axes(runs)
    assert [(axis.name, axis.values) for axis in axes] == [("learning_rate", ("0.01", "0.1"))]
    assert labels["learning_rate"].tolist() == ["0.1", "0.01", "0.1"]


def test_a_parameter_determined_by_its_kind_is_no_axis():
    slopes = {"tanh": None, "leaky_relu": 0.1}
    runs = table(*(run(i, activation=name, **{"activation.slope": slopes[name]}) for i, name in enumerate(slopes)))
    assert [axis.name for axis in swept_axes(runs)[0]] == ["activation"]


def test_parameter_of_one_kind_becomes_part_of_its_label():
    pairs = [("tanh", None), ("leaky_relu", 0.1), ("leaky_relu", 0.2)]
    runs = table(*(run(i, activation=name, **{"activation.slope": slope}) for i, (name, slope) in enumerate(pairs)))
    (axis,), labels = swept_axes(runs)
    assert labels["activation"].tolist() == ["tanh", "leaky_relu slope=0.1", "leaky_relu slope=0.2"]
    assert axis.values == ("tanh", "leaky_relu slope=0.1", "leaky_relu slope=0.2")


def test_absent_and_close_values_stay_distinct():
    (axis,), labels = swept_axes(table(run(0, steps=None), run(1, steps=100)))
    assert labels["steps"].tolist() == [ABSENT, "100"]
    (axis,), _ = swept_axes(table(run(0, learning_rate=0.10000001), run(1, learning_rate=0.10000002)))
    assert len(axis.values) == 2


def test_a_sampled_axis_is_divided_into_bins_of_equal_size():
    (axis,), _ = swept_axes(table(*(run(i, learning_rate=0.001 * (i + 1)) for i in range(40))))
    assert axis.sampled
    bins = pd.Series(coarse(axis)).value_counts()
    assert bins.tolist() == [5] * 8


# ---- leaderboard ---------------------------------------------------------------------------------------------------


def test_leaderboard_ranks_by_the_mean_over_seeds():
    board = leaderboard(by_activation({"tanh": [0.90, 0.92], "relu": [0.95, 0.97], "elu": [0.5, 0.6]}))
    assert board.table["activation"].tolist() == ["relu", "tanh", "elu"]
    assert board.interval(0, "valid_accuracy").mean == pytest.approx(0.96)
    assert board.interval(0, "valid_accuracy").half == pytest.approx(12.70620474 * 0.01)
    assert board.interval(0, "test_accuracy").mean == pytest.approx(0.95)
    assert board.runs.set_index("run_id")["combination"].tolist() == [1, 1, 0, 0, 2, 2]


def test_lower_losses_rank_first():
    runs = by_activation({"tanh": [0.9], "relu": [0.8]}).rename(columns={"valid_accuracy": "valid_loss"})
    assert leaderboard(runs).table["activation"].tolist() == ["relu", "tanh"]


def test_equal_accuracies_rank_by_loss():
    rows = [
        run(i, 0.9, activation=name, valid_loss=loss)
        for i, (name, loss) in enumerate({"tanh": 0.4, "relu": 0.3}.items())
    ]
    assert leaderboard(table(*rows)).table["activation"].tolist() == ["relu", "tanh"]


def test_the_test_split_does_not_affect_the_ranking():
    runs = table(run(0, 0.9, test=0.1, activation="tanh"), run(1, 0.8, test=0.99, activation="relu"))
    board = leaderboard(runs)
    assert board.table["activation"].iloc[0] == "tanh"
    assert board.table["test_accuracy"].iloc[0] == pytest.approx(0.1)


def test_diverged_runs_are_counted_but_not_averaged():
    runs = by_activation({"tanh": [0.90, 0.92, 0.91], "relu": [0.95, None, 0.97]})
    at = leaderboard(runs).table.iloc[0]
    assert (at["activation"], at["diverged"], at["valid_accuracy n"]) == ("relu", 1, 2)
    assert at["valid_accuracy"] == pytest.approx(0.96)


def test_metrics_of_a_diverged_run_are_ignored():
    runs = by_activation({"tanh": [0.9, 0.9], "relu": [0.8, 0.8]})
    runs.loc[2, ["status", "valid_accuracy"]] = ["diverged", 1.0]
    assert leaderboard(runs).table["activation"].tolist() == ["tanh", "relu"]


def test_survivors_of_a_combination_that_mostly_diverged_are_never_best():
    board = leaderboard(by_activation({"tanh": [0.90, 0.91], "relu": [0.99, None], "elu": [None, None]}))
    assert board.table["activation"].tolist() == ["tanh", "relu", "elu"]
    assert board.table["unstable"].tolist() == [False, True, True]


def test_pruned_runs_are_counted_but_not_averaged():
    runs = by_activation(
        {"tanh": [0.97, 0.99, 0.5, 0.4, 0.3], "relu": [0.9, 0.91, 0.92], "elu": [0.6, 0.7], "gelu": [0.8]}
    )
    runs["epochs_done"] = 10
    for row, epoch in {2: 5, 3: 5, 4: 2, 8: 5, 9: 5, 10: 2}.items():
        runs.loc[row, ["status", "epochs_done"]] = ["pruned", epoch]
    board = leaderboard(runs)
    # tanh lost three of five: the mean of its two best flatters it; gelu got less far than elu
    assert board.table["activation"].tolist() == ["relu", "tanh", "elu", "gelu"]
    assert board.interval(1, "valid_accuracy").mean == pytest.approx(0.98)
    assert board.table["valid_accuracy n"].tolist() == [3, 2, 0, 0]
    assert [board.early(row).partition(" at ")[2] for row in range(4)] == [
        "",
        "epoch 5 (n = 2)",
        "epoch 5 (n = 2)",
        "epoch 2 (n = 1)",
    ]
    assert board.early(1).startswith("0.45")
    assert separation(board).compared == 1


def test_pending_runs_are_not_averaged():
    runs = by_activation({"tanh": [0.9, 0.8]})
    runs.loc[1, ["status", "valid_accuracy", "test_accuracy"]] = [None, None, None]
    at = leaderboard(runs).table.iloc[0]
    assert (at["pending"], at["valid_accuracy n"], at["valid_accuracy"]) == (1, 1, 0.9)


def test_a_sweep_without_metrics_has_no_best():
    runs = by_activation({"tanh": [None, None]})
    board = leaderboard(runs)
    assert not board.has_best
    assert separation(board) is None


def test_runs_that_no_column_distinguishes_are_counted():
    runs = table(run(0), run(1))
    assert leaderboard(runs).repeated() == 1
    assert leaderboard(by_activation({"tanh": [0.9, 0.8]})).repeated() == 0


def test_separation_is_paired_by_seed():
    """Seeds differ by 0.1, combinations by a constant 0.01: unpaired intervals overlap, paired ones do not."""
    values = {"tanh": [0.7110, 0.8100, 0.9090], "relu": [0.70, 0.80, 0.90], "elu": [0.6, 0.7, 0.8]}
    found = separation(leaderboard(by_activation(values)))
    assert found.runner_up.mean == pytest.approx(0.01)
    assert found.runner_up.half == pytest.approx(4.302652730 * 0.001 / math.sqrt(3))
    assert (found.compared, found.tied) == (2, 0)
    values["elu"] = [0.9, 0.1, 0.8]
    assert separation(leaderboard(by_activation(values))).tied > 0


def test_best_over_the_other_axes_is_selected_on_validation():
    valid = {("tanh", 0.1): 0.8, ("tanh", 0.2): 0.9, ("relu", 0.1): 0.85, ("relu", 0.2): 0.7}
    rows = [
        run(i, value, test=1 - value, activation=a, learning_rate=l) for i, ((a, l), value) in enumerate(valid.items())
    ]
    board = leaderboard(table(*rows))
    rate = next(axis for axis in board.axes if axis.name == "learning_rate")
    found = marginals(board, rate).set_index("value")
    assert board.table.loc[found["best"], "activation"].tolist() == ["relu", "tanh"]
    assert found["median"].tolist() == pytest.approx([0.825, 0.8])

    best, median = grid_of(board, *board.axes)
    assert board.table.loc[best.loc["tanh", "0.2"], "valid_accuracy"] == 0.9
    assert median.loc["relu", "0.1"] == pytest.approx(0.85)


def test_pairs_distinguish_unplanned_cells_from_cells_without_a_value():
    rows = [run(0, activation="tanh", learning_rate=0.1), run(1, activation="tanh", learning_rate=0.2) | DIVERGED]
    board = leaderboard(table(*rows, run(2, activation="relu", learning_rate=0.1)))
    best, median = grid_of(board, *board.axes)
    assert best.loc["tanh", "0.2"] == -1
    assert np.isnan(best.loc["relu", "0.2"])
    assert np.isnan(median.loc["tanh", "0.2"])


def test_terminal_shows_mean_interval_and_n():
    text = io.StringIO()
    table = by_activation({"[red]tanh": [0.90, 0.92], "relu": [0.95, None]})
    print_leaderboard(ranking(table), console=Console(file=text))
    out = text.getvalue()
    assert "[red]tanh" in out  # not interpreted as markup
    assert "0.91 (0.78 to 1)" in out
    assert "2 of 2 combinations" in out


# ---- several directories -------------------------------------------------------------------------------------------


def both(first, second):
    return pd.concat([first.assign(dir="first"), second.assign(dir="second")], ignore_index=True)


def test_directories_are_paired_by_seed_and_field():
    first = by_activation({"tanh": [0.7, 0.8, 0.9], "relu": [0.6, 0.7, 0.8]})
    first["activation.slope"] = first["activation"].map({"tanh": None, "relu": 0.1})  # determined by the kind
    second = first.assign(valid_accuracy=first["valid_accuracy"] + 0.05, dropout=0.5).iloc[::-1]
    first["dropout"] = 0.0
    (found,) = compare(both(first, second), "valid_accuracy", ["valid_accuracy", "test_accuracy"])
    assert (found.overall["valid_accuracy"].n, found.pairs["valid_accuracy"]) == (3, 6)  # seeds are the replicates
    assert found.overall["valid_accuracy"].mean == pytest.approx(0.05)
    assert found.overall["test_accuracy"].mean == pytest.approx(0.0)
    assert found.best["valid_accuracy"].n == 3
    assert found.constants == [("dropout", "0", "0.5")]
    assert found.combinations.set_index("activation")["valid_accuracy n"].to_dict() == {"tanh": 3, "relu": 3}
    assert found.unpaired == 0


def test_pairs_need_two_runs_that_ended():
    first = by_activation({"tanh": [0.7, 0.8, 0.9]})
    second = by_activation({"tanh": [0.8, None, 0.9, 0.9]})
    (found,) = compare(both(first, second), "valid_accuracy", ["valid_accuracy"])
    assert found.overall["valid_accuracy"].n == 2  # seeds 0 and 2
    assert found.overall["valid_accuracy"].mean == pytest.approx(0.05)
    assert found.unpaired == 1  # seed 3


def test_directories_with_nothing_in_common_still_compare_their_best():
    first, second = (
        by_activation({"tanh": [0.7, 0.8], "elu": [0.1, 0.1]}),
        by_activation({"relu": [0.8, 0.9], "swish": [0.2, 0.2]}),
    )
    (found,) = compare(both(first, second), "valid_accuracy", ["valid_accuracy"])
    assert found.overall["valid_accuracy"].n == 0
    assert (found.best["valid_accuracy"].n, found.best["valid_accuracy"].mean) == (2, pytest.approx(0.1))


def test_directory_is_an_axis_and_its_constants_are_not():
    first = by_activation({"tanh": [0.7], "relu": [0.8]})
    runs = both(first.assign(dropout=0.0), first.assign(dropout=0.5))
    assert [axis.name for axis in leaderboard(runs).axes] == ["dir", "activation"]
