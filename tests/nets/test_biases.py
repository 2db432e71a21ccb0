"""Initial biases: which parameters they are, and from which keys they are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nets import CNN, INITIALIZERS, MLP, Autoencoder, FanInUniform, Normal, Recurrent, ResNet, Uniform, biases
from nets.biases import with_biases

KEY = jax.random.key(3)


def drawn(net, shape, initializer):
    before = net.init({"params": jax.random.key(0), "dropout": KEY, "sample": KEY}, jnp.zeros((1, *shape)), train=False)
    return before["params"], with_biases(before["params"], initializer, KEY)


def changed(before, after):
    pairs = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    return {jax.tree_util.keystr(path) for (path, old), new in pairs if not np.array_equal(old, new)}


@pytest.mark.parametrize(
    ("net", "shape", "count"),
    [
        (MLP(widths=(4, 3)), (6,), 3),
        (MLP(widths=(4,), norm="batch_norm"), (6,), 2),
        (Autoencoder(widths=(4,), code=2), (6,), 4),
        (Recurrent(widths=(3,)), (5, 2), 5),
        pytest.param(ResNet(depth=8, width=4), (8, 8, 1), 1, marks=pytest.mark.slow),
    ],
    ids=["mlp", "normalized", "autoencoder", "recurrent", "resnet"],
)
def test_biases_are_drawn_and_nothing_else(net, shape, count):
    before, after = drawn(net, shape, Uniform(0.5))
    assert jax.tree.structure(before) == jax.tree.structure(after)
    names = changed(before, after)
    assert len(names) == count
    assert all(name.endswith("['bias']") and "norm" not in name for name in names)


def test_each_bias_has_draws_of_its_own_from_the_distribution():
    _, after = drawn(MLP(widths=(2000, 2000), outputs=2000), (1,), Normal(0.3))
    first, second, last = (np.asarray(after[at]["dense"]["bias"]) for at in ("hidden_0", "hidden_1", "hidden_0"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    np.testing.assert_array_equal(first, last)
    np.testing.assert_allclose([first.mean(), first.std()], [0, 0.3], atol=0.03)


def test_by_fan_in_a_bias_has_the_interval_of_its_kernel():
    _, dense = drawn(MLP(widths=(3000, 3000), outputs=3000), (16,), FanInUniform())
    for name, inputs in (("hidden_0", 16), ("hidden_1", 3000)):
        bias = np.asarray(dense[name]["dense"]["bias"], float)
        assert 0.99 / np.sqrt(inputs) < np.abs(bias).max() <= (1 + 1e-6) / np.sqrt(inputs)
        assert bias.var() == pytest.approx(1 / (3 * inputs), rel=0.1)
    _, conv = drawn(CNN(widths=(2000,), windows=(5,)), (40, 3), FanInUniform(2.0))
    bias = np.asarray(conv["conv_0"]["conv"]["bias"], float)
    assert 0.99 * 2 / np.sqrt(15) < np.abs(bias).max() <= 2 / np.sqrt(15) * (1 + 1e-6)


class Shifted(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return x + self.param("bias", nn.initializers.zeros, (3,))[None]


def test_by_fan_in_a_bias_without_a_kernel_is_refused():
    with pytest.raises(ValueError, match="no parameter named kernel beside it: use one"):
        drawn(Shifted(), (3,), FanInUniform())


class Bare(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.LayerNorm()(nn.Dense(2, use_bias=False)(x))


def test_a_net_without_biases_is_refused():
    with pytest.raises(ValueError, match="no parameter named bias"):
        drawn(Bare(), (3,), Uniform(0.5))


def test_an_initializer_that_returns_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1,\)"):
        drawn(MLP(widths=(4,)), (3,), lambda *_: jnp.zeros(1))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_entries_that_need_a_kernel_are_refused_for_biases(name):
    draws = {"zeros", "constant", "uniform_0.01", "uniform_0.1", "normal", "fan_in_uniform"}
    if name in draws:
        biases.check_initializer(INITIALIZERS[name], name)
        return
    with pytest.raises(ValueError, match=f"bias_initializer is {name}, which .*: use one") as error:
        biases.check_initializer(INITIALIZERS[name], name)
    assert "\n" not in str(error.value)
