"""Nets of NNX and Equinox by the command: what is refused and how, versions of classes, kernels redrawn in a sweep."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lanes

pytest.importorskip("equinox", reason="the extra `equinox` is not installed")
pytestmark = pytest.mark.usefixtures("promotion_of_users")

FILE = '''
"""Nets of two libraries."""
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lanes import Blobs, Run, Tokens, grid
from losses import MaxNorm
from nets import from_equinox, from_nnx

SLOPE = 2.0


def sloped(z):
    return SLOPE * z


class Layer(nnx.Module):
    def __init__(self, size, *, rngs):
        self.linear = nnx.Linear(2, size, rngs=rngs)

    def __call__(self, x):
        return sloped(self.linear(x))


class N(nnx.Module):
    def __init__(self, width, outputs, dropout, *, rngs):
        self.hidden, self.out = Layer(width, rngs=rngs), nnx.Linear(width, outputs, rngs=rngs)
        self.drop = nnx.Dropout(dropout / 2, rngs=rngs) if dropout > 0 else None

    def __call__(self, x):
        h = nnx.relu(self.hidden(x))
        return self.out(h if self.drop is None else self.drop(h))


class Grows(nnx.Module):
    def __init__(self, outputs, *, rngs):
        self.out, self.seen = nnx.Linear(2, outputs, rngs=rngs), nnx.Variable(jnp.zeros(1))

    def __call__(self, x):
        self.seen.set_value(jnp.zeros(len(x)))
        return self.out(x)


class Halves(nnx.Module):
    def __init__(self, outputs, *, rngs):
        self.out, self.seen = nnx.Linear(2, outputs, rngs=rngs), nnx.Variable(jnp.zeros((), jnp.int32))

    def __call__(self, x):
        self.seen.set_value(self.seen.get_value() + 0.5)
        return self.out(x)


class Reads(nnx.Module):
    def __init__(self, vocabulary, outputs, *, rngs):
        self.embed, self.out = nnx.Embed(vocabulary, 4, rngs=rngs), nnx.Linear(4, outputs, rngs=rngs)

    def __call__(self, x):
        return self.out(self.embed(x).mean(axis=1))


class E(eqx.Module):
    layers: list

    def __init__(self, outputs, *, key):
        one, two = jax.random.split(key)
        self.layers = [eqx.nn.Linear(2, 4, key=one), jax.nn.tanh, eqx.nn.Linear(4, outputs, key=two)]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Scalar(eqx.Module):
    out: eqx.nn.Linear

    def __init__(self, *, key):
        self.out = eqx.nn.Linear(2, "scalar", key=key)

    def __call__(self, x):
        return self.out(x)


def tokens():
    x = np.random.default_rng(0).integers(0, 5, (60, 4))
    return Tokens(x), np.remainder(x[:, 0], 3)


def numbers():
    x = np.random.default_rng(0).normal(size=(60, 2))
    return x, x[:, 0]


BASE = dict(data=Blobs(n=120, classes=3), batch_size=8, epochs=2, learning_rate=0.03)


def sweep():
    return SWEEP
'''


@pytest.fixture
def planned(call, tmp_path):
    """Plan the file's runs: (exit status, standard output, standard error)."""

    def planned(runs: str, *arguments: object) -> tuple[int, str, str]:
        path = tmp_path / "mine.py"
        path.write_text(FILE.replace("SWEEP", runs))
        return call(path, "--out", tmp_path / "out", *arguments)

    return planned


RUN = "[Run(**(BASE | dict({})))]"
WRONG = {
    "a state that grows": ("net=from_nnx(Grows)", "must keep its shape"),
    "a count by halves": ("net=from_nnx(Halves)", "seen of Halves is int32 () before a pass and float32 ()"),
    "max norm of transposed kernels": ("net=from_equinox(E), penalties=(MaxNorm(2.0),)", "are [out, in]"),
    "an initializer nobody reads": ("net=from_equinox(E), initializer='orthogonal'", "redraw_kernels=True"),
    "an activation nobody reads": ("net=from_equinox(E), activation='elu'", "no argument activation"),
    "lsuv": ("net=from_equinox(E, redraw_kernels=True), initializer='lsuv'", "initializer LSUV transforms"),
    "one number of three": ("net=from_equinox(Scalar)", "it must be [B, 3]"),
    "a vocabulary of numbers": ("net=from_nnx(Reads)", "needs vocabulary"),
    "channels first of vectors": ("net=from_equinox(E, channels_first=True)", "channels_first is True"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_work_is_one_line_before_anything_starts(planned, tmp_path, wrong):
    text, message = WRONG[wrong]
    status, out, error = planned(RUN.format(text))
    assert (status, out) == (2, "")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "right",
    ["net=from_nnx(Reads), data=tokens", "net=from_equinox(Scalar), data=numbers, loss='mean_squared_error'"],
    ids=["a vocabulary from the data", "one number for one output"],
)
def test_what_the_data_say_reaches_the_constructor(planned, right):
    status, out, error = planned(RUN.format(right), "--dry-run")
    assert (status, error) == (0, "")
    assert "1 runs" in out


def test_a_change_in_what_a_class_reaches_makes_another_run(tmp_path):
    from lanes.describe.experiment_files import runs_of

    path, ids = tmp_path / "mine.py", []
    text = FILE.replace("SWEEP", RUN.format("net=from_nnx(N, width=4)"))
    for edit in (("", ""), ("SLOPE = 2.0", "SLOPE = 3.0"), ("nnx.relu", "nnx.gelu"), ("(2, size,", "(2, 1 * size,")):
        path.write_text(text.replace(*edit))
        ids += [lanes.identify(run) for run in runs_of(path)]
    path.write_text(text.replace("class N", "# A comment.\nclass N"))
    assert len(set(ids)) == 4
    assert [lanes.identify(run) for run in runs_of(path)] == ids[:1]


@pytest.mark.slow
def test_rates_share_a_program_and_initializers_redraw(planned, tmp_path):
    runs = (
        "[*grid(Run(**BASE, net=from_nnx(N, width=4)), dropout=[0.0, 0.2, 0.6]),"
        " *grid(Run(**BASE, net=from_equinox(E, redraw_kernels=True)), initializer=['zeros', 'he_normal'])]"
    )
    status, out, error = planned(runs, "--no-report")
    assert status == 0, error
    table = lanes.load(tmp_path / "out")
    assert set(table["status"]) == {"done"}
    assert "3 training programs" in out  # dropout off, dropout on, and one for both initializers
    assert table["train_loss"].nunique() == 5
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)
    for row in table.itertuples():
        net, variables = lanes.restore(tmp_path / "out", row.run_id)
        call_module = net.module(variables) if row.net == "N" else jax.vmap(net.module(variables))
        np.testing.assert_allclose(call_module(x), net.apply(variables, x, train=False), rtol=1e-5, atol=1e-6)
    assert "nothing to do" in planned(runs, "--no-report")[1]
