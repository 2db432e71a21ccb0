"""Standardized targets and predicted uncertainty: units, metrics, and what is refused."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from lanes import GaussianLikelihood, Regress, RequestError, Run
from lanes.data.loading import from_arrays
from lanes.describe.checks import check_with_data, resolved
from lanes.describe.encoding import encode
from lanes.describe.identity import describe, from_description, run_id
from lanes.describe.reading import read_as
from lanes.program.mixtures import Moments
from lanes.program.natural import in_natural_units
from lanes.recipe.tasks_regressing import Units
from losses import LOSSES, GaussianNLL
from nets import MLP, Linear, Outputs

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 2))
Y = np.stack([1e5 + 2e4 * X[:, 0], 1e-3 * X[:, 1], np.full(60, 7.0)], 1)
BASE = Run(net=MLP(widths=(4,)), loss="mean_squared_error", batch_size=8, epochs=1)


def data(y=Y, **settings):
    return from_arrays(X, y, **settings)


def checked(of=None, **fields):
    run = resolved(dataclasses.replace(BASE, **fields))
    of = data() if of is None else of
    return check_with_data(run, read_as(run, of))


def refusal(of=None, **fields):
    with pytest.raises(RequestError) as caught:
        checked(of, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def metrics_of(run, raw, y):
    view = run.task.view(jnp.zeros((len(y), 2)), jnp.asarray(y, jnp.float32), jax.random.key(0))
    return run.task.measure(run, Outputs(jnp.asarray(raw, jnp.float32)), view, lambda _: None)


def test_units_are_those_of_the_training_split_and_a_constant_is_centred():
    run, train = checked(task=Regress(standardize=True)), data().train.y
    mean, deviation = run.task.units.arrays
    np.testing.assert_allclose(mean[0], train.mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(deviation[0], [*train[:, :2].std(0, dtype=np.float64), 1.0], rtol=1e-5)
    view = run.task.view(jnp.zeros((len(train), 2)), jnp.asarray(train), jax.random.key(0))
    np.testing.assert_allclose(np.asarray(view.target).mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.asarray(view.target).std(0), [1, 1, 0], atol=1e-5)


def test_the_loss_is_standardized_and_metrics_are_not():
    run = checked(task=Regress(standardize=True), metrics=("mean_squared_error", "mean_absolute_error"))
    y, raw = data().test.y, RANDOM.normal(size=(6, 3))
    mean, deviation = (part[0].astype(float) for part in run.task.units.arrays)
    predicted, values = raw * deviation + mean, metrics_of(run, raw, y)
    np.testing.assert_allclose(values["loss"], np.square((predicted - y) / deviation).mean(1), rtol=1e-5)
    np.testing.assert_allclose(values["mean_squared_error"], np.square(predicted - y).mean(1), rtol=1e-4)
    np.testing.assert_allclose(values["mean_absolute_error"], np.abs(predicted - y).mean(1), rtol=1e-4)
    np.testing.assert_allclose(run.task.natural(run, jnp.asarray(raw, jnp.float32)), predicted, rtol=1e-5)


@pytest.mark.parametrize("standardize", [False, True])
def test_gaussian_metrics_are_scipys_in_original_units(standardize):
    run = checked(task=GaussianLikelihood(standardize=standardize), loss="softmax_cross_entropy")
    y, raw = data().test.y, RANDOM.normal(size=(6, 6))
    answer = np.asarray(run.task.natural(run, jnp.asarray(raw, jnp.float32)), float)
    mean, deviation = answer[:, :3], answer[:, 3:]
    values = metrics_of(run, raw, y)
    scale = sum(map(math.log, run.task.units.deviation)) if standardize else 0.0
    likelihood = -norm.logpdf(y, mean, deviation).sum(1)
    np.testing.assert_allclose(values["nll"], likelihood, rtol=1e-4)
    np.testing.assert_allclose(values["loss"], likelihood - scale, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(values["mean_squared_error"], np.square(mean - y).mean(1), rtol=1e-4)
    inside = np.abs(y - mean) <= 1.959964 * deviation
    np.testing.assert_allclose(values["coverage_95"], inside.mean(1), rtol=1e-6)
    assert run.task.outputs(3, (2,)) == 6
    assert run.loss is LOSSES["gaussian_nll"]


def test_the_loss_chooses_the_task_and_the_task_the_loss():
    assert checked(loss="gaussian_nll").task == GaussianLikelihood()
    soft = checked(loss=GaussianNLL("softplus"), task=GaussianLikelihood(standardize=True))
    assert soft.loss == GaussianNLL("softplus")
    assert checked(data(RANDOM.integers(0, 50, 60)), loss="gaussian_nll").task == GaussianLikelihood()


def test_the_restored_net_has_the_same_variables_and_natural_predictions():
    run = checked(task=GaussianLikelihood(standardize=True), loss="gaussian_nll")
    net = Linear(outputs=6)
    variables = net.init(jax.random.key(0), jnp.ones((1, 2)), train=False)
    raw = net.apply(variables, jnp.ones((4, 2)), train=False)
    natural = in_natural_units(net, run).apply(variables, jnp.ones((4, 2)), train=False)
    np.testing.assert_allclose(natural, run.task.natural(run, raw), rtol=1e-6)
    assert in_natural_units(net, checked()) is net


def test_a_mixture_of_gaussians_has_the_moments_of_its_members():
    means, variances = np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])
    mixture = Moments("identity", GaussianNLL())
    members = [mixture.parts(jnp.asarray([[m[0], np.log(v[0])]], jnp.float32)) for m, v in zip(means, variances)]
    total = tuple(mixture.add(a, b) for a, b in zip(*members))
    mean, raw = np.asarray(mixture.prediction(mixture.mean(total, 2)))[0]
    np.testing.assert_allclose([mean, np.exp(raw)], [1.0, 3.0], rtol=1e-6)  # E[σ²] + Var[μ] = 2 + 1


def test_units_are_no_part_of_a_run_and_its_default_is_not_described():
    plain, run = checked(), checked(task=Regress(standardize=True))
    assert set(encode(plain.task)["fields"]) == {"auxiliary_weight", "corruption"}
    assert "units" not in encode(run.task)["fields"]
    assert run_id(run) == run_id(dataclasses.replace(run, task=Regress(standardize=True))) != run_id(plain)
    assert from_description(describe(run)).task == Regress(standardize=True)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "regress", "loss": "gaussian_nll"}, "gaussian_likelihood"),
        ({"task": GaussianLikelihood(), "loss": "huber"}, "not huber"),
        ({"task": Regress(standardize=True), "output": "softplus"}, "leave one of them out"),
        ({"task": GaussianLikelihood(), "loss": "gaussian_nll", "output": "tanh"}, "identity"),
        ({"task": GaussianLikelihood(), "loss": "gaussian_nll", "label_smoothing": 0.1}, "label_smoothing"),
        ({"task": GaussianLikelihood(), "loss": "gaussian_nll", "rule": "delta_rule", "net": Linear()}, "two outputs"),
        ({"task": "reconstruct", "loss": "gaussian_nll"}, "gaussian_likelihood"),
        ({"task": Regress(units=Units((3,), (0.0,) * 3, (1.0,) * 3))}, "sets units"),
    ],
    ids=["regress", "huber", "softplus", "tanh", "smoothing", "delta", "reconstruct", "units"],
)
def test_what_contradicts_is_refused(fields, words):
    assert words in refusal(**fields)


def test_labels_are_no_numbers_with_uncertainty():
    labels = from_arrays(X, RANDOM.integers(0, 3, 60), task="classes")
    assert "kind real" in refusal(labels, task=GaussianLikelihood(), loss="gaussian_nll")
    assert "standardize=True" in refusal(
        from_arrays(X, RANDOM.integers(0, 2, 60).astype(float), task="binary"),
        task=Regress(standardize=True),
        loss="binary_cross_entropy",
    )
    with pytest.raises(ValueError, match="nan"):
        data(np.where(Y > 1e5, np.nan, Y))


def test_integers_beyond_float32_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="subtract an offset"):
        data(10**17 + RANDOM.integers(0, 9, 60), task="real")
