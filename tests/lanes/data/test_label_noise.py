"""Label noise: whose labels, how many, and which."""

import dataclasses

import numpy as np
import pytest

from lanes import TFDS, Blobs, Digits, Labels, RequestError, Run, Sine, from_arrays, grid
from lanes.data.fingerprints import fingerprint
from lanes.data.loading import load_dataset
from lanes.describe.comparable import facets_of_run, measures
from lanes.describe.identity import describe, from_description, run_id
from lanes.describe.runs import resolve, row, set_field
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from nets import MLP

MANY = Blobs(n=8000, classes=4)


def labels(data):
    return np.asarray(data.train.y).reshape(-1)


@pytest.mark.parametrize("rate", [0.1, 0.4, 1.0])
def test_the_share_that_changes_is_the_rate_times_one_minus_one_in_k(rate):
    clean, noisy = load_dataset(MANY), load_dataset(dataclasses.replace(MANY, label_noise=rate))
    changed = labels(noisy) != labels(clean)
    share = rate * 3 / 4
    assert changed.mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(changed)))
    counts = np.bincount(labels(noisy)[changed] * 4 + labels(clean)[changed], minlength=16).reshape(4, 4)
    off_diagonal = counts[~np.eye(4, dtype=bool)]
    assert off_diagonal.min() > 0.5 * off_diagonal.mean()
    np.testing.assert_array_equal(noisy.clean, clean.train.y)
    np.testing.assert_array_equal(noisy.train.x, clean.train.x)
    for split in ("valid", "test"):
        np.testing.assert_array_equal(getattr(noisy, split).y, getattr(clean, split).y)


def test_labels_are_drawn_once_per_seed_and_higher_rates_change_more_of_them():
    clean = labels(load_dataset(MANY))
    low, high, again = (labels(load_dataset(dataclasses.replace(MANY, label_noise=rate))) for rate in (0.2, 0.5, 0.2))
    np.testing.assert_array_equal(low, again)
    assert (high[low != clean] == low[low != clean]).all()
    other = load_dataset(Digits(label_noise=0.2, split_seed=1)).train.y
    assert (other != load_dataset(Digits(label_noise=0.2)).train.y).any()
    assert fingerprint(load_dataset(Digits(label_noise=0.2))) != fingerprint(load_dataset("digits"))


def test_fewer_training_examples_are_the_same_examples_with_the_same_labels():
    clean, noisy = (load_dataset(Digits(label_noise=rate), train_examples=200) for rate in (0.0, 0.3))
    np.testing.assert_array_equal(clean.train.x, noisy.train.x)
    np.testing.assert_array_equal(clean.train.y, noisy.clean)
    both = load_dataset(Digits(label_noise=0.3), train_examples=400)
    few, more = np.asarray(noisy.train.x), np.asarray(both.train.x)[:200]
    np.testing.assert_array_equal(few, more)
    np.testing.assert_array_equal(noisy.train.y, both.train.y[:200])


def test_own_arrays_and_binary_targets():
    x, y = np.random.default_rng(0).normal(size=(400, 2)), np.arange(400) % 2
    noisy = from_arrays(x, y).with_label_noise(0.5)
    assert (noisy.train.y != noisy.clean).mean() == pytest.approx(0.25, abs=0.1)
    assert noisy.declared
    binary = load_dataset(Blobs(n=400, binary=True, label_noise=0.5))
    assert set(np.unique(binary.train.y)) == {0.0, 1.0}
    assert binary.train.y.dtype == np.float32
    assert from_arrays(x, y).with_label_noise(0.0).clean is None


def test_it_is_a_field_of_named_sets_and_no_part_of_clean_ones():
    run = Run(data="digits", net=MLP(widths=(4,)))
    noisy = set_field(run, "data.label_noise", 0.2)
    assert noisy.data == Digits(label_noise=0.2)
    assert len({run_id(one) for one in grid(run, {"data.label_noise": [0.0, 0.1, 0.2]})}) == 3
    assert run_id(run) == run_id(set_field(run, "data.label_noise", 0))
    assert row(noisy)["data.label_noise"] == 0.2
    assert from_description(describe(noisy)).data == Digits(label_noise=0.2)
    assert TFDS("mnist", label_noise=0.1).label_noise == 0.1


def test_validation_and_test_metrics_compare_across_rates_and_training_metrics_do_not():
    clean, noisy = (facets_of_run(resolve(Run(data=Digits(label_noise=rate), task="classify"))) for rate in (0.0, 0.2))
    for column, equal in (("valid_accuracy", True), ("test_loss", True), ("train_accuracy", False)):
        assert (measures(clean, column) == measures(noisy, column)) is equal, column


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Digits(label_noise=-0.1), "from 0 to 1"),
        (Digits(label_noise=1.5), "from 0 to 1"),
        (Digits(label_noise=float("nan")), "nan"),
        (Sine(label_noise=0.1), "targets of kind real"),
    ],
    ids=["negative", "above", "nan", "real"],
)
def test_what_cannot_be_is_refused_in_one_line(data, words):
    with pytest.raises(RequestError, match=words) as caught:
        make_plan([Run(data=data, net=MLP(widths=(4,)), loss="mean_squared_error")], Options(devices=1))
    assert "\n" not in str(caught.value)


def test_one_class_has_no_other():
    x = np.zeros((40, 2))
    with pytest.raises(ValueError, match="one class"):
        from_arrays(x, Labels(np.zeros(40, int))).with_label_noise(0.1)
    with pytest.raises(ValueError, match="kind real"):
        from_arrays(x, np.eye(2)[np.arange(40) % 2]).with_label_noise(0.1)
