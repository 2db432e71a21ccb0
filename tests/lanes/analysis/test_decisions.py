"""Confusion, reliability and Brier score against scikit-learn and NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from lanes.analysis.confusion import confusion_matrix, of_classes
from lanes.analysis.reliability import brier, calibration_error, largest_gap, reliability
from losses import expected_calibration_error


def chances(seed, rows, classes, sharp=2.0):
    z = np.random.default_rng(seed).normal(size=(rows, classes)) * sharp
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("rows", "classes"), [(200, 4), (1, 3), (50, 2)])
def test_classes_against_scikit_learn(rows, classes):
    random = np.random.default_rng(rows)
    y, guessed = random.integers(0, classes, rows), random.integers(0, classes - 1, rows)  # the last is never predicted
    matrix = confusion_matrix(y, guessed, classes)
    counted = np.zeros((classes, classes), int)
    np.add.at(counted, (y, guessed), 1)
    np.testing.assert_array_equal(matrix, counted)
    found = of_classes(matrix)
    expected = sklearn.metrics.precision_recall_fscore_support(
        y, guessed, labels=np.arange(classes), zero_division=np.nan
    )
    for mine, theirs in zip(found[:3], expected[:3], strict=True):
        both = ~np.isnan(mine)
        np.testing.assert_allclose(mine[both], theirs[both])
    np.testing.assert_array_equal(found.examples, expected[3])
    assert np.isnan(found.precision[-1])


@pytest.mark.parametrize(("rows", "classes"), [(500, 5), (300, 2), (1, 3)])
def test_the_diagram_agrees_with_the_metric_over_a_set(rows, classes):
    p = chances(rows, rows, classes)
    y = np.random.default_rng(1).integers(0, classes, rows)
    diagram = reliability(p, y)
    of_set = expected_calibration_error(jnp.asarray(p), jnp.asarray(y), from_logits=False)
    assert calibration_error(diagram) == pytest.approx(float(of_set), abs=1e-6)
    assert diagram.examples.sum() == rows
    filled = diagram.examples > 0
    assert (diagram.confidence[filled] > diagram.low[filled]).all()
    assert (diagram.confidence[filled] <= diagram.high[filled] + 1e-6).all()
    assert largest_gap(diagram) >= calibration_error(diagram)


def test_the_diagram_against_numpy():
    p = chances(3, 400, 3)
    y = np.random.default_rng(4).integers(0, 3, 400)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    diagram = reliability(p, y, bins=10)
    for at, (low, high) in enumerate(zip(np.arange(10) / 10, np.arange(1, 11) / 10)):
        inside = (confidence > low) & (confidence <= high)
        assert diagram.examples[at] == inside.sum()
        if inside.any():
            assert diagram.accuracy[at] == pytest.approx(right[inside].mean())
            assert diagram.confidence[at] == pytest.approx(confidence[inside].mean(), rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_brier_scores(classes):
    p = chances(5, 100, classes)
    y = np.random.default_rng(6).integers(0, classes, 100)
    expected = np.mean(np.sum((p.astype(float) - np.eye(classes)[y]) ** 2, axis=1))
    if classes == 2:
        expected = sklearn.metrics.brier_score_loss(y, p[:, 1].astype(float))
    assert brier(p, y) == pytest.approx(expected, rel=1e-6)
