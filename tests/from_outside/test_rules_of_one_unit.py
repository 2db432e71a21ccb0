"""Nets of one unit under the perceptron's and Adaline's rule: accuracies against NumPy, from the restored weights."""

import dataclasses

import numpy as np
import pytest

import lanes
from lanes import Blobs, DeltaRule, Run, grid, sweep
from lanes.errors import RequestError

DATA = Blobs(n=300, binary=True, distance=3.0, valid_fraction=0.0)
BASE = Run(
    data=DATA,
    net="linear",
    initializer="zeros",
    optimizer="sgd",
    learning_rate=0.01,
    batch_size=10,
    epochs=3,
    loss="squared_error",
)
BOUNDARIES = {
    "perceptron_rule": 0.0,
    "delta_rule": 0.5,
    "delta_rule_sigmoid": 0.0,
    DeltaRule(unit="tanh"): np.arctanh(0.5),
}


def test_the_rule_says_where_its_classes_part(tmp_path):
    """A perceptron's unit is 1 from 0 on, Adaline's nearer to 1 than to 0, whatever loss is reported beside it."""
    runs = grid(BASE, rule=list(BOUNDARIES)) + grid(BASE, rule=["perceptron_rule"], loss=["zero_one"])
    runs += grid(BASE, rule=["delta_rule"], loss=["binary_cross_entropy"])
    sweep(runs, tmp_path / "out")
    data = DATA.load()
    assert data.test is not None
    x = (np.asarray(data.test.x, float) - data.offset) * data.scale
    y = np.asarray(data.test.y).reshape(-1)
    for run, boundary in zip(runs, [*BOUNDARIES.values(), 0.0, 0.5], strict=True):
        found = lanes.load(tmp_path / "out").set_index("run_id").loc[lanes.identify(run)]
        _, variables = lanes.restore(tmp_path / "out", lanes.identify(run))
        layer = variables["params"]["output"]
        z = x @ np.asarray(layer["kernel"], float) + np.asarray(layer["bias"], float)
        assert found["test_accuracy"] == pytest.approx(np.mean((z[:, 0] > boundary) == y), abs=1e-6), run.rule
        if run.loss == "zero_one":
            assert found["test_loss"] == pytest.approx(1 - found["test_accuracy"], abs=1e-6)


def test_a_loss_that_parts_classes_elsewhere_is_refused():
    with pytest.raises(RequestError, match="use loss squared_error"):
        lanes.identify(dataclasses.replace(BASE, rule="delta_rule", loss="zero_one"))
