"""Which metrics compare two runs: by what they are functions of, not by their names."""

import dataclasses

import jax.numpy as jnp
import pytest

from lanes import Blobs, Classify, Digits, Elbo, Encoded, MaskingNoise, Metric, Reconstruct, RequestError, Run
from lanes.describe.checks import check_ranges, resolved
from lanes.describe.comparable import facets, facets_of_run, measures
from losses import Huber
from nets import VAE, Autoencoder


def brier(prediction, target):
    return ((prediction - target) ** 2).sum(-1)


def pinball(prediction, target):
    return jnp.maximum(0.9 * (target - prediction), 0.1 * (prediction - target)).sum(-1)


CLASSES = Run(data=Blobs(), task="classify")
PLAIN = Run(task="classify")
REAL = Run(data="sine", task="regress", loss="mean_squared_error", metrics=("mean_absolute_error", brier))
PIXELS = Run(data=Digits(standardize="unit"), net=VAE(), loss="sigmoid_cross_entropy", task=Elbo())
CODES = Run(data=Digits(standardize="unit"), net=Autoencoder(), loss="sigmoid_cross_entropy", task=Reconstruct())


def compared(run, columns, **changed):
    """Which of the columns compare a run with the same run where these fields are changed."""
    one, other = (facets_of_run(resolved(each)) for each in (run, dataclasses.replace(run, **changed)))
    return [name for name in columns.split() if measures(one, name) == measures(other, name)]


@pytest.mark.parametrize(
    ("run", "changed", "columns", "expected"),
    [
        # what only training sees
        (CLASSES, {"label_smoothing": 0.1}, "valid_loss valid_accuracy train_loss", "all"),
        (CLASSES, {"l2": 0.1}, "valid_loss valid_accuracy penalty", "valid_loss valid_accuracy"),
        (CLASSES, {"task": Classify(auxiliary_weight=0.1)}, "valid_loss valid_accuracy", "all"),
        (CLASSES, {"optimizer": "sgd", "dropout": 0.5, "epochs": 3, "seed": 8}, "valid_loss test_accuracy", "all"),
        (CLASSES, {"train_examples": 50}, "valid_loss valid_accuracy train_loss", "valid_loss valid_accuracy"),
        # losses, and their numbers
        (CLASSES, {"loss": "focal"}, "valid_loss valid_accuracy test_accuracy", "valid_accuracy test_accuracy"),
        (
            REAL,
            {"loss": "huber"},
            "valid_loss valid_mean_absolute_error valid_brier",
            "valid_mean_absolute_error valid_brier",
        ),
        (REAL, {"loss": "half_squared_error"}, "valid_loss train_loss test_loss", ""),
        (
            REAL,
            {"loss": pinball},
            "valid_loss valid_brier valid_mean_absolute_error",
            "valid_brier valid_mean_absolute_error",
        ),
        (
            dataclasses.replace(REAL, loss=Huber(delta=1.0)),
            {"loss": Huber(delta=2.0)},
            "valid_loss valid_brier",
            "valid_brier",
        ),
        # logits and values are not the same prediction
        (
            dataclasses.replace(CLASSES, metrics=(brier,)),
            {"loss": "mean_squared_error"},
            "valid_brier valid_accuracy",
            "valid_accuracy",
        ),
        (dataclasses.replace(CLASSES, metrics=(brier,)), {"loss": "focal"}, "valid_brier valid_loss", "valid_brier"),
        # the same function with its direction, and another of the same name
        (
            REAL,
            {"metrics": ("mean_absolute_error", Metric(brier, higher_is_better=False))},
            "valid_brier valid_loss",
            "all",
        ),
        # tasks
        (
            CLASSES,
            {"task": "integer_coded", "loss": "mean_squared_error"},
            "valid_loss valid_accuracy",
            "valid_accuracy",
        ),
        (CLASSES, {"task": Classify(corruption=MaskingNoise(0.5))}, "valid_loss valid_accuracy", ""),
        (PIXELS, {"task": Elbo(beta=4.0)}, "valid_loss valid_elbo valid_divergence", "valid_elbo valid_divergence"),
        (
            PIXELS,
            {"task": Elbo(mode="divergence")},
            "valid_loss valid_elbo test_reconstruction",
            "valid_elbo test_reconstruction",
        ),
        (PIXELS, {"task": Elbo(samples=5)}, "valid_loss valid_elbo", "all"),
        (PIXELS, {"loss": "half_squared_error"}, "valid_elbo valid_divergence", ""),
        (PIXELS, {"task": Reconstruct(), "net": Autoencoder()}, "valid_loss", ""),
        # data and splits
        (CLASSES, {"data": Blobs(distance=9.0)}, "valid_accuracy test_loss", ""),
        (CLASSES, {"data": Blobs(split_seed=1)}, "valid_accuracy test_accuracy", ""),
        (
            CLASSES,
            {"valid_fraction": 0.3},
            "valid_accuracy train_loss test_accuracy test_loss",
            "test_accuracy test_loss",
        ),
        (CLASSES, {"valid_fraction": 0.1}, "valid_accuracy test_accuracy", "all"),  # what Blobs has anyway
        (PLAIN, {"data": "digits"}, "valid_accuracy", "all"),
        # another standardization is another view of the same examples, unless they are what is predicted
        (PLAIN, {"data": Digits(standardize="unit")}, "valid_loss valid_accuracy", "all"),
        (CODES, {"data": Digits(standardize="none"), "loss": "squared_error"}, "valid_loss", ""),
        # features made by an encoder come from the same examples
        (PLAIN, {"data": Encoded("runs/a:0123456789abcdef", data="digits")}, "valid_accuracy valid_loss", "all"),
    ],
)
def test_what_compares_two_runs(run, changed, columns, expected):
    assert compared(run, columns, **changed) == (columns if expected == "all" else expected).split()


def test_codes_of_another_runs_data_are_found_through_that_run():
    run = resolved(dataclasses.replace(PLAIN, data=Encoded("runs/a:0123456789abcdef")))
    pixels = facets_of_run(resolved(PLAIN))
    source = {"data": "digits", "valid_fraction": None}
    assert facets_of_run(run, lambda _: source)["valid *"] == pixels["valid *"]
    assert facets_of_run(run, lambda _: None)["valid *"] != pixels["valid *"]


def test_a_task_of_the_users_own_is_compared_as_a_whole():
    described = {
        "data": "a",
        "loss": "l",
        "valid_fraction": None,
        "train_examples": None,
        "metrics": [],
        "penalties": [],
    }
    described |= {"l1": 0.0, "l2": 0.0}
    one, other = (facets({**described, "task": {"symbol": "m:Mine", "fields": {"rate": rate}}}) for rate in (1, 2))
    assert measures(one, "valid_loss") != measures(other, "valid_loss")
    assert measures(one, "valid_anything") != measures(other, "valid_anything")
    assert measures(one, "valid_anything") != measures(one, "test_anything")


def test_a_metric_may_not_take_the_name_of_the_loss():
    def loss(prediction, target):
        return brier(prediction, target)

    loss.__qualname__ = "loss"
    with pytest.raises(RequestError, match="metric loss has the name of a column that every run has"):
        check_ranges(dataclasses.replace(resolved(PLAIN), metrics=(loss,)))
