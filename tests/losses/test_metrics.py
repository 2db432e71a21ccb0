import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from losses import metrics

SCORES = jnp.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.3], [0.2, 0.3, 0.25]])
LABELS = jnp.array([1, 2, 2])


def test_accuracy_of_classes_and_of_one_output():
    np.testing.assert_array_equal(metrics.accuracy(SCORES, LABELS), [1, 0, 0])
    np.testing.assert_array_equal(metrics.accuracy(SCORES, jnp.eye(3)[LABELS]), [1, 0, 0])
    np.testing.assert_array_equal(metrics.accuracy(jnp.array([-1.0, 2.0]), jnp.array([0, 0])), [1, 0])
    after_a_sigmoid = metrics.accuracy(jnp.array([[0.4], [0.7]]), jnp.array([0, 1]), threshold=0.5)
    np.testing.assert_array_equal(after_a_sigmoid, [1, 1])


def test_top_k_counts_ties_against():
    np.testing.assert_array_equal(metrics.top_k(SCORES, LABELS, k=2), [1, 1, 1])
    np.testing.assert_array_equal(metrics.top_k(SCORES, LABELS, k=1), metrics.accuracy(SCORES, LABELS))
    np.testing.assert_array_equal(metrics.top_k(jnp.zeros((1, 3)), jnp.array([0]), k=2), [0])
    with pytest.raises(ValueError, match="k=4 must lie between 1 and the 3 classes"):
        metrics.top_k(SCORES, LABELS, k=4)


def test_metrics_of_several_labels_per_example():
    logits, targets = jnp.array([[1.0, -1.0, 2.0], [1.0, 1.0, 1.0]]), jnp.array([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    np.testing.assert_allclose(metrics.label_accuracy(logits, targets), [1, 2 / 3], rtol=1e-6)
    np.testing.assert_array_equal(metrics.exact_match(logits, targets), [1, 0])


def test_auroc_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 20, 300).astype(np.float32), rng.integers(0, 2, 300)
    value = metrics.auroc(jnp.asarray(scores), jnp.asarray(labels))
    np.testing.assert_allclose(value, roc_auc_score(labels, scores), rtol=1e-5)
    assert metrics.auroc(jnp.array([1.0, 2.0]), jnp.array([0, 1])) == 1
    assert jnp.isnan(metrics.auroc(jnp.array([1.0, 2.0]), jnp.array([1, 1])))
    with pytest.raises(ValueError, match=r"\(2,\) do not fit targets \(3,\)"):
        metrics.auroc(jnp.zeros(2), jnp.zeros(3))


def test_metrics_of_a_whole_set():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(50, 2)).astype(np.float32)
    predictions = targets + rng.normal(size=(50, 2)).astype(np.float32) * 0.3
    rmse = np.sqrt(((predictions - targets) ** 2).mean())
    np.testing.assert_allclose(metrics.root_mean_squared_error(predictions, targets), rmse, rtol=1e-5)
    weighted = r2_score(targets, predictions, multioutput="variance_weighted")
    np.testing.assert_allclose(metrics.r_squared(predictions, targets), weighted, rtol=1e-5)
    assert metrics.perplexity(jnp.full(7, np.log(10.0))) == pytest.approx(10, rel=1e-5)


def test_predictive_entropy_of_a_uniform_guess():
    np.testing.assert_allclose(metrics.predictive_entropy(jnp.zeros((2, 4)), jnp.zeros(2)), np.log([4, 4]), rtol=1e-6)
