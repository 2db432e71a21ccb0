"""Attacks and corruptions of `evaluate` against the net itself, and the tables that it makes against scikit-learn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

import lanes
from lanes import Run, grid
from lanes.data.loading import load_dataset
from lanes.describe.checks import check_with_data, resolved
from lanes.program.compiled import Programs
from lanes.recipe.augmentations import Rotate
from lanes.results.conditions import attacks, corruptions
from lanes.results.evaluation import Evaluation, evaluation
from lanes.results.measures import Measure, check_named, split_measure
from nets import MLP

PROGRAMS = Programs()
RUN = Run(
    data="digits",
    net=MLP(widths=(8,)),
    activation="tanh",
    epochs=3,
    train_examples=200,
    batch_size=20,
    learning_rate=1e-2,
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs at width 2, so that one lane of the second group is empty."""
    out = tmp_path_factory.mktemp("digits")
    lanes.sweep(grid(RUN, seed=range(3)), out, width=2, devices=1, quiet=True, programs=PROGRAMS)
    return out


@pytest.fixture(scope="module")
def told(digits: Path) -> Evaluation:
    """All tables, with a file of predictions."""
    return evaluation(
        digits,
        programs=PROGRAMS,
        confusion=True,
        calibration=True,
        predictions=digits.parent / "predictions.parquet",
        measure=(
            "classes=sklearn.metrics:cohen_kappa_score",
            "probabilities=sklearn.metrics:log_loss",
            "macro_f1",
            "top_3",
        ),
    )


@pytest.fixture(scope="module")
def attacked(digits: Path) -> Evaluation:
    """FGSM at three strengths."""
    return evaluation(digits, programs=PROGRAMS, attack="fgsm", epsilon=(0.0, 1.0, 3.0))


def logits(directory: Path, run_id: str):
    """(x as it is [N, …], y [N], a function of raw inputs that gives logits)."""
    data = load_dataset("digits", train_examples=200)
    net, variables = lanes.restore(directory, run_id)

    def function(raw):
        return net.apply(variables, (raw - data.offset) * data.scale, train=False)

    return data.test.x.astype(np.float32), data.test.y, function


# ---- tables ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("told")
def test_predictions_are_those_of_the_restored_nets(digits: Path):
    table = pd.read_parquet(digits.parent / "predictions.parquet")
    assert list(table.columns) == ["run_id", "example", "target", "predicted", "probabilities"]
    assert len(table) == 3 * 180
    for run_id, part in table.groupby("run_id"):
        x, y, function = logits(digits, run_id)
        expected = np.asarray(jax.nn.softmax(function(x)))
        np.testing.assert_array_equal(part["example"], np.arange(180))
        np.testing.assert_array_equal(part["target"], y)
        np.testing.assert_allclose(np.stack(part["probabilities"].to_list()), expected, rtol=2e-4, atol=1e-6)
        np.testing.assert_array_equal(part["predicted"], expected.argmax(axis=1))


def test_tables_and_metrics_agree_with_scikit_learn(digits: Path, told: Evaluation):
    table = pd.read_parquet(digits.parent / "predictions.parquet")
    rows = told.runs.set_index("run_id")
    for run_id, part in table.groupby("run_id"):
        y, guessed, row = part["target"], part["predicted"], rows.loc[run_id]
        chances = np.stack(part["probabilities"].to_list()).astype(np.float64)
        chances /= chances.sum(axis=1, keepdims=True)
        own = told.confusion[told.confusion["run_id"] == run_id]
        matrix = sklearn.metrics.confusion_matrix(y, guessed)
        np.testing.assert_array_equal(own["examples"].to_numpy().reshape(10, 10), matrix)
        recall = told.classes.loc[told.classes["run_id"] == run_id, "recall"]
        np.testing.assert_allclose(recall, sklearn.metrics.recall_score(y, guessed, average=None))
        expected = {
            "accuracy": sklearn.metrics.accuracy_score(y, guessed),
            "auroc": sklearn.metrics.roc_auc_score(y, chances, multi_class="ovr"),
            "cohen_kappa_score": sklearn.metrics.cohen_kappa_score(y, guessed),
            "log_loss": sklearn.metrics.log_loss(y, chances),
            "macro_f1": sklearn.metrics.f1_score(y, guessed, average="macro"),
            "top_3": sklearn.metrics.top_k_accuracy_score(y, chances, k=3),
            "top_5": sklearn.metrics.top_k_accuracy_score(y, chances, k=5),
            "brier": np.mean(np.sum((chances - np.eye(10)[y]) ** 2, axis=1)),
        }
        for name, value in expected.items():
            assert row[f"evaluated_{name}"] == pytest.approx(value, abs=1e-5), name
        bins = told.calibration[told.calibration["run_id"] == run_id]
        gaps = (bins["accuracy"] - bins["confidence"]).abs() * bins["examples"] / 180
        assert row["evaluated_expected_calibration_error"] == pytest.approx(gaps.sum(), abs=1e-6)


def test_stored_metrics_stay_what_they_are(told: Evaluation, attacked: Evaluation):
    for found in (told, attacked):
        np.testing.assert_array_equal(found.runs["evaluated_loss"], found.runs["test_loss"])


def test_many_runs_are_restored_as_each_alone(digits: Path):
    ids = list(lanes.load(digits)["run_id"])[::-1]
    found = lanes.restore(digits, [ids[0], ids[2][:10], ids[1]])
    for run_id, (net, variables) in zip([ids[0], ids[2], ids[1]], found, strict=True):
        alone, expected = lanes.restore(digits, run_id)
        assert net == alone
        jax.tree.map(np.testing.assert_array_equal, variables, expected)
    assert lanes.restore(digits, []) == []
    with pytest.raises(lanes.RequestError, match="unknown run"):
        lanes.restore(digits, [ids[0], "zz"])


# ---- attacks -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fgsm_moves_raw_pixels_along_the_sign_of_each_nets_own_gradient(digits: Path, attacked: Evaluation):
    for _, row in attacked.runs.iterrows():
        x, y, function = logits(digits, row["run_id"])

        def loss(raw, function=function, y=y):
            return -jnp.sum(jax.nn.log_softmax(function(raw))[np.arange(len(y)), y])

        for epsilon in (1.0, 3.0):
            moved = jnp.clip(x + epsilon * jnp.sign(jax.grad(loss)(x)), 0, 16)
            right = (np.asarray(function(moved)).argmax(axis=1) == y).mean()
            assert row[f"evaluated_accuracy_fgsm_{epsilon:g}"] == pytest.approx(right, abs=1 / 180 + 1e-6)
            assert row[f"evaluated_loss_fgsm_{epsilon:g}"] == pytest.approx(float(loss(moved)) / 180, rel=1e-3)


def test_of_a_zero_step_nothing_changes_and_accuracy_falls_with_epsilon(attacked: Evaluation):
    rows = attacked.runs
    np.testing.assert_allclose(rows["evaluated_loss_fgsm_0"], rows["evaluated_loss"], rtol=1e-5)
    assert (rows["evaluated_flipped_fgsm_0"] == 0).all()
    assert (rows["evaluated_accuracy_fgsm_3"] < rows["evaluated_accuracy_fgsm_1"]).all()
    assert (rows["evaluated_accuracy_fgsm_1"] < rows["evaluated_accuracy"]).all()


def test_every_strength_and_every_run_share_one_program(attacked: Evaluation):
    """One for the inputs as they are, one for their metrics over a set, one for the attack."""
    assert attacked.programs == 3


@pytest.mark.slow
def test_many_steps_find_more_than_one_and_a_target_is_hit(digits: Path, attacked: Evaluation):
    found = evaluation(
        digits, programs=PROGRAMS, attack="pgd", epsilon=(1.0, 3.0), target_class="3", attack_steps=5
    ).runs
    assert (found["evaluated_hit_pgd_3_to_3"] > found["evaluated_hit_pgd_1_to_3"]).all()
    more = evaluation(digits, programs=PROGRAMS, attack="pgd", epsilon=(1.0,), attack_steps=5).runs
    assert (more["evaluated_loss_pgd_1"] > attacked.runs["evaluated_loss_fgsm_1"]).all()


# ---- corruptions -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_corruptions_change_what_the_net_sees(digits: Path):
    stated = ("noise=0", "noise=0.3", "mirror=1", "mixup=0.3")
    rows = evaluation(digits, programs=PROGRAMS, corrupt=stated).runs
    np.testing.assert_allclose(rows["evaluated_loss_noise_0"], rows["evaluated_loss"], rtol=1e-5)
    assert (rows["evaluated_loss_noise_0.3"] != rows["evaluated_loss"]).all()
    for _, row in rows.iterrows():
        x, y, function = logits(digits, row["run_id"])
        right = (np.asarray(function(x[:, :, ::-1])).argmax(axis=1) == y).mean()
        assert row["evaluated_accuracy_mirror_1"] == pytest.approx(right, abs=1e-6)
        assert "evaluated_flipped_mixup_0.3" not in row
    again = evaluation(digits, programs=PROGRAMS, corrupt=stated).runs
    pd.testing.assert_frame_equal(rows, again)


@pytest.mark.slow
def test_corruption_goes_with_an_ensemble_and_a_file(digits: Path, tmp_path: Path):
    file = tmp_path / "all.parquet"
    found = evaluation(
        digits, programs=PROGRAMS, corrupt=("noise=0.3",), ensemble=True, predictions=file, confusion=True
    )
    table = pd.read_parquet(file)
    assert set(table["condition"]) == {"clean", "noise_0.3"}
    assert table["run_id"].nunique() == 4
    chances = {
        name: np.stack(part["probabilities"].to_list())
        for name, part in table[table["condition"] == "noise_0.3"].groupby("run_id")
    }
    ensemble = chances.pop("ensemble")
    np.testing.assert_allclose(ensemble, np.mean(list(chances.values()), axis=0), rtol=1e-3, atol=1e-6)
    row = found.runs.set_index("run_id").loc["ensemble"]
    y = table.loc[(table["condition"] == "noise_0.3") & (table["run_id"] == "ensemble"), "target"]
    assert row["evaluated_accuracy_noise_0.3"] == pytest.approx((ensemble.argmax(axis=1) == y).mean(), abs=1e-6)


# ---- wrong requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"attack": "fgsm", "epsilon": (-1.0,)}, "--epsilon is -1: it must be a finite number of 0 or more"),
        ({"attack": "fgsm", "epsilon": (float("nan"),)}, "finite number"),
        ({"attack": "fgsm"}, "needs --epsilon"),
        ({"epsilon": (1.0,)}, "add --attack fgsm or pgd"),
        ({"attack": "fgms", "epsilon": (1.0,)}, "did you mean 'fgsm'"),
        ({"attack": "fgsm", "epsilon": (1.0,), "step_size": 0.1}, "one step of ε"),
        ({"attack": "pgd", "epsilon": (1.0,), "attack_steps": 0}, "--attack-steps is 0"),
        ({"attack": "fgsm", "epsilon": (1.0,), "epsilon_in": "grey"}, "raw"),
        ({"attack": "fgsm", "epsilon": (1.0,), "bounds": (0.0, 1.0)}, "lie outside"),
        ({"attack": "fgsm", "epsilon": (1.0,), "target_class": "ten"}, "least_likely or a class"),
        ({"attack": "fgsm", "epsilon": (1.0,), "ensemble": True}, "leave out --ensemble"),
        ({"attack": "fgsm", "epsilon": (1.0,), "mc_dropout": 3}, "without dropout"),
        ({"corrupt": ("time_shift=0.1",)}, "is for series"),
        ({"corrupt": ("noise",)}, "NAME=STRENGTH"),
        ({"corrupt": ("mixup=0.2",), "ensemble": True}, "mixes examples"),
        ({"measure": ("sklearn.metrics:log_loss",)}, "say what the function takes"),
        ({"measure": ("classes=sklearn.metrics:nothing",)}, "nothing of the name"),
        ({"measure": ("classes=numpy:corrcoef",)}, "must return one number"),
        ({"measure": ("positive=sklearn.metrics:brier_score_loss",)}, "class 1 of two"),
        ({"data": "experiment:other"}, "do not come from one experiment file"),
        ({"predictions": "nowhere/at/all.parquet"}, "there is no folder"),
        ({"predictions": "a.csv"}, ".parquet"),
    ],
)
def test_wrong_requests_are_one_line(digits: Path, request_: dict, message: str):
    with pytest.raises(lanes.RequestError) as caught:
        evaluation(digits, programs=PROGRAMS, **request_)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotate=x", "no number"),
        ("rotate=500", "between 0 and 180"),
        ("noise=inf", "finite"),
        ("nois=0.1", "did you mean 'noise'"),
        ("affine=3", "several strengths"),
        ("affine.shear=0.1,rotate.degrees=3", "one augmentation at a time"),
        ("noise.sd=3", "did you mean 'std'"),
        ("crop=1.5", "whole"),
        ("noise.std=1,noise.std=2", "stands twice"),
    ],
)
def test_wrong_corruptions_are_one_line(text: str, message: str):
    with pytest.raises(lanes.RequestError, match=message):
        corruptions([text])


def test_corruptions_are_descriptions_of_the_catalogue():
    (sheared, noise, rotated) = corruptions(["affine.shear=0.3", "noise=0.2", Rotate(5.0)])
    assert (sheared.augmentation.shear, sheared.augmentation.degrees) == (0.3, 0.0)  # what is not stated is off
    assert (noise.name, noise.augmentation.std) == ("noise_0.2", 0.2)
    assert rotated.augmentation == Rotate(5.0)
    assert len(corruptions(["noise=0.2", "noise=0.2"])) == 1


def test_a_step_of_pgd_is_a_part_of_the_ball():
    data = load_dataset("digits")
    (attack,) = attacks("pgd", (2.0,), "raw", steps=5)
    amounts = attack.amounts(data, data.test)
    assert (amounts["epsilon"], amounts["step_size"], amounts["low"], amounts["high"]) == (2.0, 1.0, 0.0, 16.0)
    (in_deviations,) = attacks("fgsm", (0.5,), "deviations")
    assert in_deviations.amounts(data, data.test)["epsilon"] == pytest.approx(0.5 / data.scale)


@pytest.mark.parametrize(
    ("name", "message"), [("top_11", "10 outputs"), ("top_0", "10 outputs"), ("r_squared", "targets of kind real")]
)
def test_metrics_of_lanes_own_that_the_runs_do_not_have(name: str, message: str):
    run = check_with_data(resolved(RUN), load_dataset("digits"))
    with pytest.raises(lanes.RequestError, match=message):
        check_named(name, run, "classes", 10)
    with pytest.raises(lanes.RequestError, match="decides for classes"):
        Measure(sklearn.metrics.r2_score, "predictions", "r2").check(run, 10)


def test_what_a_function_takes_is_never_guessed():
    assert split_measure("classes=sklearn.metrics:f1_score") == ("classes", "sklearn.metrics:f1_score")
    assert split_measure("auroc") == ("", "auroc")
    with pytest.raises(lanes.RequestError, match="argument of --measure"):
        split_measure("scores=sklearn.metrics:f1_score")
    with pytest.raises(lanes.RequestError, match="raises ZeroDivisionError"):
        Measure(lambda y, p: len(y) / len(p[:0]), "classes", "own")(np.zeros(2), np.zeros(2))
