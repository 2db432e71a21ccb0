"""Reconstructions, traversals and latent maps as tables: linear autoencoders, VAEs, GANs, users' nets, what is refused."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from made_subjects import made_subject
from small_sweeps import OVERLAPPING

from lanes import Digits, GaussianNoise, Reconstruct, Run
from lanes.errors import RequestError
from lanes.results.diagnosis_codes import latent_map, reconstructions, traversals
from nets import GAN, MLP, VAE, Autoencoder, Outputs

LINEAR = Run(
    data="digits", net=Autoencoder(widths=(), code=3), task="reconstruct", loss="squared_error", activation="relu"
)
BERNOULLI = Run(
    data=Digits(standardize="unit"), net=VAE(widths=(4,), code=2), task="elbo", loss="sigmoid_cross_entropy"
)


def raw(subject, x):
    return np.asarray(x, np.float64) / float(subject.data.scale) + float(subject.data.offset)


def test_reconstructions_and_their_errors_are_in_raw_units():
    subject = made_subject(LINEAR)
    table = reconstructions([subject])["reconstructions"]
    expected = raw(subject, subject.forward(subject.params, subject.inputs).prediction).reshape(20, -1)
    np.testing.assert_allclose(np.stack(table["reconstruction"]), expected[:8], rtol=1e-4, atol=1e-2)
    errors = np.sqrt(np.mean((expected - subject.raw[0].reshape(20, -1)) ** 2, axis=1))
    np.testing.assert_allclose(table["error"], errors[:8], rtol=1e-4)
    assert table["mean_error"].iloc[0] == pytest.approx(errors.mean(), rel=1e-4)
    assert table["values"].tolist() == table["seen"].tolist()


def test_a_denoising_net_sees_noise_and_a_bernoulli_net_gives_probabilities():
    noisy = made_subject(dataclasses.replace(LINEAR, task=Reconstruct(corruption=GaussianNoise(0.3))))
    table = reconstructions([noisy])["reconstructions"]
    difference = np.stack(table["seen"]) - np.stack(table["values"])
    assert difference.std() == pytest.approx(0.3 / float(noisy.data.scale), rel=0.1)
    pixels = np.stack(reconstructions([made_subject(BERNOULLI)])["reconstructions"]["reconstruction"])
    assert 0 < pixels.min() < 8 < pixels.max() < 16


def test_the_traversal_of_a_linear_decoder_is_a_line():
    subject = made_subject(LINEAR)
    tables = traversals([subject])
    kernel = subject.params["decoder"]["output"]["kernel"]
    codes = np.stack(latent_map([subject])["latent_map"]["code"])
    assert list(tables) == ["traversals"]
    for dimension, row in tables["traversals"].groupby("dimension"):
        assert (row["value"].iloc[0], row["value"].iloc[-1]) == pytest.approx(
            np.percentile(codes[:, dimension], [1, 99])
        )
        step = np.diff(row["value"].to_numpy())[:, None] * kernel[dimension] / float(subject.data.scale)
        np.testing.assert_allclose(np.diff(np.stack(row["values"]), axis=0), step, rtol=1e-3, atol=1e-2)


@pytest.mark.slow
def test_a_code_of_two_numbers_has_a_plane_and_a_prior_its_own_range():
    tables = traversals([made_subject(BERNOULLI)])
    assert len(tables["latent_plane"]) == 144
    values = tables["traversals"]["value"]
    assert (values.min(), values.max()) == (-2.5, 2.5)
    generated = traversals([made_subject(Run(data=OVERLAPPING, net=GAN(latent=3, widths=(4,)), task="adversarial"))])
    assert sorted(generated["traversals"]["dimension"].unique()) == [0, 1, 2]


def test_a_map_has_the_means_of_a_vae_and_components_of_longer_codes():
    subject = made_subject(BERNOULLI)
    table = latent_map([subject])["latent_map"]
    mean = np.asarray(subject.forward(subject.params, subject.inputs).mean)
    np.testing.assert_allclose(table[["first", "second"]], mean, rtol=1e-4)
    assert not table["projected"].any()
    longer = latent_map([made_subject(LINEAR)])["latent_map"]
    assert longer["projected"].all()
    assert longer["target"].tolist() == [str(y) for y in subject.data.train.y[:20]]


class OneNumber(nn.Module):
    """A user's net with a code of one number, and no decoder that can be called alone."""

    outputs: int = 64

    @nn.compact
    def __call__(self, x, *, train):  # noqa: ARG002
        code = nn.Dense(1)(x.reshape(x.shape[0], -1))
        return Outputs(prediction=nn.Dense(self.outputs)(jnp.tanh(code)), latent=code)


def test_a_user_s_net_has_a_map_of_one_number_and_no_traversals():
    subject = made_subject(dataclasses.replace(LINEAR, net=OneNumber()))
    table = latent_map([subject])["latent_map"]
    assert "second" not in table
    with pytest.raises(RequestError, match="net OneNumber has no decoder: a method decode"):
        traversals([subject])


@pytest.mark.parametrize(
    ("diagnosis", "words"),
    [
        (reconstructions, "task Classify does not reconstruct its inputs"),
        (latent_map, "net MLP has no code of its inputs"),
        (traversals, "net MLP has no decoder"),
    ],
    ids=["reconstructions", "map", "traversals"],
)
def test_a_classifier_has_no_code(diagnosis, words):
    with pytest.raises(RequestError, match=words):
        diagnosis([made_subject(Run(data=OVERLAPPING, net=MLP(widths=(4,))))])
