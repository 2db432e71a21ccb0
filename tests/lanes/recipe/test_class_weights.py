"""Class weights against scikit-learn, and what they may be."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from lanes import Classify, Labels, RequestError, Run
from lanes.data.loading import from_arrays
from lanes.describe.checks import check_with_data, resolved
from lanes.describe.identity import describe, from_description, run_id
from lanes.describe.reading import read_as
from nets import Linear, Outputs

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(90, 2))
THREE, TWO = RANDOM.choice(3, 90, p=[0.6, 0.3, 0.1]), RANDOM.choice(2, 90, p=[0.8, 0.2])


def checked(y, **fields):
    run = resolved(Run(net=Linear(), batch_size=8, epochs=1, **fields))
    return check_with_data(run, read_as(run, from_arrays(X, y)))


def losses_of(run, raw, y, train=False):
    view = run.task.view(jnp.zeros((len(y), 2)), jnp.asarray(y), jax.random.key(0))
    return np.asarray(run.task.losses(run, Outputs(jnp.asarray(raw, jnp.float32)), view, train), float)


@pytest.mark.parametrize("weights", ["balanced", (1.0, 2.0, 0.0), (0.5, 0.1, 30.0)], ids=str)
def test_the_training_loss_is_scikit_learns_weighted_log_loss(weights):
    run, y = checked(THREE, task=Classify(class_weights=weights)), from_arrays(X, THREE).train.y
    raw = RANDOM.normal(size=(len(y), 3))
    p = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    each = compute_class_weight("balanced", classes=np.arange(3), y=y) if weights == "balanced" else np.array(weights)
    expected = log_loss(y, p, sample_weight=each[y], labels=[0, 1, 2])
    np.testing.assert_allclose(losses_of(run, raw, y).mean(), expected, rtol=1e-5)


def test_of_one_output_too():
    run = checked(TWO, task=Classify(class_weights="balanced"), loss="binary_cross_entropy")
    y = from_arrays(X, TWO).train.y
    raw = RANDOM.normal(size=(len(y), 1))
    each = compute_class_weight("balanced", classes=np.arange(2), y=y)
    expected = log_loss(y, 1 / (1 + np.exp(-raw[:, 0])), sample_weight=each[y])
    np.testing.assert_allclose(losses_of(run, raw, y[:, None].astype(np.float32)).mean(), expected, rtol=1e-5)


def test_mixed_and_smoothed_classes_have_the_mean_of_their_weights():
    run = checked(THREE, task=Classify(class_weights=(1.0, 2.0, 4.0)))
    plain, weights = checked(THREE), np.array(run.task.weights)
    raw, y = (
        RANDOM.normal(size=(3, 3)),
        np.eye(3, dtype=np.float32) * 0.75 + 0.25 * np.eye(3, dtype=np.float32)[[1, 2, 0]],
    )
    np.testing.assert_allclose(losses_of(run, raw, y), losses_of(plain, raw, y) * (y @ weights), rtol=1e-5)
    smooth = [dataclasses.replace(one, label_smoothing=0.1) for one in (run, plain)]
    labels = np.array([0, 1, 2], np.int32)
    weighted, unweighted = (losses_of(one, raw, labels, train=True) for one in smooth)
    np.testing.assert_allclose(weighted, unweighted * weights, rtol=1e-5)


@pytest.mark.parametrize(
    ("y", "weights", "words"),
    [
        (THREE, (1.0, -1.0, 1.0), "0 or more"),
        (THREE, (1.0, float("nan"), 1.0), "finite"),
        (THREE, (1.0, 2.0), "3 classes"),
        (THREE, (2, 2, 2), "changes nothing"),
        (THREE, (), "changes nothing"),
        (THREE, "even", "balanced"),
        (np.minimum(THREE, 1), (0.0, 0.0, 1.0), "2 classes"),
        (Labels(np.minimum(THREE, 1), classes=3), (0.0, 0.0, 1.0), "training example"),
        (Labels(np.minimum(THREE, 1), classes=3), "balanced", "class 2 has no training example"),
    ],
    ids=["negative", "nan", "two", "equal", "none", "word", "fewer", "absent", "missing"],
)
def test_weights_that_cannot_be_are_refused(y, weights, words):
    with pytest.raises(RequestError, match=words) as caught:
        checked(y, task=Classify(class_weights=weights))
    assert "\n" not in str(caught.value)


def test_rules_without_a_loss_and_steps_are_refused():
    with pytest.raises(RequestError, match="rule gradient"):
        checked(TWO, task=Classify(class_weights="balanced"), loss="binary_cross_entropy", rule="delta_rule")


def test_weights_are_part_of_a_run_as_they_are_written():
    run = checked(THREE, task=Classify(class_weights=(1, 2, 4)))
    assert run_id(run) == run_id(checked(THREE, task=Classify(class_weights=(1.0, 2.0, 4.0))))
    assert run_id(run) != run_id(checked(THREE))
    assert from_description(describe(run)).task == Classify(class_weights=(1.0, 2.0, 4.0))
