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
