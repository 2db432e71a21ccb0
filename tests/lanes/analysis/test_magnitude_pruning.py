"""Magnitude pruning: which weights it removes, and evaluation at several sparsities."""

import numpy as np
import pytest

import lanes
from lanes import Run, grid
from lanes.analysis.magnitude_pruning import pruned
from lanes.data.generated_sets import Blobs
from lanes.errors import RequestError
from lanes.results.evaluation import evaluate
from nets import MLP

PARAMS = {
    "a": {
        "kernel": np.array([[[0.1, -3.0], [2.0, 0.0]], [[5.0, 5.0], [5.0, 5.0]]]),
        "bias": np.array([[0.01], [0.01]]),
    },
    "b": {"kernel": np.array([[[-0.5], [4.0]], [[1.0], [-2.0]]])},
}


def test_the_smallest_weights_of_each_lane_are_removed_and_biases_kept():
    half = pruned(PARAMS, 0.5)
    np.testing.assert_array_equal(half["a"]["kernel"], [[[0, -3], [2, 0]], [[5, 5], [5, 5]]] * np.array([[[1]], [[0]]]))
    np.testing.assert_array_equal(half["b"]["kernel"], [[[0], [4]], [[0], [0]]])
    np.testing.assert_array_equal(half["a"]["bias"], PARAMS["a"]["bias"])
    assert pruned(PARAMS, 0.0) is PARAMS


@pytest.mark.slow
def test_evaluation_at_several_sparsities(tmp_path):
    base = Run(data=Blobs(n=200, classes=3), net=MLP(widths=(8,)), activation="prelu", epochs=2, batch_size=16)
    lanes.sweep(grid(base, seed=range(2)), tmp_path, width=2, devices=1, quiet=True)
    table = evaluate(tmp_path, prune=(0.0, 0.99))
    np.testing.assert_array_equal(table["evaluated_loss_pruned_0"], table["evaluated_loss"])
    np.testing.assert_array_equal(table["evaluated_loss"], table["test_loss"])
    assert (table["evaluated_loss_pruned_0.99"] != table["evaluated_loss"]).all()


@pytest.mark.parametrize(
    ("request_", "message"), [({"prune": (1.0,)}, "must be in"), ({"prune": (0.5,), "ensemble": True}, "--ensemble")]
)
def test_wrong_requests_are_refused(tmp_path, request_, message):
    with pytest.raises(RequestError, match=message):
        evaluate(tmp_path, **request_)
