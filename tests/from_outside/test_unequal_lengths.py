"""Series of unequal length in training: a recurrent net ends at each one's last step, and padding changes nothing."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lanes
from lanes import Mirror, Numbers, Run, Tokens, grid
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from lanes.program.compiled import Programs
from lanes.results.evaluation import evaluate
from nets import MLP, Recurrent, without_padding

PROGRAMS = Programs()
RANDOM = np.random.default_rng(1)
LENGTHS = RANDOM.integers(1, 6, 48)
LENGTHS[:2] = 5
SERIES = [RANDOM.normal(size=(length, 1)) for length in LENGTHS]
Y = np.array([int(series[-1, 0] > 0) for series in SERIES])  # the last step decides


def ragged():
    return Numbers(SERIES), Y


def filled(value=0.0):
    x = np.full((48, 5, 1), value)
    for row, series in zip(x, SERIES):
        row[: len(series)] = series
    return Numbers(x, lengths=LENGTHS), Y


def longer():
    x, y = filled(3.0)
    return Numbers(np.concatenate([x.x, np.full((48, 4, 1), 8.0)], axis=1), lengths=LENGTHS), y


@pytest.mark.parametrize(
    ("head", "bidirectional", "tokens"),
    [("last", False, False), pytest.param("mean", True, True, marks=pytest.mark.slow)],
    ids=["last", "mean"],
)
def test_a_series_predicts_what_it_predicts_without_padding(head, bidirectional, tokens):
    net = Recurrent(cell="gru", widths=(3,), head=head, bidirectional=bidirectional, outputs=2, vocabulary=5)
    x = RANDOM.integers(0, 5, (3, 3)) if tokens else RANDOM.normal(size=(3, 3, 2))
    lengths = np.array([1, 3, 2])
    marked = x.astype(np.int32 if tokens else np.float32)
    marked[np.arange(3)[None] >= lengths[:, None]] = -1 if tokens else np.nan
    reading = net.clone(reads_padding=True)

    @jax.jit
    def results(key):
        variables = net.init(key, jnp.maximum(marked, 0) if tokens else jnp.zeros_like(marked), train=False)
        alone = [net.apply(variables, marked[row, :length][None], train=False)[0] for row, length in enumerate(lengths)]
        total = jax.grad(lambda v: reading.apply(v, marked, train=False).sum())(variables)
        return reading.apply(variables, marked, train=False), jnp.stack(alone), total

    together, alone, gradient = results(jax.random.key(0))
    assert np.allclose(together, alone, atol=1e-6)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_without_padding():
    x, lengths = without_padding(jnp.array([[1.0, jnp.nan], [2.0, 3.0]])[..., None])
    assert (x[..., 0].tolist(), lengths.tolist()) == ([[1, 0], [2, 3]], [1, 2])
    x, lengths = without_padding(jnp.array([[4, -1], [0, 3]]))
    assert (x.tolist(), lengths.tolist()) == ([[4, 0], [0, 3]], [1, 2])


def run(data, **fields):
    net = Recurrent(cell="gru", widths=(4,))
    return Run(**{"data": data, "net": net, "batch_size": 8, "epochs": 3, "learning_rate": 0.03, **fields})


@pytest.mark.slow
def test_what_stands_in_the_padding_changes_nothing(tmp_path):
    lanes.sweep(grid(run(ragged), input_noise=[0.0, 0.1]), out=tmp_path / "ragged", quiet=True, programs=PROGRAMS)
    lanes.sweep([run(longer)], out=tmp_path / "longer", quiet=True, programs=PROGRAMS)
    first, second = (lanes.load_curves(tmp_path / name) for name in ("ragged", "longer"))
    assert np.isfinite(first["valid_loss"]).all()
    plain = first[first["run_id"] == lanes.load(tmp_path / "ragged").run_id[0]]
    assert np.allclose(plain["valid_loss"], second["valid_loss"], atol=1e-5)  # another program
    table = lanes.load(tmp_path / "ragged")
    net, variables = lanes.restore(tmp_path / "ragged", table.run_id[0])
    prediction = net.apply(variables, np.array([[[0.5], [np.nan]], [[0.5], [0.5]]], np.float32), train=False)
    alone = net.apply(variables, np.array([[[0.5]]], np.float32), train=False)
    assert np.allclose(prediction[0], alone[0], atol=1e-6)


@pytest.mark.slow
def test_tokens_of_unequal_length_train_and_are_evaluated(tmp_path):
    lanes.sweep([run(words)], out=tmp_path / "out", quiet=True, programs=PROGRAMS)
    evaluated = evaluate(tmp_path / "out", split="test")
    assert np.allclose(evaluated["evaluated_loss"], lanes.load(tmp_path / "out")["test_loss"], atol=1e-6)


def words():
    random = np.random.default_rng(2)
    return Tokens([random.integers(0, 4, length).tolist() for length in LENGTHS]), Y


class Own(nn.Module):
    outputs: int = 2
    reads_padding: bool = False

    @nn.compact
    def __call__(self, x, *, train):
        del train
        x, lengths = without_padding(x)
        return nn.Dense(self.outputs)(x.sum(1) / lengths[:, None].astype(x.dtype))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": MLP(widths=(4,))}, "net MLP would take their padding for numbers: use Recurrent"),
        ({"net": Recurrent(head="each")}, "choose last, mean or all"),
        ({"net": Recurrent(reads_padding=True)}, "the engine fills these"),
        ({"augment": (Mirror(),)}, "would change their padding|Mirror"),
    ],
)
def test_what_cannot_deal_with_padding_is_refused(changes, message):
    with pytest.raises(RequestError, match=message):
        make_plan([dataclasses.replace(run(ragged), **changes)], Options())


def test_a_net_of_ones_own_reads_padding():
    plan = make_plan([run(ragged, net=Own(), activation="relu")], Options())
    assert plan.planned[0].setup.padded
    assert len(make_plan([run(ragged), run(filled)], Options()).planned) == 2
