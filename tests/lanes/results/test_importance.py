"""Importance: shares of the variance against statsmodels, scikit-learn and closed forms."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lanes.results import anova, forest
from lanes.results.importance import ANOVA, FOREST, importance
from lanes.results.leaderboard import ranked


def board_of(axes, value, seeds=4, drop=(), metric="valid_accuracy"):
    """The leaderboard of a grid of axes x seeds; `value` of a combination and a seed, None where the run diverged."""
    rows = []
    for combination in itertools.product(*axes.values()):
        for seed in range(seeds):
            fields = dict(zip(axes, combination, strict=True))
            if (*combination, seed) in drop:
                continue
            found = value(fields, seed)
            status = "diverged" if found is None else "done"
            rows.append({"run_id": f"{len(rows):x}", "status": status, **fields, "seed": seed, metric: found})
    return ranked(pd.DataFrame(rows), metric)


AXES = {"activation": ["relu", "tanh", "elu"], "learning_rate": [0.001, 0.01, 0.1, 1.0], "batch_size": [16, 32]}


def noisy(fields, seed, scale=0.01):
    place = [AXES[name].index(value) for name, value in fields.items()]
    noise = np.random.default_rng([*place, seed]).normal() * scale
    return 0.5 + 0.1 * place[0] - 0.05 * (place[1] - 1) ** 2 + 0.02 * place[1] * place[2] + 0.03 * seed + noise


def test_shares_are_the_sums_of_squares_of_an_analysis_of_variance():
    api = pytest.importorskip("statsmodels.api", reason="the independent computation; it is in the extra `test`")
    formula = pytest.importorskip("statsmodels.formula.api")
    board = board_of(AXES, noisy)
    found = importance(board)
    runs = board.runs.rename(columns={"valid_accuracy": "y"})
    fit = formula.ols("y ~ C(seed) + C(activation) * C(learning_rate) * C(batch_size)", runs).fit()
    table = api.stats.anova_lm(fit, typ=2)
    squares = table["sum_sq"]
    model = [name for name in squares.index if name not in ("C(seed)", "Residual")]
    whole = squares[model].sum()
    assert found.method == ANOVA
    for share in found.shares:
        name = next(
            name for name in model if set(name.replace("C(", "").replace(")", "").split(":")) == set(share.axes)
        )
        assert share.share.mean == pytest.approx(squares[name] / whole, rel=1e-9)
        degrees = table.loc[name, "df"]
        assert share.noise == pytest.approx(
            degrees * table.loc["Residual", "sum_sq"] / table.loc["Residual", "df"] / whole
        )
        if len(share.axes) == 1:
            parts = [part for part in model if share.axes[0] in part]
            assert share.total.mean == pytest.approx(squares[parts].sum() / whole)
    assert found.higher.mean == pytest.approx(squares[model[-1]] / whole)


def test_variances_of_all_sets_add_up_to_the_variance():
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 2))
    parts = anova.variances(values, order=3)
    whole = parts.pop(())
    np.testing.assert_allclose(sum(parts.values()), whole)
    np.testing.assert_allclose(whole, values.reshape(2, -1).var(axis=1))
    np.testing.assert_allclose(anova.totals(values)[(1,)], sum(v for term, v in parts.items() if 1 in term))


def test_intervals_of_shares_are_the_jackknifes_over_seeds():
    board = board_of(AXES, noisy, seeds=5)
    found = importance(board).of("activation").share
    by_seed = board.runs.pivot_table(index=list(AXES), columns="seed", values="valid_accuracy")

    def share(table):
        means = table.mean(axis=1)
        return means.groupby("activation").mean().var(ddof=0) / means.var(ddof=0)

    without = [share(by_seed.drop(columns=seed)) for seed in range(5)]
    pseudo = 5 * share(by_seed) - 4 * np.array(without)
    assert found.n == 5
    assert found.mean == pytest.approx(share(by_seed))
    assert found.half == pytest.approx(2.7764451 * pseudo.std(ddof=1) / np.sqrt(5))


def test_a_seed_without_a_combination_is_left_out_and_an_incomplete_grid_has_no_exact_shares():
    lost = ("tanh", 0.1, 16)
    board = board_of(AXES, lambda fields, seed: None if (*fields.values(), seed) == (*lost, 2) else noisy(fields, seed))
    found = importance(board)
    assert (found.method, found.shares[0].share.n) == (ANOVA, 3)
    assert "1 of 4 seeds" in found.note
    board = board_of(AXES, lambda fields, seed: None if tuple(fields.values()) == lost else noisy(fields, seed))
    assert importance(board).method == FOREST


@pytest.mark.parametrize("order", [("activation", "l2", "dropout"), ("l2", "activation", "dropout")])
def test_axes_that_were_varied_one_at_a_time_are_one_axis_of_a_grid(order):
    """Each activation plain, with `l2` and with `dropout`: by hand a table of three activations and three settings."""
    axes = {"activation": ["relu", "tanh", "elu"], "l2": [0.0, 1e-4], "dropout": [0.0, 0.1]}
    both = {(a, 1e-4, 0.1) for a in axes["activation"]}
    effects = {"relu": 0.0, "tanh": 0.03, "elu": 0.05}, {(0.0, 0.0): 0.0, (1e-4, 0.0): 0.01, (0.0, 0.1): 0.04}

    def value(fields, seed):
        first, second = effects[0][fields["activation"]], effects[1][fields["l2"], fields["dropout"]]
        return 0.5 + first + second + 10 * first * second + 0.001 * seed

    drop = {tuple(dict(zip(axes, one, strict=True))[name] for name in order) for one in both}
    skipped = {(*one, seed) for one in drop for seed in range(4)}
    board = board_of({name: axes[name] for name in order}, value, drop=skipped)
    found = importance(board)
    assert (found.method, len(found.shares)) == (ANOVA, 3)
    assert "(l2, dropout): varied one at a time" in found.note
    table = np.array([[a + b + 10 * a * b for b in effects[1].values()] for a in effects[0].values()])
    whole, rows, columns = table.var(), table.mean(axis=1).var(), table.mean(axis=0).var()
    assert found.of("activation").share.mean == pytest.approx(rows / whole)
    assert found.of("(l2, dropout)").share.mean == pytest.approx(columns / whole)
    assert found.of("activation", "(l2, dropout)").share.mean == pytest.approx((whole - rows - columns) / whole)


@pytest.mark.parametrize(
    ("axes", "value", "reason"),
    [
        ({"learning_rate": [0.1, 0.2]}, lambda _, seed: seed, "one axis"),
        ({}, lambda _, seed: seed, "nothing was varied"),
        (AXES, lambda _, seed: 0.5 + 0.1 * seed, "all combinations have the same value"),
        ({"net.x": [0, 1], "net.y": [0, 1, 2]}, lambda *_: None, "fewer than 20"),
    ],
)
def test_no_importance_has_a_reason(axes, value, reason):
    found = importance(board_of(axes, value))
    assert found.shares == ()
    assert reason in found.reason


def additive(count=400, seed=0):
    """Two numbers and a text with known Sobol indices: variances 1, 4 and 4 of additive parts and a product of 1."""
    generator = np.random.default_rng(seed)
    x, y = generator.uniform(-1, 1, (2, count)) * np.sqrt(3)
    text = generator.choice(["a", "b"], count)
    return [x, y, text.astype(object)], 2 * y + x * y + 2 * np.where(text == "a", 1, -1)


def test_a_forest_finds_the_shares_of_a_known_function():
    """Var = 4 (y) + 1 (x y) + 4 (text) = 9: totals 1/9, 5/9 and 4/9; x and y share 1/9."""
    axes, values = additive()
    shares, fit = forest.permutation_shares(axes, values)
    assert fit > 0.9
    assert shares[(0,)] == pytest.approx(1 / 9, abs=0.06)
    assert shares[(1,)] == pytest.approx(5 / 9, abs=0.1)
    assert shares[(2,)] == pytest.approx(4 / 9, abs=0.1)
    assert shares[(0, 1)] == pytest.approx(1 / 9, abs=0.08)
    assert shares[(0, 2)] == pytest.approx(0, abs=0.08)


@pytest.mark.slow
def test_a_forests_shares_are_half_of_scikit_learns_permutation_importance():
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    axes, values = additive()
    shares, _ = forest.permutation_shares(axes[:2], values)
    x, found = np.stack(axes[:2], axis=1), np.zeros(2)
    for fitted, unseen in KFold(forest.FOLDS, shuffle=True, random_state=0).split(x):
        model = RandomForestRegressor(forest.TREES, random_state=0).fit(x[fitted], values[fitted])
        kind = {"scoring": "neg_mean_squared_error", "n_repeats": 20, "random_state": 1}
        found += permutation_importance(model, x[unseen], values[unseen], **kind).importances_mean * len(unseen)
    expected = found / 2 / ((values - values.mean()) ** 2).sum()
    np.testing.assert_allclose([shares[(0,)], shares[(1,)]], expected, atol=0.04)


def test_a_random_search_has_intervals_over_seeds_and_knows_what_it_does_not_explain():
    generator = np.random.default_rng(3)
    rows = []
    for rate, dropout in zip(10 ** generator.uniform(-4, 0, 40), generator.uniform(0, 0.5, 40), strict=True):
        for seed in range(2):
            value = -((np.log10(rate) + 2) ** 2) + 0.05 * generator.normal()
            rows.append({"learning_rate": rate, "dropout": dropout, "seed": seed, "valid_accuracy": value})
    runs = pd.DataFrame(rows).assign(status="done", run_id=lambda table: table.index.astype(str))
    found = importance(ranked(runs, "valid_accuracy"))
    assert found.method == FOREST
    assert found.shares[0].axes == ("learning_rate",)
    assert found.shares[0].total.n == found.fit.n == 2
    assert found.shares[0].total.mean > 0.5 > 0.2 > found.of("dropout").total.mean
    runs = runs[runs["seed"] == 0].assign(valid_accuracy=generator.normal(size=40))
    assert "explains nothing" in importance(ranked(runs, "valid_accuracy")).reason
