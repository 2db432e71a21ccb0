"""Metrics over a set against scikit-learn, with ties, absent classes and every shape of targets."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import balanced_accuracy_score, f1_score, r2_score, roc_auc_score

from losses import metrics_of_sets as of_sets
from losses.metrics import METRICS, SET_METRICS, SET_TARGETS


def drawn(seed, n, classes, ties):
    """Logits [n, classes] in which about `ties` values occur, and classes."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes))
    logits = np.round(logits * ties) / ties if ties else logits
    return logits.astype(np.float32), rng.integers(0, classes, n)


@pytest.mark.parametrize("ties", [0, 1, 3])
@pytest.mark.parametrize(("n", "classes"), [(7, 3), (300, 3), (200, 10)])
def test_metrics_of_classes_equal_those_of_scikit_learn(n, classes, ties):
    logits, y = drawn(n + ties, n, classes, ties)
    guessed = logits.argmax(1)
    args = jnp.asarray(logits), jnp.asarray(y)
    np.testing.assert_allclose(of_sets.balanced_accuracy(*args), balanced_accuracy_score(y, guessed), rtol=1e-6)
    np.testing.assert_allclose(of_sets.macro_f1(*args), f1_score(y, guessed, average="macro"), rtol=1e-6)
    scores = np.asarray(jax.nn.log_softmax(logits)).astype(np.float64)
    areas = [
        roc_auc_score(y == k, scores[:, k]) for k in range(classes)
    ]  # the mean over classes of one against the rest
    np.testing.assert_allclose(of_sets.auroc(*args), np.mean(areas), rtol=1e-6)
    chances = softmax(logits.astype(np.float64), axis=1)
    if not ties:
        expected = roc_auc_score(y, chances, multi_class="ovr", average="macro")
        np.testing.assert_allclose(of_sets.auroc(*args), expected, rtol=1e-6)
    np.testing.assert_allclose(
        of_sets.auroc(jnp.asarray(scores.astype(np.float32)), args[1], from_logits=False), np.mean(areas), rtol=1e-6
    )


@pytest.mark.parametrize("shape", [(400,), (400, 1), (200, 2)], ids=str)
def test_metrics_of_one_output_equal_those_of_scikit_learn(shape):
    rng = np.random.default_rng(len(shape))
    scores = np.round(rng.normal(size=shape) * 2).astype(np.float32) / 2
    pair = shape[-1] == 2
    y = rng.integers(0, 2, shape[0] if pair else shape)
    flat = scores[:, 1] - scores[:, 0] if pair else scores.reshape(-1)
    targets = jnp.asarray(y) if pair else jnp.asarray(y, jnp.float32)
    np.testing.assert_allclose(of_sets.auroc(scores, targets), roc_auc_score(y.reshape(-1), flat), rtol=1e-6)
    guessed = flat > 0
    np.testing.assert_allclose(
        of_sets.balanced_accuracy(scores, targets), balanced_accuracy_score(y.reshape(-1), guessed), rtol=1e-6
    )
    np.testing.assert_allclose(of_sets.macro_f1(scores, targets), f1_score(y.reshape(-1), guessed, average="macro"))


def test_labels_that_do_not_exclude_each_other():
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=(80, 4)).astype(np.float32), rng.integers(0, 2, (80, 4))
    targets = jnp.asarray(y, jnp.float32)
    np.testing.assert_allclose(of_sets.auroc(scores, targets), roc_auc_score(y, scores), rtol=1e-6)
    np.testing.assert_allclose(of_sets.macro_f1(scores, targets), f1_score(y, scores > 0, average="macro"), rtol=1e-6)
    with pytest.raises(ValueError, match="exclude each other are integers"):
        of_sets.balanced_accuracy(scores, targets)


def test_steps_count_as_examples():
    logits, y = drawn(3, 60, 4, 0)
    once = of_sets.auroc(logits, jnp.asarray(y))
    assert of_sets.auroc(logits.reshape(12, 5, 4), jnp.asarray(y.reshape(12, 5))) == once


def test_the_area_is_exact_where_float32_sums_are_not():
    rng = np.random.default_rng(1)
    scores, y = np.round(rng.normal(size=200_000) * 50).astype(np.float32), rng.integers(0, 2, 200_000)
    scores += y
    np.testing.assert_allclose(of_sets.auroc(scores, jnp.asarray(y)), roc_auc_score(y, scores), rtol=3e-7)


def test_infinite_scores_are_ordered_and_nan_gives_nan():
    scores, y = np.array([np.inf, np.inf, 1, -np.inf, -np.inf], np.float32), np.array([1, 0, 1, 0, 1])
    ranked = roc_auc_score(y, [2, 2, 1, 0, 0])
    np.testing.assert_allclose(of_sets.auroc(scores, jnp.asarray(y)), ranked, rtol=1e-6)
    logits = jnp.array([[0.0, jnp.nan, 1.0], [1.0, 0.0, 0.0]])
    for name in ("auroc", "balanced_accuracy", "macro_f1", "expected_calibration_error"):
        assert np.isnan(METRICS[name](logits, jnp.array([0, 1]))), name


def test_one_class_alone_has_no_area():
    assert np.isnan(of_sets.auroc(jnp.array([1.0, 2.0]), jnp.array([1, 1])))
    assert np.isnan(of_sets.auroc(jnp.ones((3, 3)), jnp.array([0, 1, 0])))  # the third class is absent
    assert of_sets.balanced_accuracy(jnp.eye(3)[jnp.array([0, 1])], jnp.array([0, 1])) == 1  # of the classes that occur
    assert np.isnan(of_sets.auroc(jnp.array([[0.5]]), jnp.array([[1.0]])))


def by_hand(chances, y, bins=15):
    confidence, right = chances.max(1), chances.argmax(1) == y
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_the_calibration_error_is_that_of_its_definition():
    logits, y = drawn(5, 500, 4, 0)
    chances = softmax(logits.astype(np.float64) * 3, axis=1)
    value = of_sets.expected_calibration_error(jnp.asarray(logits * 3), jnp.asarray(y))
    np.testing.assert_allclose(value, by_hand(chances, y), rtol=1e-5)
    given = of_sets.expected_calibration_error(jnp.asarray(chances, jnp.float32), jnp.asarray(y), from_logits=False)
    np.testing.assert_allclose(given, value, rtol=1e-5)
    single = expit(logits[:, 0].astype(np.float64))
    of_one = of_sets.expected_calibration_error(jnp.asarray(logits[:, :1]), jnp.asarray(y[:, None] % 2, jnp.float32))
    np.testing.assert_allclose(of_one, by_hand(np.stack([1 - single, single], 1), y % 2), rtol=1e-5)
    certain = jnp.array([[1e4, 0.0], [0.0, 1e4]])
    assert of_sets.expected_calibration_error(certain, jnp.array([0, 1])) == 0
    assert np.isfinite(log_softmax(logits)).all()


def test_the_share_of_variance_equals_scikit_learns():
    rng = np.random.default_rng(2)
    y = rng.normal(size=(70, 1)).astype(np.float32) * 3 + 5
    guess = y + rng.normal(size=y.shape).astype(np.float32)
    np.testing.assert_allclose(of_sets.r_squared(guess, y), r2_score(y, guess), rtol=1e-6)
    np.testing.assert_allclose(of_sets.r_squared(guess[:, 0], y[:, 0]), r2_score(y, guess), rtol=1e-6)
    assert np.isnan(of_sets.r_squared(jnp.ones((3, 1)), jnp.full((3, 1), 2.0)))
    assert np.isnan(of_sets.r_squared(jnp.array([[1.0]]), jnp.array([[2.0]])))  # one example


@pytest.mark.parametrize("name", sorted(SET_TARGETS))
def test_shapes_that_do_not_fit_are_refused(name):
    with pytest.raises(ValueError, match=r"do not fit targets"):
        METRICS[name](jnp.zeros((4, 3)), jnp.zeros((5, 2)))


def test_every_metric_over_a_set_says_so():
    assert {name for name, metric in METRICS.items() if metric.over == "set"} == set(SET_TARGETS)
    assert set(SET_METRICS) - set(SET_TARGETS) == {"perplexity", "root_mean_squared_error"}
