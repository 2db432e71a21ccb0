"""Nets that users have in NNX and Equinox, from an experiment file to the trained module."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lanes
from lanes.cli import evaluate, sweep
from lanes.data.loading import load_dataset

pytest.importorskip("equinox", reason="the extra `equinox` is not installed")

FILE = '''
"""The same question to a net in NNX and to one in Equinox."""
import equinox as eqx
import jax
from flax import nnx

from lanes import Blobs, Run, grid
from nets import from_equinox, from_nnx


class Nnx(nnx.Module):
    def __init__(self, features, width, outputs, *, rngs):
        self.hidden = nnx.Linear(features, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.5, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.out = nnx.Linear(width, outputs, rngs=rngs)

    def __call__(self, x):
        return self.out(self.drop(jax.nn.relu(self.norm(self.hidden(x)))))


class Eqx(eqx.Module):
    hidden: eqx.nn.Linear
    drop: eqx.nn.Dropout
    out: eqx.nn.Linear

    def __init__(self, features, width, outputs, *, key):
        one, two = jax.random.split(key)
        self.hidden, self.out = eqx.nn.Linear(features, width, key=one), eqx.nn.Linear(width, outputs, key=two)
        self.drop = eqx.nn.Dropout(0.1)

    def __call__(self, x, *, key=None):
        return self.out(self.drop(jax.nn.relu(self.hidden(x)), key=key))


BASE = Run(data=Blobs(n=120, classes=3, distance=4.0), learning_rate=0.03, batch_size=16, epochs=6)


def sweep():
    return grid(BASE, net=[from_nnx(Nnx, features=2, width=8), from_equinox(Eqx, features=2, width=8)], seed=range(2))
'''


@pytest.fixture
def call(capsys):
    """Call a command in this process: (exit status, standard output, standard error)."""

    def call(command, *arguments: object) -> tuple[int, str, str]:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            status = command.run([str(word) for word in arguments])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


@pytest.mark.slow
def test_nets_of_other_libraries_train_resume_and_give_their_modules_back(call, tmp_path):
    path, out = tmp_path / "mine.py", tmp_path / "out"
    path.write_text(FILE)
    status, _, error = call(sweep, path, "--out", out, "--devices", "1", "--width", "2")
    assert status == 0, error
    table = lanes.load(out)
    assert set(table["net"]) == {"Nnx", "Eqx"}
    assert set(table["net.width"]) == {8}
    assert table["test_accuracy"].min() > 0.8
    data = load_dataset(lanes.Blobs(n=120, classes=3, distance=4.0))
    x = jnp.asarray((np.asarray(data.test.x) - np.asarray(data.offset)) * np.asarray(data.scale), jnp.float32)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for _, row in table.iterrows():
            net, variables = lanes.restore(out, row["run_id"])
            module = net.module(variables)
            logits = module(x) if row["net"] == "Nnx" else jax.vmap(module)(x)
            np.testing.assert_allclose(net.apply(variables, x, train=False), logits, rtol=1e-5, atol=1e-6)
            accuracy = np.mean(np.argmax(logits, axis=1) == np.asarray(data.test.y))
            np.testing.assert_allclose(accuracy, row["test_accuracy"], atol=1e-6)
    status, text, error = call(sweep, path, "--out", out, "--devices", "1", "--width", "2", "--set", "net.width=8")
    assert status == 0, error
    assert len(lanes.load(out)) == 4
    status, text, error = call(evaluate, out, "--best", "1")
    assert status == 0, error
    assert "accuracy" in text


WRONG = {
    "a class of NNX": ("net=N", "from nets import from_nnx"),
    "a module of NNX": ("net=N(rngs=nnx.Rngs(0))", "from nets import from_nnx"),
    "a class of Equinox": ("net=E", "from nets import from_equinox"),
    "a module of Equinox": ("net=E(3, key=jax.random.key(0))", "from nets import from_equinox"),
    "a misspelt argument": ("net=from_nnx(N, widht=3)", "did you mean 'width'"),
    "an argument of the engine's": ("net=from_equinox(E, outputs=3)", "the engine fills"),
    "another shape of examples": ("net=from_nnx(N), data=Digits()", "cannot be built for examples of shape (8, 8, 1)"),
    "dropout without a use": ("net=from_nnx(N), dropout=0.1", "dropout is 0.1"),
    "a penalty on hidden layers": ("net=from_nnx(N), penalties=(ActivityL1(1e-3),)", "no hidden activations"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_work_is_one_line_before_anything_starts(call, tmp_path, wrong):
    text, message = WRONG[wrong]
    arguments = {"data": "Blobs(n=120, classes=3)", "net": None}
    path = tmp_path / "wrong.py"
    path.write_text(
        "import equinox as eqx\nimport jax\nfrom flax import nnx\nfrom lanes import *\nfrom losses import ActivityL1\n"
        "from nets import from_equinox, from_nnx\n\n\n"
        "class N(nnx.Module):\n    def __init__(self, width=3, *, rngs):\n        self.a = nnx.Linear(2, width, rngs=rngs)\n\n"
        "    def __call__(self, x):\n        return self.a(x)\n\n\n"
        "class E(eqx.Module):\n    a: eqx.nn.Linear\n\n    def __init__(self, outputs, *, key):\n"
        "        self.a = eqx.nn.Linear(2, outputs, key=key)\n\n    def __call__(self, x):\n        return self.a(x)\n\n\n"
        f"def sweep():\n    settings = dict(data={arguments['data']}, batch_size=8, epochs=1)\n"
        f"    return [Run(**(settings | dict({text})))]\n"
    )
    status, out, error = call(sweep, path, "--out", tmp_path / "out", "--devices", "1")
    assert (status, out) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_a_description_of_a_bridged_run_is_read_back_as_the_same_run(tmp_path):
    from lanes.describe.experiment_files import load_module
    from lanes.describe.identity import describe, from_description, run_id

    path = tmp_path / "mine.py"
    path.write_text(FILE)
    module = load_module(path)
    for run in module.sweep():
        text = json.loads(json.dumps(describe(run)))
        again = from_description(text, module)
        assert again.net == run.net
        assert run_id(again) == run_id(run)
