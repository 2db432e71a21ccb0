"""Predictions for raw inputs, the runs of a directory, and their parameters for other libraries: as a user calls them."""

import functools

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lanes
import losses
from lanes import Labels, Regress, RequestError, Run, Tokens
from lanes.cli import export
from lanes.program.compiled import Programs
from nets import MLP

PROGRAMS = Programs()
OPTIONS = {"programs": PROGRAMS, "devices": 1, "quiet": True, "width": 1}
sweep = functools.partial(lanes.sweep, **OPTIONS)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3)) * [1, 100, 1e-3] + [1.7e9, 5e3, 1]  # a time among them, beyond float32
CLASSES = (X[:, 1] > 5e3).astype(int) + (X[:, 2] > 1)
PRICES = (X[:, 1:2] * 40 + RNG.normal(size=(90, 1)) * 100).astype(np.float32)
WORDS = RNG.integers(0, 5, (60, 4))


def measured():
    """Numbers of unlike sizes, and their classes."""
    return X, Labels(CLASSES)


def priced():
    """The same, and prices of some 10⁵."""
    return X, PRICES


def worded():
    """Sequences of words, and whether the first is the last."""
    return Tokens(WORDS, 5), Labels((WORDS[:, 0] == WORDS[:, -1]).astype(int))


class Bag(nn.Module):
    """The mean of the words' vectors."""

    outputs: int = 1

    @nn.compact
    def __call__(self, x, *, train=False):
        del train
        return nn.Dense(self.outputs)(nn.Embed(5, 3)(x).mean(1))


CLASSIFYING = Run(data=measured, net=MLP(widths=(5,)), batch_size=16, epochs=3, learning_rate=0.03)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    out = tmp_path_factory.mktemp("classes") / "sweep"
    sweep([CLASSIFYING], out)
    return out


def only(directory):
    (row,) = (row for _, row in lanes.load(directory).iterrows())
    return row


def splits(data):
    """The raw inputs of a run's splits, as the data set keeps them where float32 cannot."""
    return {name: (part.x if part.raw is None else part.raw, part.y) for name, part in data.splits().items()}


def test_raw_inputs_give_the_probabilities_that_were_measured(directory):
    row = only(directory)
    for name, (x, y) in splits(lanes.data.loading.load_dataset(measured)).items():
        chances = lanes.predict(directory, row["run_id"], x)
        np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-5)
        assert (chances.argmax(1) == y).mean() == pytest.approx(row[f"{name}_accuracy"])
        loss = -np.log(chances[np.arange(len(y)), y]).mean()
        assert loss == pytest.approx(row[f"{name}_loss"], rel=1e-4)
    rows = [np.asarray(lanes.predict(directory, row["run_id"], X[at : at + 1])) for at in range(3)]
    np.testing.assert_allclose(np.concatenate(rows), lanes.predict(directory, row["run_id"], X)[:3], atol=1e-6)
    assert lanes.predict(directory, row["run_id"], X[:0]).shape == (0, 3)
    with pytest.raises(RequestError, match=r"run .*: x has shape \[90, 2\], and measured has examples of shape \[3\]"):
        lanes.predict(directory, row["run_id"], X[:, :2])


def test_a_run_is_opened_as_it_was_planned(directory):
    run_id = only(directory)["run_id"]
    run = lanes.open_run(directory, run_id[:8])
    assert isinstance(run, Run)
    assert (run.epochs, run.data, run.loss) == (3, measured, losses.softmax_cross_entropy)
    assert lanes.identify(run) == run_id
    with pytest.raises(RequestError, match="unknown run 'zz'"):
        lanes.open_run(directory, "zz")
    with pytest.raises(RequestError, match=r"which is code"):
        lanes.open_run(directory, run_id, trust=False)


def test_parameters_are_exported_without_rounding(directory, tmp_path, capsys):
    run_id = only(directory)["run_id"]
    net, variables = lanes.restore(directory, run_id)
    for name in ("a.npz", "a.msgpack", "orbax"):
        assert lanes.export(directory, run_id, tmp_path / name, trust=False) == tmp_path / name
    flat = np.load(tmp_path / "a.npz")
    assert flat["params.output.kernel"].dtype == np.float32
    np.testing.assert_array_equal(flat["params.output.kernel"], variables["params"]["output"]["kernel"])
    nested = flax.serialization.msgpack_restore((tmp_path / "a.msgpack").read_bytes())
    jax.tree.map(np.testing.assert_array_equal, nested, variables)
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(tmp_path / "orbax")
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.asarray, found), variables)
    assert net.apply(nested, jnp.zeros((1, 3)), train=False).shape == (1, 3)
    assert export.run([str(directory), "--run", run_id[:9], "--to", str(tmp_path / "a.npz")]) == 2
    assert "exists: choose another" in capsys.readouterr().err
    assert export.run([str(directory), "--run", run_id[:9], "--to", str(tmp_path / "b.npz"), "--epoch", "last"]) == 0
    assert export.run([str(directory), "--run", run_id[:9], "--to", str(tmp_path / "b.pt")]) == 2
    assert "must end in .npz, .msgpack or .safetensors" in capsys.readouterr().err


def test_safetensors_hold_the_same(directory, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    run_id = only(directory)["run_id"]
    lanes.export(directory, run_id, tmp_path / "a.safetensors")
    found = numpy.load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(
        found["params.output.bias"], lanes.restore(directory, run_id)[1]["params"]["output"]["bias"]
    )


@pytest.mark.slow
def test_predictions_of_standardized_targets_are_in_the_units_of_the_data(tmp_path):
    run = Run(
        data=priced, net=MLP(widths=(5,)), task=Regress(standardize=True), loss="squared_error", batch_size=16, epochs=8
    )
    sweep([run], tmp_path / "sweep")
    guess = lanes.predict(tmp_path / "sweep", only(tmp_path / "sweep")["run_id"], X)
    assert guess.shape == PRICES.shape
    assert abs(guess.mean() - PRICES.mean()) < PRICES.std()  # the prices' mean is 50 of their deviations from 0


@pytest.mark.slow
def test_sequences_of_another_length_are_read_by_nets_that_take_them(tmp_path):
    sweep([Run(data=worded, net=Bag(), batch_size=16, epochs=2)], tmp_path / "sweep")
    run_id = only(tmp_path / "sweep")["run_id"]
    assert lanes.predict(tmp_path / "sweep", run_id, WORDS).shape == (60, 2)
    assert lanes.predict(tmp_path / "sweep", run_id, WORDS[:5, :2]).shape == (5, 2)
    with pytest.raises(RequestError, match="run"):
        lanes.predict(tmp_path / "sweep", run_id, WORDS + 1)


@pytest.mark.slow
def test_fine_tuning_on_other_data_draws_a_head_of_another_size(directory, tmp_path):
    """`init_from` on other data: what matches in path and shape is taken, the head of another size is drawn."""
    run_id = only(directory)["run_id"]
    text = f"{directory}:{run_id}"
    run = Run(data=priced, net=MLP(widths=(5,)), loss="squared_error", batch_size=16, epochs=1, learning_rate=1e-30)
    sweep([run, lanes.Run(**{**run.__dict__, "init_from": text})], tmp_path / "sweep")
    table = lanes.load(tmp_path / "sweep").set_index("run_id")
    before = lanes.restore(directory, run_id)[1]["params"]
    ordered = sorted(table.index, key=lambda one: str(table["init_from"][one]) == text)
    fresh, tuned = (lanes.restore(tmp_path / "sweep", one)[1]["params"] for one in ordered)
    np.testing.assert_array_equal(tuned["hidden_0"]["dense"]["kernel"], before["hidden_0"]["dense"]["kernel"])
    np.testing.assert_array_equal(tuned["output"]["kernel"], fresh["output"]["kernel"])
    assert (fresh["hidden_0"]["dense"]["kernel"] != tuned["hidden_0"]["dense"]["kernel"]).all()
