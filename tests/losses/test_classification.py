"""Classification losses against their formulas, targets of every form, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

import losses
from losses.classification import (
    binary_cross_entropy,
    negative_log_likelihood,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    zero_one,
)

LOGITS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32) * 3
LABELS = np.array([0, 3, 1, 1, 2], dtype=np.int32)
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
MIXTURE = softmax(np.random.default_rng(1).normal(size=(5, 4)), axis=-1).astype(np.float32)
BINARY = np.array([0, 1, 1, 0, 1], dtype=np.int32)
EXACT = LOGITS.astype(np.float64)


def gradient(loss, predictions, targets):
    return jax.grad(lambda z: jnp.sum(loss(z, targets)))(jnp.asarray(predictions))


def test_integer_one_hot_and_distribution_agree_with_the_formula():
    expected = -log_softmax(EXACT, axis=-1)[np.arange(5), LABELS]
    for targets in (LABELS, ONE_HOT, ONE_HOT.astype(np.int32)):
        np.testing.assert_allclose(softmax_cross_entropy(LOGITS, jnp.asarray(targets)), expected, rtol=1e-5)
    mixed = -(MIXTURE * log_softmax(EXACT, axis=-1)).sum(-1)
    np.testing.assert_allclose(softmax_cross_entropy(LOGITS, MIXTURE), mixed, rtol=1e-5)
    np.testing.assert_allclose(negative_log_likelihood(LOGITS, LABELS), expected, rtol=1e-5)


@pytest.mark.parametrize("targets", [LABELS, MIXTURE], ids=["labels", "distribution"])
def test_gradient_of_cross_entropy_is_softmax_minus_target(targets):
    rows = ONE_HOT if targets.ndim == 1 else targets
    for loss in (softmax_cross_entropy, losses.LOSSES["kl_divergence"]):
        np.testing.assert_allclose(gradient(loss, LOGITS, jnp.asarray(targets)), softmax(EXACT, -1) - rows, atol=1e-6)


def test_gradient_of_binary_cross_entropy_is_sigmoid_minus_target():
    z = LOGITS[:, 0]
    np.testing.assert_allclose(
        gradient(binary_cross_entropy, z, jnp.asarray(BINARY)), expit(EXACT[:, 0]) - BINARY, atol=1e-6
    )
    np.testing.assert_allclose(
        gradient(sigmoid_cross_entropy, LOGITS, jnp.asarray(ONE_HOT)), expit(EXACT) - ONE_HOT, atol=1e-6
    )


def test_a_single_output_equals_two_classes():
    z = jnp.asarray(LOGITS[:, 0])
    two = jnp.stack([jnp.zeros(5), z], axis=-1)
    expected = softmax_cross_entropy(two, BINARY)
    for predictions in (z, z[:, None]):
        np.testing.assert_allclose(binary_cross_entropy(predictions, BINARY), expected, rtol=1e-5, atol=1e-6)
    for name in ("focal", "negative_log_likelihood"):
        loss = losses.LOSSES[name]
        np.testing.assert_allclose(loss(z[:, None], BINARY), loss(two, BINARY), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(zero_one(z, BINARY), zero_one(two, BINARY))


def test_sigmoid_cross_entropy_sums_over_labels():
    expected = -(ONE_HOT * np.log(expit(EXACT)) + (1 - ONE_HOT) * np.log(expit(-EXACT))).sum(-1)
    np.testing.assert_allclose(sigmoid_cross_entropy(LOGITS, ONE_HOT), expected, rtol=1e-5)


def test_hinge_sums_over_wrong_classes_only():
    expected = [sum(max(0.0, row[j] - row[y] + 1) for j in range(4) if j != y) for row, y in zip(EXACT, LABELS)]
    for targets in (LABELS, ONE_HOT):
        np.testing.assert_allclose(losses.Hinge()(LOGITS, jnp.asarray(targets)), expected, rtol=1e-5)
    # Scores (3.2, 5.1, -1.7) with the first class correct: max(0, 2.9) + max(0, -3.9).
    np.testing.assert_allclose(losses.Hinge()(jnp.array([[3.2, 5.1, -1.7]]), jnp.array([0])), [2.9], rtol=1e-6)
    at_the_kink = gradient(losses.Hinge(), np.array([[1.0, 0.0]], np.float32), jnp.array([0]))
    np.testing.assert_array_equal(at_the_kink, [[0, 0]])


def test_focal_matches_its_formula_and_is_cross_entropy_at_zero():
    p = softmax(EXACT, -1)[np.arange(5), LABELS]
    np.testing.assert_allclose(losses.Focal(2.0)(LOGITS, LABELS), -((1 - p) ** 2) * np.log(p), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(losses.Focal(0.0)(LOGITS, LABELS), softmax_cross_entropy(LOGITS, LABELS), rtol=1e-6)


def test_zero_one_counts_errors_and_has_no_gradient():
    np.testing.assert_array_equal(zero_one(LOGITS, LABELS), (LOGITS.argmax(-1) != LABELS))
    np.testing.assert_array_equal(gradient(zero_one, LOGITS, jnp.asarray(LABELS)), np.zeros((5, 4)))


def test_label_smoothing():
    smoothed = losses.smooth(jnp.asarray(ONE_HOT), 0.1)
    np.testing.assert_allclose(smoothed, 0.9 * ONE_HOT + 0.025, rtol=1e-6)
    np.testing.assert_allclose(
        losses.smooth_binary(jnp.asarray(BINARY), 0.1), [0.05, 0.95, 0.95, 0.05, 0.95], rtol=1e-6
    )


def test_sequences_give_a_loss_per_token():
    logits, labels = LOGITS[:4].reshape(2, 2, 4), LABELS[:4].reshape(2, 2)
    expected = softmax_cross_entropy(LOGITS[:4], LABELS[:4]).reshape(2, 2)
    np.testing.assert_allclose(softmax_cross_entropy(logits, jnp.asarray(labels)), expected, rtol=1e-6)
    for name in ("hinge", "focal", "zero_one"):
        assert losses.LOSSES[name](jnp.asarray(logits), jnp.asarray(labels)).shape == (2, 2)


@pytest.mark.parametrize("name", [n for n, kind in losses.LOSS_KINDS.items() if "classes" in kind.targets])
def test_a_wrong_batch_raises_with_both_shapes(name):
    with pytest.raises(ValueError, match=r"\(5, 4\).*\(3,\)"):
        losses.LOSSES[name](jnp.asarray(LOGITS), jnp.asarray(LABELS[:3]))


def test_the_wrong_number_of_outputs_is_refused():
    with pytest.raises(ValueError, match="one logit per example"):
        binary_cross_entropy(LOGITS, jnp.asarray(BINARY))
    with pytest.raises(ValueError, match="always 1"):
        softmax_cross_entropy(LOGITS[:, :1], jnp.asarray(BINARY))
    with pytest.raises(ValueError, match="one target in"):
        sigmoid_cross_entropy(LOGITS, jnp.asarray(LABELS))
    with pytest.raises(ValueError, match="must be floating point"):
        losses.Hinge()(jnp.ones((5, 4), jnp.int32), LABELS)


def test_traced_parameters_compile_once():
    traces = []

    @jax.jit
    def value(margin, gamma):
        traces.append(1)
        return jnp.sum(losses.Hinge(margin)(LOGITS, LABELS) + losses.Focal(gamma)(LOGITS, LABELS))

    assert value(jnp.float32(1), jnp.float32(2)) != value(jnp.float32(2), jnp.float32(1))
    assert len(traces) == 1
