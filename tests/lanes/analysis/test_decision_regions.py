"""Decision regions of classifiers whose boundaries are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.analysis.decision_regions import decision_regions

W, B = np.array([1.0, -2.0], np.float32), 0.25


def logistic(x):
    return jax.nn.sigmoid(x @ W + B)[:, None]


def test_logistic_regression_decides_for_half_planes():
    found = decision_regions(logistic, (-2, -1), (2, 1), points=81)  # 81² points are more than one batch
    x, y = np.meshgrid(found.x, found.y)
    z = x * W[0] + y * W[1] + B
    away = np.abs(z) > 1e-5
    np.testing.assert_array_equal(found.classes[away], (z > 0)[away])
    np.testing.assert_allclose(found.values, 1 / (1 + np.exp(-np.abs(z))), rtol=1e-5)


def test_three_classes_and_the_corners():
    found = decision_regions(
        lambda x: jax.nn.softmax(9 * jnp.stack([x[:, 0], x[:, 1], 0 * x[:, 0]], 1)), (-1, -1), (1, 2)
    )
    assert (found.x[0], found.x[-1], found.y[0], found.y[-1]) == (-1, 1, -1, 2)
    assert (found.classes[0, -1], found.classes[-1, 0], found.classes[0, 0]) == (0, 1, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((0, 0, 0), (1, 1, 1)), "each must be two numbers"),
        (((0, 0), (0, 1)), "has no area"),
        (((0, 0), (1, np.inf)), "has no area"),
        (((0, 0), (1, 1), 1), "points=1 must be 2 or more"),
    ],
    ids=["three", "flat", "infinite", "points"],
)
def test_what_is_no_rectangle_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        decision_regions(logistic, *arguments[:2], **({"points": arguments[2]} if arguments[2:] else {}))
