"""Whether higher is better is stated by metrics and tasks, built in or user-defined, never guessed from a name."""

import dataclasses

import pytest

import lanes
import losses
from lanes import Adversarial, Elbo, NextToken, RequestError, Run
from lanes.describe.checks import resolved
from lanes.describe.directions import BUILT_IN, direction, merged, own_directions, ranking_direction
from lanes.describe.encoding import decode, encode
from lanes.describe.runs import metric_names, row
from lanes.recipe.tasks import TASKS
from losses import METRICS, SET_METRICS, Metric

HIGHER = {
    *("accuracy", "top_k", "label_accuracy", "exact_match", "elbo", "importance_bound"),
    *("auroc", "balanced_accuracy", "macro_f1", "r_squared"),
}
LOWER = {
    *("loss", "penalty", "batch_loss", "seconds", "bits", "perplexity", "nll"),
    *("squared_error", "mean_squared_error", "absolute_error", "mean_absolute_error", "root_mean_squared_error"),
    "expected_calibration_error",
    *("reconstruction", "divergence", "discriminator_loss", "generator_loss"),  # terms that are minimized
}
NEITHER = {"predictive_entropy", "coverage_95"}


def brier(prediction, target):
    return ((prediction - target) ** 2).sum(-1)


def with_metrics(*metrics):
    return Run(metrics=metrics)


def test_each_built_in_metric_states_its_direction():
    assert {name for name, higher in BUILT_IN.items() if higher is True} == HIGHER
    assert {name for name, higher in BUILT_IN.items() if higher is False} == LOWER
    assert {name for name, higher in BUILT_IN.items() if higher is None} == NEITHER
    assert {**METRICS, **SET_METRICS}.items() <= {m.name: m for m in (*METRICS.values(), *SET_METRICS.values())}.items()


@pytest.mark.parametrize("task", [*TASKS.values(), Elbo(samples=3), NextToken(), Adversarial()], ids=repr)
def test_each_metric_of_a_task_has_a_direction(task):
    for name in task.metrics:
        assert direction(f"valid_{name}", {}) is not None or name in NEITHER, name


def test_a_metric_is_called_and_named_like_its_function():
    metric = lanes.Metric(brier, higher_is_better=False)
    assert lanes.Metric is losses.Metric
    assert metric.name == "brier"
    assert METRICS["top_k"].name == "top_k"
    run = resolved(with_metrics("top_k", metric))
    assert metric_names(dataclasses.replace(run, task=TASKS["classify"])) == ("loss", "accuracy", "top_k", "brier")
    assert row(run)["metrics"] == "top_k,brier"


def test_a_metric_is_encoded_by_its_public_name_function_and_direction():
    metric = Metric(losses.exact_match, higher_is_better=True)
    encoded = encode(metric)
    assert encoded == {
        "symbol": "losses:Metric",
        "fields": {"function": {"symbol": "losses:exact_match"}, "higher_is_better": True, "proportion": False},
    }
    assert decode(encoded) == metric


def test_a_bare_function_has_no_direction_until_it_states_one():
    assert own_directions([with_metrics(brier)]) == {"brier": None}
    assert own_directions([with_metrics(brier), with_metrics(Metric(brier, False))]) == {"brier": False}
    with pytest.raises(RequestError, match=r"metrics=\(Metric\(brier, higher_is_better=False\),\)"):
        ranking_direction("valid_brier", {"brier": None})
    with pytest.raises(RequestError, match="predictive_entropy cannot rank runs, neither direction is better"):
        ranking_direction("valid_predictive_entropy", {})
    assert ranking_direction("test_brier", {"brier": False}) is False


def accuracy(prediction, target):
    return prediction - target


def test_two_metrics_of_one_name_must_agree():
    with pytest.raises(RequestError, match="metric brier has higher_is_better=True here and False elsewhere"):
        own_directions([with_metrics(Metric(brier, False)), with_metrics(Metric(brier, True))])
    with pytest.raises(RequestError, match="metric accuracy has higher_is_better=False here and True elsewhere"):
        own_directions([with_metrics(Metric(accuracy, False))])
    assert direction("valid_accuracy", own_directions([with_metrics(accuracy)])) is None  # not the built-in one
    assert merged({"brier": False}, {"brier": None}) == {"brier": False}


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Metric(brier, "lower"), "higher_is_better='lower'"),
        (Metric(brier, 1), "higher_is_better=1"),
        (Metric("accuracy", True), "give a named function"),
        (Metric(Metric(brier, True), True), "give a named function"),
        (Metric(lambda p, t: p - t, True), "lambda"),
    ],
)
def test_a_wrong_metric_is_refused(metric, message):
    with pytest.raises(RequestError, match=message):
        resolved(with_metrics(metric))
