"""Comparisons with the best, paired and clustered differences: against SciPy, statsmodels and simulations."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from lanes.results.comparisons import (
    against_best,
    clustered_difference,
    moderated_variances,
    paired_difference,
    studentized_range,
)


def ranked(values):
    return values[np.argsort(-values.mean(axis=1))]


def sweeps(count, combinations, seeds, shift=0.0, spread=1.0, seed=0):
    """Sweeps of equal combinations, but for the first, which is better by `shift` standard deviations."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        noise = generator.normal(size=(combinations, seeds)) * spread
        values = 0.9 + noise + generator.normal(size=seeds)
        values[0] += shift
        yield values


def told_apart(count, *args, **options):
    """The share of sweeps in which any combination is told apart from the best."""
    return np.mean([against_best(ranked(values)).told_apart.any() for values in sweeps(count, *args, **options)])


def test_two_combinations_are_compared_as_by_the_paired_t_test():
    for values in sweeps(50, 2, 5, shift=1.0):
        found = against_best(ranked(values))
        assert found.told_apart[0] == (stats.ttest_rel(*values).pvalue < 0.05)


def test_of_alike_variances_it_is_tukeys_test():
    """The block design: residuals of the two-way layout, the studentized range of K means with (K - 1)(S - 1) degrees."""
    noise = np.array([[1.0, -1, 1, -1], [-1, 1, 1, -1], [0, 0, -2, 2]])
    values = np.array([[8.0], [7.0], [4.0]]) + [0, 1, 2, 3] + noise / 2
    residual = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    error = (residual**2).sum() / 6
    limit = stats.studentized_range.ppf(0.95, 3, 6) * np.sqrt(error / 4)
    found = against_best(values)
    np.testing.assert_allclose(found.least, limit)
    np.testing.assert_array_equal(found.told_apart, [False, True])
    np.testing.assert_allclose(found.difference, [1, 4])


def test_of_equal_combinations_few_are_told_apart():
    """At most 5% of sweeps; uncorrected comparisons with the best tell one apart in most."""
    assert told_apart(200, 48, 4) <= 0.085
    naive = [stats.ttest_rel(best, rest, axis=1).pvalue.min() for best, *rest in map(ranked, sweeps(40, 48, 4))]
    assert np.mean(np.array(naive) < 0.05) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("combinations", "seeds"), [(48, 4), (2, 3), (5, 3), (12, 5), (48, 2)])
def test_of_equal_combinations_at_most_one_sweep_in_twenty_tells_one_apart(combinations, seeds):
    """2,000 sweeps: the standard error of 5% is 0.5%."""
    assert told_apart(2000, combinations, seeds) <= 0.05 + 2 * 0.005


@pytest.mark.slow
def test_the_power_that_the_documentation_states():
    """48 combinations, 4 seeds, one better than the others: by 2 standard deviations, by 3, by 4; and 2 with 10 seeds."""
    expected = {(2.0, 4): (0.56, 0.08), (3.0, 4): (0.96, 0.47), (4.0, 4): (1.0, 0.88), (2.0, 10): (0.99, 0.64)}
    for (shift, seeds), (some, each) in expected.items():
        found = [against_best(ranked(values)).told_apart for values in sweeps(400, 48, seeds, shift=shift)]
        assert np.mean([told.any() for told in found]) == pytest.approx(some, abs=0.08)
        assert np.mean([told.mean() for told in found]) == pytest.approx(each, abs=0.08)


def test_a_large_difference_is_found():
    values = next(sweeps(1, 48, 4, shift=12.0))
    assert against_best(ranked(values)).told_apart.all()


def test_unlike_variances_do_not_make_noise_significant():
    """Ten combinations with ten times the noise of the others, all equal."""
    spread = np.r_[np.ones(20), np.full(10, 10.0)][:, None]
    assert told_apart(100, 30, 4, spread=spread) <= 0.1


def test_equal_values_never_decide():
    assert not against_best(np.array([[0.98, 0.98], [0.97, 0.97], [0.5, 0.5]])).told_apart.any()
    steps = np.array([0.0, 0.01, 0.02])
    assert not against_best(np.array([0.9 + steps, 0.8 + steps])).told_apart.any()  # equal differences


def test_missing_runs_leave_pairs_of_the_seeds_that_both_have():
    values = np.array([[5.0, 6, 7, np.nan], [4, 5.5, 6, 7], [1, np.nan, np.nan, 4], [np.nan, np.nan, np.nan, 2]])
    found = against_best(values)
    np.testing.assert_array_equal(found.compared, [True, False, False])
    np.testing.assert_allclose(found.difference[:2], [(1 + 0.5 + 1) / 3, 4])
    assert np.isnan(found.difference[2])
    assert not found.told_apart[1:].any()
    assert not against_best(np.full((3, 2), np.nan)).compared.any()


def test_one_seed_compares_nothing():
    assert not against_best(np.array([[0.9], [0.1]])).compared.any()


def test_variances_are_shrunk_by_as_much_as_they_resemble_each_other():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(400, 4))
    alike, degrees = moderated_variances(values)
    assert alike.std() < 0.3 * values.var(axis=1).std()
    assert degrees.min() > 10
    spread = np.exp(generator.normal(size=(400, 1)))
    unlike, degrees = moderated_variances(generator.normal(size=(400, 4)) * spread)
    assert degrees.max() < 8
    assert stats.spearmanr(unlike, spread[:, 0]).statistic > 0.7


def test_prior_degrees_are_recovered():
    """Variances drawn from the model: σ² = s₀² d₀ / χ²(d₀), s² = σ² χ²(d) / d."""
    generator = np.random.default_rng(0)
    true = 2.0 * 6 / generator.chisquare(6, 3000)
    values = generator.normal(size=(3000, 5)) * np.sqrt(true)[:, None]
    _, degrees = moderated_variances(values)
    assert degrees.max() - 4 == pytest.approx(6, rel=0.25)


def test_quantiles_of_two_means_are_students():
    assert studentized_range(2, 7) == pytest.approx(stats.studentized_range.ppf(0.95, 2, 7), rel=1e-6)
    assert studentized_range(2, 3) == pytest.approx(np.sqrt(2) * special.stdtrit(3, 0.975))


# ---- clustered by seed ---------------------------------------------------------------------------------------------


def matched(seeds, pairs, effect=0.1, seed=0):
    """Two series over (pair, seed), the second better by `effect` and by an effect of each seed."""
    generator = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([range(pairs), range(seeds)], names=["pair", "seed"])
    first = pd.Series(generator.normal(size=len(index)), index=index)
    by_seed = generator.normal(size=seeds)[index.get_level_values("seed")]
    return first, first + effect + by_seed + 0.1 * generator.normal(size=len(index))


def test_differences_are_averaged_within_a_seed():
    first, second = matched(4, 30)
    found, pairs = clustered_difference(first, second, "seed")
    by_seed = (second - first).groupby("seed").mean()
    expected = stats.ttest_1samp(by_seed, 0).confidence_interval()
    assert (found.n, pairs) == (4, 120)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.half > 3 * paired_difference(first, second).half  # 120 pairs are not 120 replicates


def test_the_interval_is_that_of_least_squares_with_clustered_covariance():
    api = pytest.importorskip("statsmodels.api", reason="the independent computation; it is in the extra `test`")
    first, second = matched(5, 12, seed=3)
    difference = second - first
    groups = difference.index.get_level_values("seed").to_numpy()
    fit = api.OLS(difference.to_numpy(), np.ones(len(difference))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    found, _ = clustered_difference(first, second, "seed")
    assert found.mean == pytest.approx(fit.params[0])
    assert found.half == pytest.approx(fit.bse[0] * special.stdtrit(4, 0.975))
    low, high = fit.conf_int()[0]  # statsmodels takes as many degrees of freedom as clusters less one, too
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_the_clustered_interval_covers():
    found = [clustered_difference(*matched(4, 6, effect=0.3, seed=at), "seed")[0] for at in range(150)]
    share = np.mean([interval.low <= 0.3 <= interval.high for interval in found])
    assert 0.89 < share < 0.995


def test_pairs_need_unique_keys():
    twice = pd.Series([1.0, 2.0], index=[0, 0])
    with pytest.raises(ValueError, match="unique"):
        paired_difference(twice, twice)
