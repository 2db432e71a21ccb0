"""Best values at the edge of what was tried, and the grid that would follow, which is run."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lanes import Run, choice, grid, log_uniform, sample, uniform
from lanes.results.edges import allowed_by, continued, edges
from lanes.results.following_grid import following_grid
from lanes.results.leaderboard import ranked
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(4,)))


def board_of(axes, value, seeds=2):
    rows = [
        {
            "run_id": f"{at:x}",
            "status": "done",
            **(fields := dict(zip(axes, point))),
            "seed": seed,
            "valid_accuracy": value(fields),
        }
        for at, (*point, seed) in enumerate(itertools.product(*axes.values(), range(seeds)))
    ]
    return ranked(pd.DataFrame(rows), "valid_accuracy")


@pytest.mark.parametrize(
    ("values", "whole", "expected"),
    [
        ([1e-4, 3e-4, 1e-3], False, [3e-3, 0.01]),
        ([1e-3, 3e-4, 1e-4], False, [3e-5, 1e-5]),
        ([0.001, 0.01, 0.1], False, [1, 10]),
        ([0.1, 0.2, 0.3], False, [0.4, 0.5]),
        ([0, 0.1, 0.2], False, [0.3, 0.4]),
        ([0, 1e-4, 1e-3, 1e-2], False, [0.1, 1]),
        ([32, 64, 128], True, [256, 512]),
        ([8, 4, 2], True, [1, 0.5]),
        ([3, 2, 1], True, [0.5, 0.25]),
        ([0.3, 0.2, 0.1], False, [0.05, 0.025]),
        ([10, 20, 50], True, [100, 250]),
        ([-1, 0, 1], True, [2, 3]),
        ([0.001, 0.1, 1], False, [10, 100]),
        ([0, 0.1, 0.5], False, [0.9, 1.3]),
    ],
)
def test_sequences_go_on_in_their_spacing(values, whole, expected):
    assert continued(values, whole) == pytest.approx(expected, abs=1e-12)


def test_a_best_value_inside_is_no_edge():
    board = board_of({"learning_rate": [0.01, 0.1, 1.0]}, lambda run: -abs(np.log10(run["learning_rate"]) + 1))
    assert edges(board) == []
    assert following_grid(board, []) == ""


def test_a_best_value_at_the_end_is_followed_by_a_grid_that_runs():
    axes = {"activation": ["relu", "tanh"], "learning_rate": [1e-3, 1e-2, 1e-1], "batch_size": [8, 16, 32]}
    board = board_of(
        axes, lambda run: run["learning_rate"] - run["batch_size"] / 100 + 0.01 * (run["activation"] == "tanh")
    )
    rate, batch = edges(board)
    assert (rate.axis, rate.value, rate.highest, rate.tried, rate.following) == (
        "learning_rate",
        0.1,
        True,
        3,
        (0.01, 0.1, 1, 10),
    )
    assert (batch.axis, batch.highest, batch.following) == ("batch_size", False, (2, 4, 8, 16))
    assert rate.inner.mean == pytest.approx(0.09)
    made = eval(following_grid(board, [rate, batch]), {"grid": grid, "BASE": BASE})
    assert len(made) == 4 * 4 * 2
    assert {run.activation for run in made} == {"tanh"}
    assert {run.learning_rate for run in made} == {0.01, 0.1, 1, 10}
    assert {run.batch_size for run in made} == {2, 4, 8, 16}
    assert {run.seed for run in made} == {0, 1}


def test_a_random_search_is_followed_by_one_around_its_best():
    generator = np.random.default_rng(0)
    rates, rest = 10 ** generator.uniform(-4, 0, 50), generator.uniform(0, 1, 50)
    rows = [
        {
            "run_id": f"{at}",
            "status": "done",
            "learning_rate": rate,
            "momentum": other,
            "valid_accuracy": rate - (other - 0.5) ** 2 / 99,
        }
        for at, (rate, other) in enumerate(zip(rates, rest, strict=True))
    ]
    board = ranked(pd.DataFrame(rows), "valid_accuracy")
    (edge,) = edges(board)
    assert (edge.axis, edge.sampled, edge.value) == ("learning_rate", True, rates.max())
    names = {"sample": sample, "BASE": BASE, "choice": choice, "log_uniform": log_uniform, "uniform": uniform}
    made = eval(following_grid(board, [edge]), names)
    low, high = edge.following
    assert len(made) == 50
    assert all(low <= run.learning_rate < high for run in made)
    assert np.sqrt(low * high) == pytest.approx(rates.max(), rel=0.1)
    assert high / low == pytest.approx(rates.max() / rates.min(), rel=0.1)


@pytest.mark.parametrize(
    "axes",
    [
        {"learning_rate": [0.1, 0.2]},  # of two, one is always at an edge
        {"train_examples": [100, 200, 300]},  # no choice
        {"data.noise": [0.1, 0.2, 0.3]},
        {"activation": ["relu", "tanh", "elu"]},
        {"net.bias": [False, True]},
    ],
)
def test_what_is_no_numeric_choice_has_no_edge(axes):
    (name, values) = next(iter(axes.items()))
    assert edges(board_of(axes, lambda run: values.index(run[name]))) == []


def test_a_parameter_of_some_kinds_only_is_written_with_its_kind():
    axes = {"optimizer.b1": [0.5, 0.7, 0.9], "learning_rate": [0.1, 0.2]}
    board = board_of(axes, lambda run: run["optimizer.b1"] + run["learning_rate"])
    (edge,) = edges(board, lambda _, number: number < 2)
    text = following_grid(board, [edge])
    assert text == 'grid(BASE, {"learning_rate": [0.2], "optimizer.b1": [0.7, 0.9, 1.1, 1.3]}, seed=range(2))'


def test_what_cannot_be_written_stands_in_a_comment():
    axes = {"activation": ["mine:bent", "relu"], "learning_rate": [0.1, 0.2, 0.3]}
    board = board_of(axes, lambda run: run["learning_rate"] - (run["activation"] == "relu"))
    text = following_grid(board, edges(board))
    assert text.splitlines()[0] == "# with activation mine:bent in BASE"


@pytest.mark.parametrize(
    ("field", "values", "found"),
    [
        ("dropout", [0.1, 0.5, 0.9], False),  # 1.3 is no probability
        ("dropout", [0.1, 0.2, 0.3], True),
        ("batch_size", [3, 2, 1], False),
        ("l2", [0.2, 0.1, 0.0], False),  # nothing is below off
        ("learning_rate", [0.3, 0.2, 0.1], True),
        ("learning_rate", [0.4, 0.2, 0.1], True),
        ("optimizer.b1", [0.1, 0.5, 0.9], False),
        ("epochs", [1, 2, 4], True),
    ],
)
def test_an_edge_is_one_only_where_the_field_takes_more(tmp_path, field, values, found, monkeypatch):
    run = Run(data="digits", net=MLP(widths=(4,)), optimizer="adam", epochs=1)
    monkeypatch.setattr("lanes.results.edges._best_run", lambda *_: run)
    board = board_of({field: sorted(values)}, lambda point: values.index(point[field]))
    assert bool(edges(board, allowed_by([tmp_path], board))) == found


def test_without_a_directory_the_sign_decides(tmp_path):
    board = board_of({"dropout": [0.1, 0.2, 0.3]}, lambda run: run["dropout"])
    allowed = allowed_by([tmp_path / "nothing"], board)
    assert allowed("dropout", 0.4)
    assert not allowed("dropout", -0.1)
