"""Lists of runs: products, zips, samples, and the changes that a command line makes."""

import numpy as np
import pytest

from lanes import Run, choice, grid, log_uniform, sample, uniform, zipped
from lanes.describe import runs
from lanes.describe.settings import distinct, only, with_seeds, with_settings
from lanes.errors import RequestError
from lanes.recipe.optimizers import Adam
from nets import MLP

BASE = Run(net=MLP(widths=(8,)))


def test_grid_is_the_product_and_the_last_axis_is_fastest():
    got = [(run.learning_rate, run.seed) for run in grid(BASE, learning_rate=[0.1, 0.2], seed=range(3))]
    assert got == [(0.1, 0), (0.1, 1), (0.1, 2), (0.2, 0), (0.2, 1), (0.2, 2)]
    assert grid(BASE) == [BASE]
    assert grid(BASE, seed=[]) == []


def test_grid_takes_dotted_paths():
    got = grid(BASE, {"net.widths": [(4,), (4, 4)], "optimizer.b1": [0.5]}, seed=[3])
    assert [(run.net.widths, run.optimizer, run.seed) for run in got] == [
        ((4,), Adam(b1=0.5), 3),
        ((4, 4), Adam(b1=0.5), 3),
    ]


def test_zipped_goes_side_by_side():
    got = zipped(BASE, {"net.widths": [(4,), (5,)]}, seed=[7, 8])
    assert [(run.net.widths, run.seed) for run in got] == [((4,), 7), ((5,), 8)]
    with pytest.raises(RequestError, match=r"lengths .*'seed': 2.*must be equal"):
        zipped(BASE, learning_rate=[0.1], seed=[1, 2])


@pytest.mark.parametrize("make", [grid, zipped])
def test_axes_must_be_lists_for_known_fields(make):
    with pytest.raises(RequestError, match="axis activation is 'relu': it must be a list"):
        make(BASE, activation="relu")
    with pytest.raises(RequestError, match=r"axis seed is 3: it must be a list"):
        make(BASE, seed=3)
    with pytest.raises(RequestError, match="did you mean 'learning_rate'"):
        make(BASE, learning_rat=[0.1])
    with pytest.raises(RequestError, match="did you mean 'widths'"):
        make(BASE, {"net.width": [(3,)]})


def test_samples_are_seeded_and_inside_their_ranges():
    axes = {
        "learning_rate": log_uniform(1e-4, 1e-1),
        "dropout": uniform(0.1, 0.3),
        "activation": choice("relu", "tanh"),
    }
    drawn = sample(BASE, 200, {"optimizer.b1": uniform(0.5, 0.9)}, **axes)
    assert drawn == sample(BASE, 200, {"optimizer.b1": uniform(0.5, 0.9)}, **axes)
    assert drawn != sample(BASE, 200, {"optimizer.b1": uniform(0.5, 0.9)}, sample_seed=1, **axes)
    rates = np.array([run.learning_rate for run in drawn])
    assert 1e-4 <= rates.min() < 1e-3  # 200 uniform draws would hardly reach it
    assert rates.max() < 1e-1
    # Half of the draws of log x lie below the middle of the logarithms: 200 draws, 4 standard errors of 0.035.
    assert abs((rates < 10**-2.5).mean() - 0.5) < 0.14
    assert all(0.1 <= run.dropout < 0.3 and 0.5 <= run.optimizer.b1 < 0.9 for run in drawn)
    assert {run.activation for run in drawn} == {"relu", "tanh"}


def test_wrong_samples_are_refused():
    with pytest.raises(RequestError, match=r"sample axis seed is .*: give uniform\(a, b\)"):
        sample(BASE, 2, seed=[1, 2])
    with pytest.raises(RequestError, match="0 < low < high"):
        sample(BASE, 2, learning_rate=log_uniform(0.0, 1.0))


WHEN_ADAM = [{"optimizer": ["adam"], "optimizer.b1": [0.8, 0.9]}, {"optimizer": ["sgd"]}]


def test_alternatives_have_axes_of_their_own():
    penalties = [{}, {"l2": [1e-3, 1e-2]}, {"weight_decay": [0.1]}]
    got = grid(BASE, WHEN_ADAM, penalties, {"net.widths": [(4,)]}, seed=[0, 1])
    assert len(got) == 3 * 4 * 1 * 2
    assert len(distinct(got)) == len(got)
    optimizers = [(run.optimizer if isinstance(run.optimizer, str) else run.optimizer.b1) for run in got[::8]]
    assert optimizers == [0.8, 0.9, "sgd"]
    assert [(run.l2, run.weight_decay) for run in got[:8:2]] == [(0, 0), (1e-3, 0), (1e-2, 0), (0, 0.1)]
    assert all(run.net.widths == (4,) for run in got)


@pytest.mark.parametrize("method", ["random", "sobol", "latin_hypercube"])
def test_samples_draw_one_of_the_alternatives(method):
    penalties = [{"l2": log_uniform(1e-6, 1e-2)}, {"weight_decay": uniform(0.1, 1), "momentum": choice(0.5, 0.9)}, {}]
    drawn = sample(BASE, 64, penalties, method=method, learning_rate=log_uniform(1e-4, 1e-1))
    kinds = [(run.l2 > 0, run.weight_decay > 0, run.momentum is not None) for run in drawn]
    assert set(kinds) == {(True, False, False), (False, True, True), (False, False, False)}
    assert min(map(kinds.count, set(kinds))) >= 10  # of 21.3 expected; the standard error is 3.8
    assert drawn == sample(BASE, 64, penalties, method=method, learning_rate=log_uniform(1e-4, 1e-1))


@pytest.mark.parametrize("count", [1, 5, 16, 33])
def test_the_first_of_more_points_are_those_of_fewer_but_for_a_latin_hypercube(count):
    axes = {"learning_rate": log_uniform(1e-4, 1e-1), "activation": choice("relu", "tanh", "elu")}
    for method in ("random", "sobol"):
        assert sample(BASE, 40, method=method, sample_seed=3, **axes)[:count] == sample(
            BASE, count, method=method, sample_seed=3, **axes
        )
    assert sample(BASE, 40, method="latin_hypercube", **axes)[:5] != sample(BASE, 5, method="latin_hypercube", **axes)


def test_even_samples_have_the_same_distributions_and_fill_every_slice():
    axes = {"learning_rate": log_uniform(1e-4, 1e-1), "dropout": uniform(0.1, 0.3), "seed": choice(0, 1, 2, 3)}
    for method, count in (("sobol", 64), ("latin_hypercube", 40)):
        drawn = sample(BASE, count, method=method, **axes)
        slices = np.floor(np.log(np.array([run.learning_rate for run in drawn]) / 1e-4) / np.log(1e3) * count)
        assert sorted(slices) == list(range(count)), method  # one point in each of `count` slices
        slices = np.floor((np.array([run.dropout for run in drawn]) - 0.1) / 0.2 * count)
        assert sorted(slices) == list(range(count)), method
        assert {[run.seed for run in drawn].count(seed) for seed in range(4)} == {count // 4}
        assert drawn != sample(BASE, count, method=method, sample_seed=1, **axes)


class OnlyDraws:
    def draw(self, generator):
        return float(generator.uniform())


def test_a_distribution_of_ones_own_needs_quantiles_to_be_spread_evenly():
    assert 0 <= sample(BASE, 1, dropout=OnlyDraws())[0].dropout < 1
    with pytest.raises(RequestError, match=r"no quantile\(u\)"):
        sample(BASE, 1, dropout=OnlyDraws(), method="sobol")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sample(BASE, 2, activation=["relu", "tanh"]), r"write choice\('relu', 'tanh'\)"),
        (lambda: sample(BASE, 2, seed=range(9)), r"write choice\(\*values\)"),
        (lambda: sample(BASE, 2, activation="relu"), r"write choice\('relu'\)"),
        (lambda: sample(BASE, 2, [{"l2": 0.1}, {}]), r"write choice\(0\.1\)"),
        (lambda: choice(["relu", "tanh"]), r"has one value, a list: write its items .* choice\('relu', 'tanh'\)"),
        (lambda: choice(np.arange(3)), "an array"),
        (lambda: choice(), "has no values"),
        (lambda: grid(BASE, activation=choice("relu", "tanh")), r"a list of values, \['relu', 'tanh'\]"),
        (lambda: grid(BASE, learning_rate=log_uniform(1e-4, 1e-1)), "which sample draws from: here it is a list"),
        (lambda: zipped(BASE, l2=uniform(0, 1)), "which sample draws from"),
        (lambda: zipped(BASE, WHEN_ADAM), "not alternatives"),
        (lambda: grid(BASE, {"l2": [1e-3]}, l2=[1e-2]), "axis l2 stands in two places"),
        (lambda: grid(BASE, [{"l2": [1]}], [{"weight_decay": [1], "l2": [2]}]), "axis l2 stands in two places"),
        (lambda: grid(BASE, []), "list of alternatives is empty"),
        (lambda: grid(BASE, [1, 2]), "write a mapping"),
        (lambda: grid(BASE, "l2"), "write a mapping"),
        (lambda: grid(BASE, {"optimizer.b1": [0.9]}, optimizer=["adam", "sgd"]), "write alternatives: .*optimizer.b1"),
        (lambda: sample(BASE, -1), "a whole number"),
        (lambda: sample(BASE, 1e2), "a whole number"),
        (lambda: sample(BASE, 2, method="sobel"), "did you mean 'sobol'"),
    ],
)
def test_what_stands_in_the_wrong_place_is_refused_with_what_to_write(make, message):
    with pytest.raises(RequestError, match=message):
        make()


def test_degenerate_samples():
    assert sample(BASE, 0, method="sobol", l2=uniform(0, 1)) == []
    assert sample(BASE, 2, method="latin_hypercube") == [BASE, BASE]
    assert sample(BASE, np.int64(1), method="sobol", activation=choice((1, 2)))[0].activation == (1, 2)


def test_settings_apply_to_every_run_and_duplicates_are_dropped():
    sweep = grid(BASE, learning_rate=[0.1, 0.2], seed=[0, 1])
    got = with_settings(sweep, ["learning_rate=0.5", "net.widths=3,4"])
    assert [(run.learning_rate, run.net.widths, run.seed) for run in got] == [(0.5, (3, 4), 0), (0.5, (3, 4), 1)]
    assert with_settings(sweep, []) == sweep
    assert with_settings([BASE], ["epochs=2", "epochs=3"])[0].epochs == 3  # in order
    for text, match in (
        ("epochs", "write FIELD=VALUE"),
        ("=3", "write FIELD=VALUE"),
        ("epoch=3", "did you mean 'epochs'"),
        ("epochs=x", "must be of type int"),
    ):
        with pytest.raises(RequestError, match=match):
            with_settings(sweep, [text])


def test_settings_keep_numpy_numbers():
    got = with_settings(grid(BASE, learning_rate=np.array([0.1, 0.2], np.float32), seed=np.arange(2)), ["epochs=2"])
    assert len(got) == 4


def test_seeds_are_replaced():
    got = with_seeds(grid(BASE, learning_rate=[0.1, 0.2], seed=[5, 6, 7]), 2)
    assert [(run.learning_rate, run.seed) for run in got] == [(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)]
    with pytest.raises(RequestError, match="--seeds is 0"):
        with_seeds([BASE], 0)


def test_only_keeps_what_matches():
    sweep = grid(BASE, activation=["relu", "leaky_relu"], learning_rate=[0.1, 0.01], seed=range(3))
    assert len(only(sweep, ["activation=relu", "seed=0|2"])) == 4
    assert len(only(sweep, ["learning_rate=1e-1"])) == 6  # equal as numbers
    assert {runs.row(run)["activation"] for run in only(sweep, ["activation.slope=0.01"])} == {"leaky_relu"}
    assert len(only(sweep, ["net.widths=8"])) == 12
    assert only(sweep, []) == sweep
    with pytest.raises(RequestError, match=r"--only activation=tanh matches no run: activation is leaky_relu, relu"):
        only(sweep, ["activation=tanh"])
    with pytest.raises(RequestError, match="did you mean 'activation'"):
        only(sweep, ["activatio=tanh"])


def test_distinct_keeps_the_first_of_equal_runs():
    assert distinct([BASE, Run(net=MLP(widths=(8,)), activation="relu"), Run(seed=1)]) == [BASE, Run(seed=1)]
