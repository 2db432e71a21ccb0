"""Differences from a baseline: quantiles, intervals, error rates, and which combination is meant."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lanes.errors import RequestError
from lanes.results import many_to_one
from lanes.results.baseline import against_baseline, find_baseline, many_to_one_intervals
from lanes.results.leaderboard import leaderboards, ranked


@pytest.mark.parametrize(
    ("comparisons", "degrees", "published"),
    [(1, 10, 2.23), (2, 10, 2.57), (3, 10, 2.76), (9, 20, 2.95), (2, 5, 3.03), (5, 60, 2.58), (9, 120, 2.73)],
)
def test_quantiles_are_those_of_dunnetts_table(comparisons, degrees, published):
    """Two-sided 5% points of Dunnett, 1964, table II."""
    assert many_to_one.quantile(0.95, comparisons, degrees, 0.5) == pytest.approx(published, abs=0.006)


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.5, 0.9])
def test_probabilities_are_those_of_a_multivariate_t(correlation):
    shape = np.full((3, 3), correlation) + (1 - correlation) * np.eye(3)
    expected = stats.multivariate_t(shape=shape, df=7, seed=0).cdf([2.5] * 3, lower_limit=[-2.5] * 3, maxpts=300_000)
    assert many_to_one.cumulative(2.5, 3, 7, correlation) == pytest.approx(expected, abs=1e-4)


def test_one_comparison_is_the_paired_t_interval():
    values = np.random.default_rng(0).normal(size=(2, 6))
    values[1] += 1
    mean, half, count, _ = many_to_one_intervals(values)
    difference = values[1] - values[0]
    low, high = stats.t.interval(0.95, 5, difference.mean(), stats.sem(difference))
    assert (mean[0], count[0]) == (pytest.approx(difference.mean()), 6)
    assert (mean[0] - half[0], mean[0] + half[0]) == pytest.approx((low, high))


@pytest.mark.parametrize(
    "noise_of_baseline", [3.0, pytest.param(0.3, marks=pytest.mark.slow), pytest.param(1.0, marks=pytest.mark.slow)]
)
def test_equal_combinations_are_told_apart_in_one_of_twenty_sweeps(noise_of_baseline):
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        values = generator.normal(size=(9, 5)) + 5 * generator.normal(size=5)  # the seeds' own effects cancel
        values[0] += np.sqrt(max(noise_of_baseline**2 - 1, 0)) * generator.normal(size=5)
        wrong += many_to_one_intervals(values)[3].any()
    assert wrong / 200 < 0.085


def test_a_change_that_changes_nothing_is_equal_and_does_not_narrow_the_others():
    values = np.random.default_rng(2).normal(size=(4, 5))
    with_copies = np.stack([*values, values[0], values[0] + 1e-9])
    plain, more = many_to_one_intervals(values), many_to_one_intervals(with_copies)
    np.testing.assert_allclose(more[1][:3], plain[1])
    assert more[1][3:].tolist() == [0, 0]
    assert not more[3][3:].any()


def test_seeds_that_only_one_side_has_do_not_count():
    values = np.array(
        [[1.0, 2.0, 3.0, np.nan], [2.0, 3.5, 4.0, 9.0], [np.nan, np.nan, 5.0, 6.0], [np.nan, np.nan, np.nan, 1.0]]
    )
    mean, half, count, told = many_to_one_intervals(values)
    assert count.tolist() == [3, 1, 0]
    assert mean[:2] == pytest.approx([3.5 / 3, 2.0])
    assert np.isnan(mean[2])
    assert np.isfinite(half).tolist() == [True, False, False]
    assert not told[1:].any()


def table():
    rows = [
        {"run_id": f"{a}{r}{s}", "status": "done", "activation": a, "learning_rate": r, "seed": s, "valid_accuracy": v}
        for a, r, v in (("relu", 0.1, 0.8), ("relu", 0.2, 0.9), ("tanh", 0.1, 0.7), ("tanh", 0.2, 0.75))
        for s, v in enumerate((v, v + 0.01, v + 0.005))
    ]
    return pd.DataFrame(rows)


def test_a_baseline_is_one_combination():
    boards = leaderboards(table())
    assert find_baseline(boards, ()) == {}
    assert find_baseline(boards, ("activation=relu", "learning_rate=0.10")) == {0: 1}
    assert find_baseline(boards, ("learning_rate=0.2", "activation=relu|tanh", "activation=TANH")) == {0: 2}


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (("activation=relu",), r"matches 2 combinations, which differ in learning_rate \(0.1, 0.2\): add FIELD=VALUE"),
        (("activation=elu",), "--baseline activation=elu matches no run: activation is relu, tanh"),
        (("activation=relu", "learning_rate=7"), "--baseline learning_rate=7 matches no run"),
        (("actvation=relu",), "did you mean 'activation'"),
        (("relu",), "--baseline is 'relu': write FIELD=VALUE"),
    ],
)
def test_any_other_baseline_is_refused(conditions, message):
    with pytest.raises(RequestError, match=message):
        find_baseline(leaderboards(table()), conditions)


def test_differences_are_paired_and_signed():
    board = ranked(table(), "valid_accuracy")
    found = against_baseline(board, 1, "valid_accuracy")
    assert found.differences[0].mean == pytest.approx(0.1)
    assert found.differences[2].mean == pytest.approx(-0.05)
    assert found.table()["row"].tolist() == [3, 2, 0]
