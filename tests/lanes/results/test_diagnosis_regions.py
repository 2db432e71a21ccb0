"""Decision regions as tables: the half planes of linear classifiers in raw units, whatever their outputs stand for."""

import dataclasses

import numpy as np
import pytest
from made_subjects import made_subject
from small_sweeps import OVERLAPPING

from lanes import Blobs, Run, from_arrays
from lanes.errors import RequestError
from lanes.results.diagnosis_regions import decision_regions
from nets import MLP

LINEAR = Run(data=OVERLAPPING, net=MLP(widths=()))


def far():
    x = np.random.default_rng(0).normal(size=(60, 2)) * [1.0, 1e-2] + [5.0, 1e6]
    return from_arrays(x, (x[:, 1] > 1e6).astype(int))


def test_a_linear_classifier_decides_by_its_scores_in_raw_units():
    subject = made_subject(LINEAR)
    tables = decision_regions([subject])
    table, params = tables["decision_regions"], subject.params["output"]
    seen = (table[["x", "y"]].to_numpy() - subject.data.offset) * subject.data.scale
    z = seen @ params["kernel"] + params["bias"]
    first, second = np.sort(z, axis=1)[:, -1], np.sort(z, axis=1)[:, -2]
    clear = first - second > 1e-4
    np.testing.assert_array_equal(table["class"][clear], z.argmax(axis=1)[clear])
    p = np.exp(first) / np.exp(z).sum(axis=1)
    np.testing.assert_allclose(table["probability"], p, rtol=1e-4)
    examples = tables["decision_region_examples"]
    np.testing.assert_allclose(examples[["x", "y"]], subject.raw[0], rtol=1e-4, atol=1e-5)
    assert table["x"].min() < examples["x"].min() < examples["x"].max() < table["x"].max()


@pytest.mark.parametrize(
    ("run", "threshold"),
    [
        (Run(data=Blobs(n=60, binary=True), net=MLP(widths=()), loss="binary_cross_entropy"), 0.0),
        (Run(data=Blobs(n=60, binary=True), net=MLP(widths=()), loss="squared_error", task="classify"), 0.5),
    ],
    ids=["logits", "squared error"],
)
def test_a_single_output_decides_at_its_threshold(run, threshold):
    subject = made_subject(run)
    tables = decision_regions([subject])
    z = np.asarray(subject.forward(subject.params, subject.inputs).prediction)[:, 0]
    assert tables["decision_region_examples"]["predicted"].tolist() == (z > threshold).astype(int).tolist()
    assert tables["decision_regions"]["probability"].isna().all() == (threshold == 0.5)


def test_margins_are_no_probabilities():
    table = decision_regions([made_subject(dataclasses.replace(LINEAR, loss="hinge"))])["decision_regions"]
    assert table["probability"].isna().all()
    assert set(table["class"]) <= {0, 1, 2}


def test_numbers_that_float32_does_not_resolve_keep_their_place():
    tables = decision_regions([made_subject(Run(data=far, net=MLP(widths=())))])
    y = tables["decision_region_examples"]["y"].to_numpy()
    assert np.ptp(y) < 0.1
    assert abs(y.mean() - 1e6) < 0.1
    assert tables["decision_regions"]["y"].nunique() == 100


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run(data="digits", net=MLP(widths=())), r"inputs of two numbers, and digits has \[8, 8, 1\]"),
        (Run(data=OVERLAPPING, net=MLP(widths=()), task="regress", loss="squared_error"), "decides for no class"),
    ],
    ids=["images", "regression"],
)
def test_what_decides_for_no_class_of_the_plane_is_refused(run, words):
    with pytest.raises(RequestError, match=words):
        decision_regions([made_subject(run)])
