"""Interquartile means and stratified bootstraps against SciPy and a simulation."""

import numpy as np
import pytest
from scipy import stats

from lanes.results.robust import interquartile_mean, stratified_bootstrap


def test_the_interquartile_mean_leaves_out_the_outer_quarters():
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -100])) == pytest.approx(3.5)
    values = np.random.default_rng(0).normal(size=20)
    assert interquartile_mean(values) == pytest.approx(np.sort(values)[5:15].mean())


def test_strata_are_resampled_by_themselves():
    """Strata that differ only in their mean: resampling all together would add their spread."""
    generator = np.random.default_rng(0)
    strata = [10 * at + generator.normal(size=6) for at in range(5)]
    found = stratified_bootstrap(strata)
    expected = stats.bootstrap(
        strata,
        lambda *parts, axis: interquartile_mean(np.concatenate(parts, axis=axis), axis=axis),
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.n == 30
    assert found.mean == pytest.approx(interquartile_mean(np.concatenate(strata)))
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=0.1), pytest.approx(expected.high, abs=0.1))
    together = stratified_bootstrap([np.concatenate(strata)])
    assert together.high - together.low > 3 * (found.high - found.low)


def test_nothing_is_claimed_of_single_and_of_equal_values():
    for strata in ([[0.5], [0.7]], [[0.5, 0.5], [0.5]]):
        found = stratified_bootstrap([np.array(part) for part in strata])
        assert np.isnan([found.low, found.high]).all()
    assert stratified_bootstrap([np.array([np.nan])]).n == 0
    assert stratified_bootstrap([np.array([1.0, np.nan, 3.0])]).n == 2
