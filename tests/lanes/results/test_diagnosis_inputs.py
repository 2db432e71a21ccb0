"""Filters, maximized inputs and saliency as tables: closed forms of linear nets, raw units, what is refused."""

import numpy as np
import pytest
from made_subjects import made_subject
from small_sweeps import OVERLAPPING

from lanes import Digits, Run, from_arrays
from lanes.errors import RequestError
from lanes.results.diagnosis_inputs import filters, maximized_inputs, saliency
from nets import CNN, GAN, MLP, Autoencoder, Recurrent

LINEAR = Run(data="digits", net=MLP(widths=()))
RNG = np.random.default_rng(0)


def far_from_zero():
    """Two numbers, one of them in units of which float32 resolves little."""
    x = RNG.normal(size=(60, 2)) * [1.0, 1e-3] + [5.0, 1e6]
    return from_arrays(x, (x[:, 1] > 1e6).astype(int))


def series():
    return from_arrays(RNG.normal(size=(40, 12, 2)).astype(np.float32), RNG.integers(0, 3, 40))


def test_the_filters_of_a_linear_net_are_its_weights_by_falling_norm():
    subject = made_subject(LINEAR)
    table, kernel = filters([subject])["filters"], subject.params["output"]["kernel"]
    assert table["norm"].is_monotonic_decreasing
    for _, row in table.iterrows():
        assert row["shape"] == [8, 8, 1]
        np.testing.assert_allclose(row["values"], kernel[:, row["filter"]], rtol=1e-5)
    assert sorted(table["filter"]) == list(range(10))


def test_a_series_has_filters_over_its_steps():
    table = filters([made_subject(Run(data=series, net=CNN(widths=(3,), windows=(5,))))])["filters"]
    assert table["shape"].tolist() == [[5, 2]] * 3


def test_maximized_inputs_of_a_linear_net_are_in_raw_units_and_within_their_range():
    subject = made_subject(LINEAR)
    table, kernel = maximized_inputs([subject])["maximized_inputs"], subject.params["output"]["kernel"]
    assert table["name"].tolist() == list("0123456789")
    offset, scale = float(subject.data.offset), float(subject.data.scale)
    for at, row in table.iterrows():
        raw = np.asarray(row["values"])
        assert (raw >= -1e-3).all()
        assert (raw <= 16.001).all()
        seen = (raw - offset) * scale
        assert row["value"] == pytest.approx(seen @ kernel[:, at] + subject.params["output"]["bias"][at], rel=1e-3)
        assert row["value"] > row["highest_of_examples"]


def test_the_saliency_of_a_linear_net_is_its_weights_and_contributions_sum_to_the_score():
    subject = made_subject(LINEAR)
    table, params = saliency([subject])["saliency"], subject.params["output"]
    for at, row in table.iterrows():
        np.testing.assert_allclose(row["gradient"], params["kernel"][:, row["unit"]], rtol=1e-5)
        assert sum(row["integrated_gradient"]) == pytest.approx(row["score"] - params["bias"][row["unit"]], rel=1e-3)
        np.testing.assert_allclose(row["values"], subject.raw[0][at].reshape(-1), atol=1e-3)
    assert len(table) == 8


def test_inputs_that_the_host_standardizes_come_back_in_their_own_units():
    subject = made_subject(Run(data=far_from_zero, net=MLP(widths=())))
    table = saliency([subject])["saliency"]
    difference = np.stack(table["values"]) - subject.data.train.raw[:8]
    assert (np.abs(difference) < 1e-6 * subject.data.train.raw.std(axis=0)).all()


TEXT = Run(data="copy", net=Recurrent(), task="next_token")
PIXELS = Run(
    data=Digits(standardize="unit"), net=Autoencoder(widths=(4,), code=2), task="reconstruct", loss="squared_error"
)


@pytest.mark.parametrize(
    ("diagnosis", "run", "words"),
    [
        (
            filters,
            Run(data=OVERLAPPING, net=MLP(widths=(4,))),
            r"images \[H, W, C\] or series \[T, C\], and .* has inputs \[2\]",
        ),
        (
            filters,
            Run(data=series, net=Recurrent(), activation="tanh"),
            "net Recurrent: its first layer is within a loop",
        ),
        (saliency, TEXT, "it takes gradients by the inputs, and copy has tokens"),
        (filters, TEXT, "copy has tokens"),
        (saliency, PIXELS, "task Reconstruct predicts no target"),
        (
            maximized_inputs,
            Run(data=OVERLAPPING, net=GAN(latent=2, widths=(4,)), task="adversarial", loss="squared_error"),
            "task Adversarial predicts no target",
        ),
    ],
    ids=["two numbers", "recurrence", "saliency of tokens", "filters of tokens", "autoencoder", "GAN"],
)
def test_what_has_no_such_picture_is_refused(diagnosis, run, words):
    with pytest.raises(RequestError, match=words):
        diagnosis([made_subject(run)])
