"""Random biases, from an experiment file to the weights that training starts from."""

import numpy as np
import pytest

import lanes
from lanes import Blobs, Run
from lanes.describe import identity
from nets import MLP

FILE = """
import dataclasses

import jax.numpy as jnp
from flax import linen as nn

from lanes import Blobs, Run, grid
from nets import MLP, Uniform


def half(key, shape, dtype=jnp.float32):
    return jnp.full(shape, 0.5, dtype)


class Bare(nn.Module):
    outputs: int = 1
    kernel_init: object = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.Dense(self.outputs, use_bias=False, kernel_init=self.kernel_init)(x)


BASE = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), optimizer="sgd", learning_rate=1e-6, batch_size=20, epochs=1)


def sweep():
    return SWEEP
"""


@pytest.mark.slow
def test_biases_start_where_their_initializer_puts_them_and_kernels_as_without_one(call, tmp_path):
    path = tmp_path / "biases.py"
    path.write_text(
        FILE.replace("SWEEP", "grid(BASE, bias_initializer=[None, half, Uniform(0.3), Uniform(0.1)], seed=[0, 1])")
    )
    status, out, error = call(path, "--out", tmp_path / "out", "--devices", "1")
    assert status == 0, error
    assert "by 1 training programs" in out
    table = lanes.load(tmp_path / "out")
    assert sorted(table["bias_initializer.limit"].dropna()) == [0.1, 0.1, 0.3, 0.3]
    found = {}
    for _, row in table.iterrows():
        _, variables = lanes.restore(tmp_path / "out", row["run_id"], epoch="last")
        name = row["bias_initializer"] if isinstance(row["bias_initializer"], str) else "None"
        found[name, row["bias_initializer.limit"], row["seed"]] = variables["params"]
    for (name, limit, seed), params in found.items():
        plain = next(own for (other, _, at), own in found.items() if other == "None" and at == seed)
        for layer in ("hidden_0", "output"):
            own, reference = (tree[layer].get("dense", tree[layer]) for tree in (params, plain))
            np.testing.assert_allclose(own["kernel"], reference["kernel"], atol=1e-5)
            most = {"None": 0, "half": 0.5}.get(name, limit)
            assert np.all(np.abs(own["bias"]) <= most + 1e-5)
            if name == "half":
                np.testing.assert_allclose(own["bias"], 0.5, atol=1e-5)
            elif name != "None":
                assert len(np.unique(own["bias"])) == own["bias"].size


WRONG = {
    "a kernel's": ("grid(BASE, bias_initializer=['he_normal'])", "bias_initializer is he_normal, which fails"),
    "transforming": ("grid(BASE, bias_initializer=['lsuv'])", "after they are drawn"),
    "twice": ("grid(BASE, {'net.bias': [0.1]}, bias_initializer=['normal'])", "set one of them"),
    "no biases": ("grid(BASE, net=[Bare()], bias_initializer=['normal'])", "no parameter named bias"),
    "a misspelt name": ("grid(BASE, bias_initializer=['normall'])", "'normal'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_biases_that_cannot_be_drawn_are_one_line(call, tmp_path, wrong):
    text, message = WRONG[wrong]
    path = tmp_path / "wrong.py"
    path.write_text(FILE.replace("SWEEP", text))
    status, out, error = call(path, "--out", tmp_path / "out", "--devices", "1", "--dry-run")
    assert (status, out) == (2, "")
    assert error.count("\n") == 1
    assert message in error, error


def test_a_run_without_the_setting_has_the_identity_it_had_before():
    run = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)))
    assert "bias_initializer" not in identity.describe(run)
    assert "bias_initializer" in identity.describe(Run(data=Blobs(), net=MLP(), bias_initializer="normal"))
