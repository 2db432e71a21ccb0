"""Means with intervals against hand-computed numbers, SciPy and simulations."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lanes.results.comparisons import paired_difference
from lanes.results.intervals import Interval, binomial_error, grouped_intervals, mean_interval


@pytest.mark.parametrize(
    ("values", "mean", "half"),
    [
        ([1.0, 2.0, 3.0], 2.0, 4.302652730 * 1.0 / math.sqrt(3)),  # t(2) from a published table; s = 1
        ([0.96, 0.98], 0.97, 12.70620474 * math.sqrt(0.0002) / math.sqrt(2)),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 2.776445105 * math.sqrt(2.5) / math.sqrt(5)),
    ],
)
def test_interval_by_hand(values, mean, half):
    found = mean_interval(values)
    assert Interval.of(values) == found
    assert (found.mean, found.n) == (pytest.approx(mean), len(values))
    assert found.half == pytest.approx(half, rel=1e-8)


def test_interval_ignores_values_that_are_not_finite():
    found = mean_interval([1.0, None, math.nan, 2.0, math.inf, 3.0, pd.NA])
    assert (found.mean, found.n) == (2.0, 3)


def test_one_value_has_no_interval():
    found = mean_interval([0.5])
    assert (found.mean, found.n) == (0.5, 1)
    assert math.isnan(found.half)
    assert "±" not in str(found)
    assert str(found).endswith("(n = 1)")
    assert mean_interval([]).n == 0


def test_interval_covers_the_mean_in_95_of_100_samples():
    samples = np.random.default_rng(0).normal(3.0, 2.0, (2000, 4))
    found = [mean_interval(sample) for sample in samples]
    share = np.mean([abs(interval.mean - 3.0) <= interval.half for interval in found])
    assert 0.935 < share < 0.965


def test_groups_equal_single_intervals():
    values = pd.DataFrame({"a": [1.0, 2.0, 4.0, np.nan, 7.0], "b": [1.0, 1.0, 1.0, 1.0, np.inf]})
    found = grouped_intervals(values, pd.Series([0, 0, 0, 1, 1]))
    alone = mean_interval([1.0, 2.0, 4.0])
    assert found.loc[0, ["a", "a half", "a n"]].tolist() == pytest.approx([alone.mean, alone.half, 3])
    assert found.loc[1, ["a", "a n", "b", "b n"]].tolist() == [7.0, 1, 1.0, 1]
    assert np.isnan(found.loc[1, "a half"])


def test_paired_difference_removes_the_effect_of_seeds():
    seeds = pd.Series([10.0, 20.0, 30.0, 99.0], index=[0, 1, 2, 3])
    other = pd.Series([33.0, 22.0, 11.0, np.nan], index=[2, 1, 0, 5])  # another order; seeds 3 and 5 have no partner
    found = paired_difference(seeds, other)
    assert (found.mean, found.n) == (pytest.approx(2.0), 3)
    assert found.half == pytest.approx(4.302652730 / math.sqrt(3))  # differences 1, 2, 3
    with pytest.raises(ValueError, match="unique"):
        paired_difference(pd.Series([1.0, 2.0], index=[0, 0]), other)


def test_interval_is_scipys():
    values = np.random.default_rng(1).normal(size=7)
    found, expected = mean_interval(values), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@pytest.mark.parametrize("values", [[0.972, 0.972], [0.0, 0.0, 0.0], [1 / 3, np.float32(1 / 3)], [5e3, 5e3 + 1e-4]])
def test_equal_values_have_no_interval(values):
    found = mean_interval(values)
    assert not found.is_known
    assert found.half == 0
    assert math.isnan(found.low)
    assert f"({len(values)} equal)" in str(found)
    assert "±" not in str(found)
    table = grouped_intervals(pd.DataFrame({"a": values}), pd.Series(0, index=range(len(values))))
    assert table["a half"].tolist() == [0]


def test_equal_differences_of_large_values_have_no_interval():
    """In float32 the differences of 5,000 and 5,001 are equal but for their last digits."""
    first = pd.Series([5000.0, 5010.0, 5020.0])
    found = paired_difference(first, first + np.array([1.0, 1.0001, 0.9999]))
    assert not found.is_known


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.96213, 0.0041, 5), "0.9621 ± 0.0041"),
        (Interval(0.96213, math.nan, 1), "0.9621"),
        (Interval(math.nan, math.nan, 0), "–"),
        (Interval(0.99, 0.02, 3, proportion=True), "0.9900 (0.9700 to 1)"),
        (Interval(0.01, 0.02, 3, proportion=True), "0.0100 (0 to 0.0300)"),
        (Interval(0.5, 2.54, 2, proportion=True), "0.5000 (0 to 1)"),
        (Interval(0.99, 0.02, 3), "0.9900 ± 0.0200"),
        (Interval(0.9, 0.02, 3, proportion=True), "0.9000 ± 0.0200"),
        (Interval(0.97222, 0.0, 2, proportion=True), "0.9722 (2 equal)"),
        (Interval(1.0, 0.0, 5, proportion=True), "1.0000 (5 equal)"),
        (Interval(2.5e7, 1e6, 5), "2.5e+07 ± 1e+06"),
    ],
)
def test_numbers_as_text(interval, text):
    assert interval.text(4) == text


def test_a_proportions_cut_interval_covers_as_often_as_the_whole_one():
    """Accuracies near 1 of 50 examples: the mean lies in [0, 1], so cutting loses no coverage."""
    drawn = np.random.default_rng(0).binomial(50, 0.97, (300, 5)) / 50
    for whole, cut in ((mean_interval(row), Interval(*_parts(row), proportion=True)) for row in drawn):
        assert not whole.is_known or (0 <= cut.low <= cut.high <= 1)
        assert (whole.low <= 0.97 <= whole.high) == (cut.low <= 0.97 <= cut.high)


def _parts(row):
    found = mean_interval(row)
    return found.mean, found.half, found.n


def test_the_noise_of_a_test_set_is_binomial():
    drawn = np.random.default_rng(0).binomial(180, 0.95, 200_000) / 180
    assert binomial_error(0.95, 180) == pytest.approx(drawn.std(), rel=0.01)
    assert binomial_error(1.0, 10) == 0
