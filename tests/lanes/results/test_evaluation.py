"""Evaluation from checkpoints reproduces the stored results; means of predictions are checked against NumPy."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import lanes
from lanes import Run, grid
from lanes.data.digits import Digits
from lanes.data.loading import load_dataset
from lanes.program.mixtures import Mixture
from lanes.recipe.averages import EMA
from lanes.results.evaluation import evaluate
from losses import OUTPUT_UNITS
from nets import MLP
from nets.normalization import recomputed_statistics

DIGITS = Run(data="digits", net=MLP(widths=(8,)), epochs=3, train_examples=64, batch_size=16, learning_rate=1e-2)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs at width 2, one of which diverges."""
    out = tmp_path_factory.mktemp("digits")
    base = grid(DIGITS, dropout=[0.3], learning_rate=[1e-2, 3e-2], seed=range(2))
    other = grid(DIGITS, dropout=[0.3], activation=["tanh"], learning_rate=[1e-2, 1e38])
    lanes.sweep(base + other, out, width=2, devices=1, quiet=True)
    return out


@pytest.fixture(scope="module")
def normalized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with batch normalization and averaged parameters."""
    out = tmp_path_factory.mktemp("normalized")
    run = dataclasses.replace(DIGITS, net=MLP(widths=(8,), norm="batch_norm"), activation="prelu", average=EMA(0.5))
    lanes.sweep(grid(run, learning_rate=[1e-2, 0.3]), out, width=2, devices=1, quiet=True)
    return out


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two classes in the plane and one with a real target, in one directory."""
    out = tmp_path_factory.mktemp("small")
    base = dataclasses.replace(DIGITS, epochs=2, activation="prelu")
    plane = grid(base, data=["moons"])
    real = grid(base, data=["sine"], loss=["squared_error"])
    lanes.sweep(plane + real, out, width=1, devices=1, quiet=True)
    return out


def equal(table: pd.DataFrame, split: str, tolerance: float) -> bool:
    return all(
        np.allclose(table[f"{split}_{name}"], table[f"evaluated_{name}"], rtol=tolerance, atol=0)
        for name in ("loss", "accuracy")
    )


def logits(directory: Path, run_id: str, split: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs [N, K] in float64 of a restored run's net, and the labels."""
    data = load_dataset("digits", train_examples=64)
    net, variables = lanes.restore(directory, run_id)
    part = data.splits()[split]
    x = (part.x.astype(np.float32) - data.offset) * data.scale
    return np.asarray(net.apply(variables, x, train=False), np.float64), part.y


# ---- the same numbers again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["test", "train"])
def test_stored_metrics_are_reproduced_bit_for_bit(digits: Path, split: str) -> None:
    table = evaluate(digits, split=split)
    assert len(table) == 5  # the diverged one is left out
    assert equal(table, split, 0.0)
    assert (table["evaluated_on"] == f"digits {split}").all()


def test_validation_metrics_are_reproduced_to_rounding(digits: Path) -> None:
    """The training program measured them, which XLA compiles differently."""
    assert equal(evaluate(digits, split="valid"), "valid", 1e-6)


@pytest.mark.parametrize("fixture", ["digits", pytest.param("normalized", marks=pytest.mark.slow)])
def test_the_last_epoch_matches_the_curve(fixture: str, request: pytest.FixtureRequest) -> None:
    directory = request.getfixturevalue(fixture)
    table = evaluate(directory, split="valid", epoch="last").set_index("run_id")
    curves = lanes.load_curves(directory)
    last = curves[curves["epoch"] == 3].set_index("run_id")["valid_loss"].reindex(table.index)
    np.testing.assert_allclose(table["evaluated_loss"], last, rtol=2e-6)
    if fixture == "normalized":  # otherwise the best epoch would be the last
        assert (table["best_epoch"] < 3).any()


# ---- which runs --------------------------------------------------------------------------------------------------


def test_best_selects_combinations_by_validation_with_all_their_seeds(digits: Path) -> None:
    table = evaluate(digits, best=1, where=["activation=relu"])
    stored = lanes.load(digits)
    relu = stored[stored["activation"] == "relu"]
    best_rate = relu.groupby("learning_rate")["valid_accuracy"].mean().idxmax()
    assert list(table["seed"]) == [0, 1]
    assert (table["learning_rate"] == best_rate).all()


def test_diverged_runs_are_never_best(digits: Path) -> None:
    stored = lanes.load(digits)
    assert (stored["status"] == "diverged").sum() == 1
    assert "diverged" not in set(evaluate(digits, best=99)["status"])


def test_runs_are_selected_by_prefix_in_the_order_of_the_request(digits: Path) -> None:
    stored = lanes.load(digits)
    selected = list(stored.loc[stored["status"] == "done", "run_id"])[::-1][:2]
    assert list(evaluate(digits, run_ids=[name[:10] for name in selected])["run_id"]) == selected


def test_where_takes_alternatives(digits: Path) -> None:
    table = evaluate(digits, where=["learning_rate=0.01|0.5", "seed=0"])
    assert sorted(table["activation"]) == ["relu", "tanh"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"best": 0}, "at least 1"),
        ({"metric": "valid_acuracy"}, "'valid_accuracy'"),
        ({"run_ids": ["zz"]}, "unknown run 'zz'"),
        ({"run_ids": ["a"], "best": 1}, "leave one out"),
        ({"epoch": "7"}, "only the best and the last"),
        ({"split": "tst"}, "did you mean 'test'"),
        ({"data": "moons"}, "must be equal"),
        ({"data": "digitz"}, "did you mean 'digits'"),
        ({"where": ["activation=swish"]}, "matches no run"),
        ({"where": ["activatoin=relu"]}, "did you mean 'activation'"),
        ({"where": ["learning_rate=1e38"]}, "diverged"),
        ({"where": ["relu"]}, "FIELD=VALUE"),
        ({"mc_dropout": 0}, "at least 1"),
        ({"batch_statistics": "recomputed"}, "keeps no batch statistics"),
        ({"batch_statistics": "new"}, "running"),
    ],
)
def test_wrong_requests_are_one_line(digits: Path, request_: dict, message: str) -> None:
    with pytest.raises(lanes.RequestError) as caught:
        evaluate(digits, **request_)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(lanes.RequestError, match="holds no sweep"):
        evaluate(tmp_path)


def test_lost_checkpoint_is_one_line(digits: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(digits, copy)
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(lanes.RequestError, match="no checkpoint"):
        evaluate(copy)


# ---- other data --------------------------------------------------------------------------------------------------


def test_other_data_are_standardized_as_in_training(digits: Path) -> None:
    """Another split of the digits shares examples with this one: the metrics must be close but not equal."""
    table = evaluate(digits, data=Digits(split_seed=1))
    assert not equal(table, "test", 0.0)
    assert np.abs(table["evaluated_accuracy"] - table["test_accuracy"]).max() < 0.15
    other = load_dataset(Digits(split_seed=1))
    own = load_dataset("digits", train_examples=64)
    net, variables = lanes.restore(digits, table["run_id"].iloc[0])
    z = net.apply(variables, (other.test.x.astype(np.float32) - own.offset) * own.scale, train=False)
    right = (np.argmax(np.asarray(z), axis=-1) == other.test.y).mean()
    assert table["evaluated_accuracy"].iloc[0] == pytest.approx(right, abs=1e-6)


# ---- means of predictions ----------------------------------------------------------------------------------------


def mean_of(unit: str, raw: np.ndarray) -> np.ndarray:
    """The mean prediction, after the output unit, of members with the raw outputs [M, N, K]."""
    mixture = Mixture(unit)
    members = [mixture.parts(jnp.asarray(member, jnp.float32)) for member in raw]
    total = members[0]
    for parts in members[1:]:
        total = tuple(map(mixture.add, total, parts))
    return np.asarray(OUTPUT_UNITS[unit](mixture.prediction(mixture.mean(total, len(raw)))))


@pytest.mark.parametrize("unit", ["softmax", "sigmoid", "tanh"])
def test_the_mean_prediction_is_the_mean_of_the_units_outputs(unit: str) -> None:
    raw = np.random.default_rng(0).normal(size=(5, 4, 3)) * 3
    expected = np.mean([np.asarray(OUTPUT_UNITS[unit](jnp.asarray(member, jnp.float32))) for member in raw], axis=0)
    np.testing.assert_allclose(mean_of(unit, raw), expected, rtol=2e-5, atol=1e-6)


def test_mean_of_steps_is_a_majority() -> None:
    raw = np.array([[[1.0], [1.0]], [[2.0], [-1.0]], [[-1.0], [-1.0]]])
    np.testing.assert_array_equal(mean_of("step", raw), [[1.0], [0.0]])


def test_mean_of_certain_members_stays_finite() -> None:
    mixture = Mixture("softmax")
    parts = mixture.parts(jnp.array([[0.0, -400.0]]))
    mean = mixture.mean(tuple(map(mixture.add, parts, parts)), 2)
    np.testing.assert_allclose(mixture.prediction(mean)[0, 1], -400.0, rtol=1e-6)


def test_ensemble_is_the_mean_of_probabilities(digits: Path) -> None:
    table = evaluate(digits, ensemble=True).set_index("run_id")
    members = [name for name in table.index if name not in ("ensemble", "mean member")]
    probabilities, y = [], np.zeros(0)
    for run_id in members:
        z, y = logits(digits, run_id)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        probabilities.append(e / e.sum(axis=1, keepdims=True))
    mean = np.mean(probabilities, axis=0)
    ensemble, single = table.loc["ensemble"], table.loc["mean member"]
    assert ensemble["evaluated_accuracy"] == pytest.approx((mean.argmax(axis=1) == y).mean(), abs=1e-6)
    assert ensemble["evaluated_loss"] == pytest.approx(-np.log(mean[np.arange(len(y)), y]).mean(), rel=1e-5)
    assert single["evaluated_loss"] == pytest.approx(table.loc[members, "evaluated_loss"].mean(), rel=1e-6)
    # Jensen: the logarithm of a mean is at least the mean of the logarithms.
    assert ensemble["evaluated_loss"] <= single["evaluated_loss"]


def test_an_ensemble_of_one_equals_its_run(digits: Path) -> None:
    run_id = lanes.load(digits)["run_id"].iloc[0]
    table = evaluate(digits, run_ids=[run_id], ensemble=True)
    np.testing.assert_allclose(table["evaluated_loss"], table["evaluated_loss"].iloc[0], rtol=1e-6)


@pytest.mark.slow
def test_ensemble_of_different_tasks_is_refused(small: Path) -> None:
    with pytest.raises(lanes.RequestError, match="no mean prediction"):
        evaluate(small, ensemble=True)


@pytest.mark.slow
def test_dropout_passes_differ_from_one_pass_and_repeat(digits: Path) -> None:
    table = evaluate(digits, mc_dropout=1)
    plain, single = table["test_loss"], table["evaluated_loss"]
    many, again = (evaluate(digits, mc_dropout=24)["evaluated_loss"] for _ in range(2))
    np.testing.assert_array_equal(many, again)
    assert (single != plain).all()
    # The mean over masks is close to the pass with all units (Srivastava et al. 2014), closer than a single mask.
    assert np.abs(many - plain).mean() < np.abs(single - plain).mean()
    assert np.abs(many - plain).max() < 0.1


def test_dropout_passes_need_dropout(normalized: Path) -> None:
    with pytest.raises(lanes.RequestError, match="has no dropout"):
        evaluate(normalized, mc_dropout=2)


def test_recomputed_statistics_are_those_of_the_training_split(normalized: Path) -> None:
    table = evaluate(normalized, batch_statistics="recomputed")
    data = load_dataset("digits", train_examples=64)
    x, test = ((part.x.astype(np.float32) - data.offset) * data.scale for part in (data.train, data.test))
    for _, row in table.iterrows():
        net, variables = lanes.restore(normalized, row["run_id"])
        batches = [jnp.asarray(x[at : at + 16]) for at in range(0, 64, 16)]
        statistics = recomputed_statistics(net, variables, batches)
        z = net.apply({**variables, "batch_stats": statistics}, test, train=False)
        loss = -np.asarray(jax.nn.log_softmax(z))[np.arange(len(test)), data.test.y].mean()
        assert row["evaluated_loss"] == pytest.approx(float(loss), rel=1e-4)
        assert row["evaluated_loss"] != row["test_loss"]


# ---- metrics of a whole split ------------------------------------------------------------------------------------


def test_area_under_the_curve_of_two_classes_counts_ordered_pairs(small: Path) -> None:
    table = evaluate(small, where=["data=moons"])
    data = load_dataset("moons", train_examples=64)
    net, variables = lanes.restore(small, table["run_id"].iloc[0])
    z = np.asarray(net.apply(variables, (data.test.x - data.offset) * data.scale, train=False))
    scores, y = z[:, 1] - z[:, 0], data.test.y
    ordered = (scores[y == 1][:, None] > scores[y == 0][None]).mean()
    assert table["evaluated_auroc"].iloc[0] == pytest.approx(ordered, abs=1e-5)


def test_whole_set_metrics_of_real_targets(small: Path) -> None:
    table = evaluate(small, where=["data=sine"], ensemble=True)
    assert table["evaluated_root_mean_squared_error"].iloc[0] == pytest.approx(
        np.sqrt(table["evaluated_loss"].iloc[0]), rel=1e-5
    )
    variance = load_dataset("sine", train_examples=64).test.y.var()
    expected = 1 - table["evaluated_loss"].iloc[0] / variance
    np.testing.assert_allclose(table["evaluated_r_squared"], expected, rtol=1e-4)  # an ensemble of one
