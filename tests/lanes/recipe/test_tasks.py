"""Tasks: inputs, targets, losses and metrics."""

import dataclasses
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes import Run
from lanes.data.digits import Digits
from lanes.data.loading import DATASETS, from_arrays, load_dataset
from lanes.recipe.augmentations import Cutout, GaussianNoise, MaskingNoise
from lanes.recipe.rules import RULES, ContrastiveDivergence, Problem
from lanes.recipe.tasks import TASKS, default_task
from lanes.recipe.tasks_classifying import Classify, IntegerCoded, MultiLabel, NextToken
from lanes.recipe.tasks_predicting import Task
from lanes.recipe.tasks_reconstructing import Adversarial, Elbo, Impute, Reconstruct, energy_distance, in_unit_range
from lanes.recipe.tasks_regressing import Regress
from losses import LOSSES, OUTPUT_UNITS
from nets import RBM, VAE, Linear, Outputs, Recurrent
from nets.rbm import free_energy

KEY = jax.random.key(0)


def run(loss="softmax_cross_entropy", output=None, **fields):
    settings = {"label_smoothing": 0.0, "metrics": (), "input_noise": 0.0, **fields}
    unit = None if output is None else OUTPUT_UNITS[output]
    return types.SimpleNamespace(loss=LOSSES[loss], output=unit, rule=RULES["gradient"], **{"augment": (), **settings})


def measured(task, run, prediction, x, y, **outputs):
    view = task.view(x, y, KEY)
    return task.measure(run, Outputs(prediction, **outputs), view, lambda _: Outputs(prediction, **outputs))


def test_every_task_checks_itself_and_is_hashable():
    for task in TASKS.values():
        task.check()
        assert hash(task) == hash(dataclasses.replace(task))


@pytest.mark.parametrize("data_task", ["classes", "binary", "multilabel", "real", "tokens"])
def test_default_task_accepts_its_data(data_task):
    assert default_task(data_task).targets(data_task)


WRONG = {
    "regress on classes": (Regress(), "classes", "use task classify"),
    "classify numbers": (Classify(), "real", "use task regress"),
    "tokens as features": (Reconstruct(), "tokens", "use task next_token"),
    "next class": (NextToken(), "classes", "use task classify"),
}


@pytest.mark.parametrize("case", WRONG)
def test_tasks_refuse_data_of_another_kind_in_one_line(case):
    task, data_task, remedy = WRONG[case]
    with pytest.raises(ValueError, match=remedy) as error:
        task.targets(data_task)
    assert "\n" not in str(error.value)


OUT_OF_RANGE = [
    (Classify(auxiliary_weight=-0.1), "auxiliary_weight=-0.1"),
    (Classify(corruption="masking_noise"), "such as MaskingNoise"),
    (Classify(corruption=MaskingNoise(2.0)), "rate=2.0"),
    (Impute(rate=1.0), "rate=1.0"),
    (Elbo(beta=-1.0), "beta=-1.0"),
    (Elbo(mode="none"), "both, reconstruction, divergence"),
    (Elbo(samples=-1), "samples=-1"),
    (Adversarial(generator_rate=0.0), "generator_rate=0.0"),
    (ContrastiveDivergence(k=0), "k"),
]


@pytest.mark.parametrize(("description", "message"), OUT_OF_RANGE)
def test_fields_out_of_range_are_refused(description, message):
    with pytest.raises(ValueError, match=message):
        description.check()


def test_auxiliary_heads_count_in_training_only():
    logits, labels = jnp.array([[2.0, 0.0], [0.0, 1.0]]), jnp.array([0, 0])
    view = Classify().view(logits, labels, KEY)
    task, outputs = Classify(auxiliary_weight=0.3), Outputs(logits, auxiliary=(logits, 2 * logits))
    main, second = (optax.softmax_cross_entropy_with_integer_labels(z, labels) for z in (logits, 2 * logits))
    np.testing.assert_allclose(task.losses(run(), outputs, view, train=True), 1.3 * main + 0.3 * second, rtol=1e-6)
    np.testing.assert_allclose(task.losses(run(), outputs, view, train=False), main, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "output", "prediction"),
    [
        ("binary_cross_entropy", None, [-1.0, 0.2]),  # a logit: 1 above 0
        ("squared_error", None, [0.3, 0.7]),  # a linear output for 0 and 1: 1 above a half
        ("squared_error", "sigmoid", [-1.0, 0.2]),
    ],
)
def test_the_threshold_of_a_single_output_follows_the_loss(loss, output, prediction):
    x = jnp.zeros((2, 3))
    values = measured(Classify(), run(loss, output), jnp.array(prediction)[:, None], x, jnp.array([[0.0], [1.0]]))
    np.testing.assert_array_equal(values["accuracy"], [1, 1])


def test_multilabel_metrics():
    z, y = jnp.array([[1.0, -1.0], [1.0, 1.0]]), jnp.array([[1.0, 0.0], [1.0, 0.0]])
    values = measured(MultiLabel(), run("sigmoid_cross_entropy"), z, z, y)
    np.testing.assert_allclose(values["label_accuracy"], [1, 0.5])
    np.testing.assert_allclose(values["exact_match"], [1, 0])
    np.testing.assert_allclose(values["loss"], optax.sigmoid_binary_cross_entropy(z, y).sum(axis=1), rtol=1e-6)


def test_integer_codes_are_compared_as_numbers():
    values = measured(
        IntegerCoded(), run("squared_error"), jnp.array([[1.6], [0.2]]), jnp.zeros((2, 1)), jnp.array([2, 1])
    )
    np.testing.assert_allclose(values["loss"], [0.16, 0.64], rtol=1e-5)
    np.testing.assert_array_equal(values["accuracy"], [1, 0])
    assert IntegerCoded().outputs(10, (4,)) == 1


def test_next_token_is_the_mean_over_steps():
    logits = jax.random.normal(KEY, (2, 5, 7))
    y = jnp.arange(10).reshape(2, 5) % 7
    values = measured(NextToken(), run(), logits, y, y)
    per_step = optax.softmax_cross_entropy_with_integer_labels(logits, y)
    np.testing.assert_allclose(values["loss"], per_step.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(values["bits"], per_step.mean(axis=1) / math.log(2), rtol=1e-6)
    np.testing.assert_allclose(values["accuracy"], (logits.argmax(-1) == y).mean(axis=1), rtol=1e-6)
    with pytest.raises(ValueError, match="head='each'"):
        measured(NextToken(), run(), logits[:, 0], y, y)


def test_a_net_that_reads_backwards_cannot_predict_the_next_token():
    tokens = np.arange(240, dtype=np.int32).reshape(40, 6)
    shifted = from_arrays(tokens[:, :-1], tokens[:, 1:], task="tokens", name="text")
    both = Run(net=Recurrent(head="each", bidirectional=True))
    with pytest.raises(ValueError, match="inputs one step later"):
        NextToken().check_data(both, shifted)
    NextToken().check_data(Run(net=Recurrent(head="each")), shifted)
    NextToken().check_data(both, load_dataset("copy"))  # its targets are not its inputs


def test_reconstruction_is_compared_with_the_input_in_its_shape():
    x = jax.random.uniform(KEY, (3, 2, 2, 1))
    flat = jnp.zeros((3, 4))
    values = measured(Reconstruct(), run("squared_error", metrics=("mean_squared_error",)), flat, x, jnp.zeros(3))
    np.testing.assert_allclose(values["loss"], (np.asarray(x) ** 2).sum((1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(values["mean_squared_error"], values["loss"] / 4, rtol=1e-6)
    assert Reconstruct().outputs(10, (2, 2, 1)) == 4
    with pytest.raises(ValueError, match="as many entries"):
        measured(Reconstruct(), run("squared_error"), flat[:, :3], x, jnp.zeros(3))


def test_denoising_corrupts_the_input_and_not_the_target():
    x = jnp.ones((50, 40))
    view = Reconstruct(corruption=MaskingNoise(0.3)).view(x, jnp.zeros(50), KEY)
    np.testing.assert_array_equal(view.target, x)
    assert 0.25 < float((view.inputs == 0).mean()) < 0.35
    assert TASKS["denoise"].view(x, jnp.zeros(50), KEY).inputs.std() == pytest.approx(0.3, rel=0.1)


def test_missing_inputs_keep_their_labels():
    view = TASKS["classify_missing"].view(jnp.ones((50, 40)), jnp.arange(50), KEY)
    np.testing.assert_array_equal(view.target, jnp.arange(50))
    assert 0.25 < float((view.inputs == 0).mean()) < 0.35


@pytest.mark.parametrize("loss", ["squared_error", "sigmoid_cross_entropy"])
def test_imputation_counts_only_hidden_entries(loss):
    x = jax.random.uniform(KEY, (6, 20))
    task, prediction = Impute(rate=0.4, fill=-1.0), jnp.full((6, 20), 0.5)
    view = task.view(x, jnp.zeros(6), KEY)
    hidden = np.asarray(view.inputs == -1.0)
    np.testing.assert_array_equal(np.where(hidden, 0, view.inputs), np.where(hidden, 0, x))
    entries = (0.5 - x) ** 2 if loss == "squared_error" else optax.sigmoid_binary_cross_entropy(prediction, x)
    expected = (np.asarray(entries) * hidden).sum(1) / hidden.sum(1)
    np.testing.assert_allclose(task.losses(run(loss), Outputs(prediction), view, True), expected, rtol=1e-5)


def test_elbo_is_reconstruction_and_divergence():
    x = jax.random.uniform(KEY, (4, 3))
    mean, log_variance = jnp.ones((4, 2)), jnp.zeros((4, 2))
    code = {"latent": mean, "mean": mean, "log_variance": log_variance}
    bernoulli = run("sigmoid_cross_entropy")
    terms = measured(Elbo(beta=0.5), bernoulli, jnp.zeros((4, 3)), x, jnp.zeros(4), **code)
    np.testing.assert_allclose(terms["reconstruction"], np.full(4, 3 * math.log(2)), rtol=1e-6)
    np.testing.assert_allclose(terms["divergence"], np.ones(4), rtol=1e-6)  # ½ Σ μ²
    np.testing.assert_allclose(terms["loss"], terms["reconstruction"] + 0.5, rtol=1e-6)
    np.testing.assert_allclose(terms["elbo"], -terms["reconstruction"] - 1, rtol=1e-6)
    for mode in ("reconstruction", "divergence"):
        alone = measured(Elbo(mode=mode), bernoulli, jnp.zeros((4, 3)), x, jnp.zeros(4), **code)
        np.testing.assert_allclose(alone["loss"], terms[mode], rtol=1e-6)
    with pytest.raises(ValueError, match="such as vae"):
        measured(Elbo(), bernoulli, jnp.zeros((4, 3)), x, jnp.zeros(4))


def test_importance_bound_goes_from_the_elbo_with_one_sample_to_the_likelihood_with_many():
    """A linear Gaussian model in one dimension: p(x) = N(0, w² + 1); q(z|x) is deliberately not the posterior."""
    w, mean, log_variance = 1.5, 0.2, -0.3
    x = jnp.full((2000, 1), 0.7)
    gaussian = run("half_squared_error")

    def again(key):
        z = mean + math.exp(log_variance / 2) * jax.random.normal(key, x.shape)
        return Outputs(w * z, latent=z, mean=jnp.full_like(x, mean), log_variance=jnp.full_like(x, log_variance))

    def bound(samples):
        task = Elbo(samples=samples)
        values = task.measure(gaussian, again(jax.random.key(9)), task.view(x, x, KEY), again)
        return {name: float(value.mean()) for name, value in values.items()}

    # half_squared_error omits the log √2π of -log p(x|z).
    likelihood = -0.5 * (0.7**2 / (w**2 + 1) + math.log(w**2 + 1))
    single, many = bound(1), bound(500)
    assert single["importance_bound"] == pytest.approx(single["elbo"], abs=0.1)
    assert single["elbo"] < many["importance_bound"]
    assert many["importance_bound"] == pytest.approx(likelihood, abs=0.02)


def test_a_vae_without_a_key_decodes_its_mean_and_fits_the_task():
    net, x = VAE(widths=(4,), code=2), jnp.ones((2, 5))
    outputs = net.apply(net.init(KEY, x, train=False), x, train=False)
    values = measured(Elbo(), run("sigmoid_cross_entropy"), outputs.prediction, x, x, latent=outputs.latent,
                      mean=outputs.mean, log_variance=outputs.log_variance)  # fmt: skip
    assert jnp.isfinite(values["loss"]).all()


def test_players_descend_their_own_losses():
    verdicts = (jnp.array([[2.0]]), jnp.array([[-1.0]]))
    outputs, task = Outputs(jnp.zeros((1, 2)), auxiliary=verdicts), Adversarial(generator_rate=0.5)
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    assert float(task.player_losses("generator", outputs)[0]) == pytest.approx(-math.log(sigmoid(-1)))
    expected = -math.log(sigmoid(2)) - math.log(1 - sigmoid(-1))
    assert float(task.player_losses("discriminator", outputs)[0]) == pytest.approx(expected)
    paced = task.paced({"generator": {"w": jnp.ones(2)}, "discriminator": {"w": jnp.ones(2)}})
    assert float(paced["generator"]["w"][0]) == 0.5
    assert float(paced["discriminator"]["w"][0]) == 1.0


def test_energy_distance_distinguishes_distributions():
    first, second, far = (jax.random.normal(jax.random.key(i), (200, 3)) + shift for i, shift in enumerate((0, 0, 2)))
    assert abs(float(energy_distance(first, second).mean())) < 0.05
    assert float(energy_distance(first, far).mean()) > 1
    # In one dimension, by hand: points {0} and {3}.
    np.testing.assert_allclose(energy_distance(jnp.zeros((2, 1)), jnp.full((2, 1), 3.0)), [6, 6])


def test_unit_range_is_that_of_the_standardized_inputs():
    assert in_unit_range(load_dataset(Digits(standardize="unit")))
    assert not in_unit_range(load_dataset("digits"))
    x = np.asarray(load_dataset(Digits(standardize="unit"), train_examples=100).train.x)
    assert x.max() * load_dataset(Digits(standardize="unit"), train_examples=100).scale == pytest.approx(1)


CONFLICTS = {
    "logits": (Reconstruct(), {"loss": "sigmoid_cross_entropy"}, "digits", "standardize='unit'"),
    "noise": (Reconstruct(), {"loss": "squared_error", "input_noise": 0.1}, "digits", "GaussianNoise"),
    "tokens": (Task(corruption=GaussianNoise()), {}, "copy", "corruption of tokens"),
    "rank": (Task(corruption=Cutout()), {}, "moons", "Cutout is for series"),
    "no players": (Adversarial(), {"net": Linear()}, "digits", "such as gan"),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_tasks_that_do_not_fit_the_data_are_refused(case):
    task, fields, data, message = CONFLICTS[case]
    with pytest.raises(ValueError, match=message) as error:
        task.check_data(run(**fields), load_dataset(DATASETS[data]))
    assert "\n" not in str(error.value)


def test_contrastive_divergence_is_the_slope_of_the_free_energies():
    net, v = RBM(code=4), (jax.random.uniform(KEY, (8, 2, 3)) > 0.5).astype(jnp.float32)
    params = net.init(KEY, v, train=False)["params"]
    problem = Problem(loss=lambda params: (jnp.float32(1), params), targets=v)
    (loss, _), direction = RULES["contrastive_divergence"](problem, params, KEY)
    assert float(loss) == 1
    positive = jax.grad(lambda p: free_energy(p, v.reshape(8, 6)).mean())(params)
    # The rest of the direction is minus the mean of sampled bits, which lies in [0, 1].
    negative = positive["visible_bias"] - direction["visible_bias"]
    assert bool(((-negative >= 0) & (-negative <= 1)).all())
    with pytest.raises(ValueError, match="for net rbm"):
        ContrastiveDivergence().check_run(run(net=Linear()))
