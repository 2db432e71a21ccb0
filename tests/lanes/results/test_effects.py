"""Main effects from matched pairs: right where combinations are missing and means over all runs mislead."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import special

from lanes.results.axes import swept_axes
from lanes.results.effects import effects


def swept(effect=0.004, seeds=4, missing=()):
    """Accuracies of rates x dropout x seeds: dropout helps by `effect`, rates matter far more."""
    rows = []
    for rate, dropout, seed in itertools.product((0.001, 0.01, 0.1), (0.0, 0.2), range(seeds)):
        if (rate, dropout, seed) not in missing:
            value = {0.001: 0.8, 0.01: 0.95, 0.1: 0.6}[rate] + effect * (dropout > 0) + 0.01 * seed
            value += 1e-4 * np.sin(100 * rate + 7 * seed + 3 * dropout)
            rows.append({"learning_rate": rate, "dropout": dropout, "seed": seed, "value": value})
    runs = pd.DataFrame(rows)
    axes, labels = swept_axes(runs.drop(columns="value"))
    return runs, labels, {axis.name: axis for axis in axes}


def test_matched_pairs_find_the_effect_where_runs_are_missing():
    """Without half of the best rate's runs with dropout, means over all runs say that dropout hurts."""
    gone = [(0.01, 0.2, seed) for seed in range(4)]
    runs, labels, axes = swept(missing=gone)
    means = runs.groupby("dropout")["value"].mean()
    assert means[0.2] - means[0.0] < -0.05
    (found,) = effects(runs["value"], labels, runs["seed"], axes["dropout"])
    assert (found.value, found.reference, found.pairs, found.difference.n) == ("0.2", "0", 8, 4)
    assert found.difference.mean == pytest.approx(0.004, abs=2e-4)
    assert found.difference.low > 0


def test_each_value_is_compared_with_the_first():
    runs, labels, axes = swept()
    found = effects(runs["value"], labels, runs["seed"], axes["learning_rate"])
    assert [(each.value, each.reference, each.pairs) for each in found] == [("0.01", "0.001", 8), ("0.1", "0.001", 8)]
    assert found[0].difference.mean == pytest.approx(0.15, abs=2e-3)


def test_runs_without_a_value_make_no_pair():
    runs, labels, axes = swept()
    values = runs["value"].where(runs["seed"] != 2)
    (found,) = effects(values, labels, runs["seed"], axes["dropout"])
    assert (found.pairs, found.difference.n) == (9, 3)
    assert effects(values.where(runs["dropout"] > 0), labels, runs["seed"], axes["dropout"]) == []


def test_an_unbalanced_design_agrees_with_a_regression_on_pairs():
    """Least squares with an intercept for each pair and a covariance clustered by seed."""
    formula = pytest.importorskip(
        "statsmodels.formula.api", reason="the independent computation; it is in the extra `test`"
    )
    runs, labels, axes = swept(seeds=5, missing=[(0.1, 0.0, seed) for seed in range(5)])
    runs["value"] += np.random.default_rng(0).normal(size=len(runs)) * 0.003
    runs["pair"] = runs["learning_rate"].astype(str) + "/" + runs["seed"].astype(str)
    whole = runs[runs.groupby("pair")["value"].transform("size") == 2]
    fit = formula.ols("value ~ I(dropout > 0) + C(pair)", whole).fit()
    (found,) = effects(runs["value"], labels, runs["seed"], axes["dropout"])
    assert found.difference.mean == pytest.approx(fit.params["I(dropout > 0)[T.True]"])
    by_pair = whole.pivot(index="pair", columns="dropout", values="value")
    by_seed = (by_pair[0.2] - by_pair[0.0]).groupby(lambda pair: pair.split("/")[1]).mean()
    assert found.difference.half == pytest.approx(special.stdtrit(4, 0.975) * by_seed.sem())
