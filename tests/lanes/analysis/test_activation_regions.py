"""The regions of a ReLU net: lines in the plane, nets that fold, patterns of units on a grid, areas."""

import itertools

import numpy as np
import pytest

from lanes.analysis.activation_regions import activation_regions

SIGNS = np.kron(np.eye(2), [1.0, -1.0])  # of x and y in the four units of a layer that folds


def drawn(*widths: int) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    return [
        (random.normal(size=(inputs, units)), random.normal(scale=0.5, size=units))
        for inputs, units in itertools.pairwise((2, *widths))
    ]


def area(corners: np.ndarray) -> float:
    x, y = corners.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def test_one_layer_makes_one_more_region_for_each_line_and_each_crossing():
    ((kernel, bias),) = drawn(12)
    at_corners = np.array(list(itertools.product((-1, 1), (-1, 1)))) @ kernel + bias
    lines = ((at_corners.min(axis=0) < 0) & (at_corners.max(axis=0) > 0)).sum()
    pairs = [list(pair) for pair in itertools.combinations(range(12), 2)]
    crossings = [np.linalg.solve(kernel[:, pair].T, -bias[pair]) for pair in pairs]
    inside = sum(bool((abs(point) < 1).all()) for point in crossings)
    assert len(activation_regions([(kernel, bias)])) == 1 + lines + inside


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_net_that_folds_both_inputs_makes_four_times_as_many_regions_with_each_layer(depth):
    folds = [(SIGNS, np.zeros(4)), *[(2 * abs(SIGNS.T) @ SIGNS, -SIGNS.sum(axis=0))] * 2]
    assert len(activation_regions(folds[:depth])) == 4**depth


def test_regions_fill_the_rectangle_and_each_pattern_of_units_has_one():
    layers, low, high = drawn(6, 5), np.array([-2.0, -1.0]), np.array([1.0, 3.0])
    found = activation_regions(layers, low, high)
    assert sum(area(corners) for corners in found) == pytest.approx(12)

    def pattern(x: np.ndarray) -> np.ndarray:
        on = []
        for kernel, bias in layers:
            on.append(x @ kernel + bias > 0)
            x = np.maximum(x @ kernel + bias, 0)
        return np.concatenate(on, axis=-1)

    inside = np.array([corners.mean(axis=0) for corners in found])
    patterns = np.unique(pattern(inside), axis=0)
    assert len(patterns) == len(found)
    seen = np.unique(pattern(np.random.default_rng(1).uniform(low, high, (20_000, 2))), axis=0)
    assert len(np.unique(np.concatenate([patterns, seen]), axis=0)) == len(found)


@pytest.mark.parametrize(
    ("layers", "high", "message"),
    [
        (drawn(3), (-1, 1), "has no area"),
        ([(np.ones((3, 4)), np.ones(4))], (1, 1), "must be \\[2, units\\]"),
        ([*drawn(3), (np.ones((3, 4)), np.ones(3))], (1, 1), "layer 1 has a kernel"),
    ],
)
def test_what_does_not_fit_is_refused(layers, high, message):
    with pytest.raises(ValueError, match=message):
        activation_regions(layers, (-1, -1), high)
