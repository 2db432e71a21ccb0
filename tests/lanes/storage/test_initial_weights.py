"""Starting from a trained run, its codes as features, and samples drawn from trained nets."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets
from lanes import Digits, Encoded, Reconstruct, RequestError, Run, identify, restore, sweep
from lanes.analysis.anomaly import anomaly_auroc, anomaly_scores
from lanes.analysis.sampling import sample_prior, sample_text
from lanes.data.fingerprints import fingerprint
from lanes.data.loading import load_dataset
from lanes.program.compiled import Programs
from lanes.results import encoded
from lanes.storage import initial_weights

UNIT = Digits(standardize="unit")
PRETRAINING = Run(
    data=UNIT,
    net=nets.Autoencoder(widths=(12,), code=6, code_unit="activation"),
    task=Reconstruct(),
    loss="sigmoid_cross_entropy",
    train_examples=64,
    epochs=30,
)
# The rate is so small that training leaves the weights unchanged.
FINE_TUNING = Run(data=UNIT, net=nets.MLP(widths=(12, 6, 6, 6, 6)), train_examples=64, epochs=1, learning_rate=1e-12)
PROGRAMS = Programs()
OPTIONS = {"devices": 1, "width": 1, "quiet": True, "programs": PROGRAMS}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    (run_id,) = sweep([PRETRAINING], folder, **OPTIONS)["run_id"]
    return folder, run_id


def test_the_run_id_is_known_before_training(pretrained):
    assert identify(PRETRAINING) == pretrained[1]


def test_runs_start_from_the_matching_parameters(pretrained, tmp_path, capsys):
    folder, run_id = pretrained
    tuned = dataclasses.replace(FINE_TUNING, init_from=f"{folder}:{run_id}:encoder")
    table = sweep([FINE_TUNING, tuned], tmp_path, **OPTIONS)
    said = "note: of init_from only parameters of equal path and shape are taken; drawn by the initializer: hidden_2."
    assert said in capsys.readouterr().err
    assert table["pack"].nunique() == 1  # `init_from` needs no program of its own
    source = restore(folder, run_id)[1]["params"]["encoder"]
    fresh, tuned = (restore(tmp_path, identify(run))[1]["params"] for run in (FINE_TUNING, tuned))
    for layer in ("hidden_0", "hidden_1"):
        for leaf in ("kernel", "bias"):
            np.testing.assert_allclose(tuned[layer]["dense"][leaf], source[layer]["dense"][leaf], atol=1e-6)
    np.testing.assert_allclose(tuned["output"]["kernel"], fresh["output"]["kernel"], atol=1e-6)
    assert np.abs(tuned["hidden_0"]["dense"]["kernel"] - fresh["hidden_0"]["dense"]["kernel"]).max() > 0.01


REFUSED = {
    "no sweep": ("{folder}/none:{run_id}", "holds no sweep"),
    "no run": ("{folder}:ffff0000", "unknown run 'ffff0000'"),
    "no subtree": ("{folder}:{run_id}:head", "no parameters below head; it has decoder, encoder"),
    "nothing fits": ("{folder}:{run_id}", "none of its parameters .* name a subtree"),
    "form": ("best", "DIR:run_id or DIR:run_id:subtree"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_sources_are_refused_in_one_line(case, pretrained, tmp_path):
    text, message = REFUSED[case]
    run = dataclasses.replace(FINE_TUNING, init_from=text.format(folder=pretrained[0], run_id=pretrained[1]))
    with pytest.raises(RequestError, match=message) as error:
        sweep([run], tmp_path / "new", **OPTIONS)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_batch_statistics_match_by_path_within_their_collection():
    shapes = {("batch_stats", "hidden_0", "norm", "mean"): (3,)}
    source = {("batch_stats", "hidden_0", "norm", "mean"): np.zeros(3), ("batch_stats", "output", "mean"): np.zeros(2)}
    assert initial_weights.fitting(source, shapes) == [("batch_stats", "hidden_0", "norm", "mean")]
    assert initial_weights.parse("a:b/c:0123:encoder.hidden_0") == ("a:b/c", "0123", ("encoder", "hidden_0"))


def test_codes_are_features(pretrained):
    folder, run_id = pretrained
    data = load_dataset(Encoded(f"{folder}:{run_id}"), train_examples=50)
    assert data.train.x.shape == (50, 6)
    assert data.task == "classes"
    net, variables = restore(folder, run_id)
    base = load_dataset(UNIT)
    first = base.test.x[:5].astype(np.float32) / 16
    np.testing.assert_allclose(data.test.x[:5], net.apply(variables, first, train=False).latent, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(data.test.y, base.test.y)


def test_codes_have_the_fingerprint_of_the_encoder_and_its_data(pretrained, monkeypatch):
    folder, run_id = pretrained
    data = load_dataset(Encoded(f"{folder}:{run_id}"))
    nudged = dataclasses.replace(data, train=dataclasses.replace(data.train, x=data.train.x * (1 + 1e-6)))
    assert fingerprint(nudged) == fingerprint(data)  # as codes computed on another device are
    other = load_dataset(
        Encoded(f"{folder}:{run_id}", data=Digits(standardize="unit", split_seed=1), valid_fraction=0.1)
    )
    assert fingerprint(other) != fingerprint(data)
    net, variables = restore(folder, run_id)
    longer = jax.tree.map(lambda leaf: leaf + 1e-6, variables)
    monkeypatch.setattr(encoded.trained, "restored", lambda *_, **__: (net, longer))
    assert fingerprint(load_dataset(Encoded(f"{folder}:{run_id}"))) != fingerprint(data)


def test_anomalies_have_higher_reconstruction_scores(pretrained):
    net, variables = restore(*pretrained)
    normal = load_dataset(UNIT).test.x[:40].astype(np.float32) / 16
    abnormal = np.random.default_rng(0).random((40, 8, 8, 1)).astype(np.float32)
    x, labels = np.concatenate([normal, abnormal]), np.repeat([0, 1], 40)
    scores = anomaly_scores(net, variables, x, "sigmoid_cross_entropy")
    assert scores.shape == (80,)
    assert anomaly_auroc(net, variables, x, labels, "sigmoid_cross_entropy") > 0.9


class Successor(nn.Module):
    """Predicts each token + 1, modulo 5."""

    @nn.compact
    def __call__(self, x, *, train):
        del train
        return 20 * jax.nn.one_hot((x + 1) % 5, 5)


def test_sampled_text_follows_the_model():
    counted = sample_text(Successor(), {}, jnp.array([3]), 6, temperature=0.0)
    np.testing.assert_array_equal(counted, [4, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(sample_text(Successor(), {}, [3], 6, key=jax.random.key(1)), counted)
    wild = sample_text(Successor(), {}, [3], 200, temperature=1e3, key=jax.random.key(1))
    assert np.bincount(wild, minlength=5).min() > 20
    for wrong, message in (({"length": 0}, "length=0"), ({"temperature": -1.0}, "temperature"), ({}, "needs a key")):
        with pytest.raises(ValueError, match=message):
            sample_text(Successor(), {}, [3], **{"length": 2, **wrong})


@pytest.mark.slow
def test_prior_samples_have_the_shape_of_examples():
    x = jnp.zeros((2, 3, 2))
    for net in (nets.VAE(widths=(4,), code=2), nets.GAN(latent=2, widths=(4,))):
        variables = net.init(jax.random.key(0), x, train=False)
        drawn = sample_prior(net, variables, (3, 2), 5, jax.random.key(1))
        assert drawn.shape == (5, 3, 2)
        assert float(drawn.std(axis=0).min()) > 0
    with pytest.raises(ValueError, match="use a vae or a gan"):
        sample_prior(nets.MLP(), {}, (3,), 5, jax.random.key(1))
