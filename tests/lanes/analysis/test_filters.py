"""First-layer filters: the nets' own kernels, in nets of several libraries, and nets without any."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.analysis.filters import NoFilters, first_layer_filters
from nets import CNN, MLP, VAE, Recurrent, ResNet
from nets.inspection import shapes

KEY = jax.random.key(0)


def bound(net, shape):
    """The net's parameters, at random, the net as a function of inputs, and an input."""
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), dict(shapes(net, shape)))
    return variables["params"], lambda x: net.apply(variables, x, train=False), jnp.ones((1, *shape))


def test_a_dense_layer_s_filters_have_the_form_of_the_inputs():
    params, forward, x = bound(MLP(widths=(5, 4)), (3, 4, 2))
    kernel = np.asarray(params["hidden_0"]["dense"]["kernel"])
    np.testing.assert_allclose(first_layer_filters(forward, x), kernel.T.reshape(5, 3, 4, 2), rtol=1e-6)


@pytest.mark.parametrize(
    ("net", "shape", "layer"),
    [
        (CNN(), (8, 8, 3), ("conv_0", "conv")),
        (CNN(), (40, 1), ("conv_0", "conv")),
        (VAE(widths=(4,), convolutional=True), (8, 8, 1), ("encoder", "hidden_0", "conv")),
    ],
    ids=["images", "series", "VAE"],
)
def test_a_convolution_s_filters_are_its_kernel(net, shape, layer):
    params, forward, x = bound(net, shape)
    for name in (*layer, "kernel"):
        params = params[name]
    np.testing.assert_array_equal(np.moveaxis(first_layer_filters(forward, x), 0, -1), params)


def test_a_stem_is_found_in_a_residual_net():
    assert first_layer_filters(*bound(ResNet(depth=8), (8, 8, 3))[1:]).shape == (16, 3, 3, 3)


def test_an_equinox_convolution_has_its_outputs_and_channels_first():
    layer = eqx.nn.Conv2d(3, 4, 5, key=KEY)

    def forward(x):
        return jax.vmap(layer)((x / 2 - 0.5).transpose(0, 3, 1, 2))

    found = first_layer_filters(forward, jnp.ones((1, 8, 8, 3)))
    np.testing.assert_array_equal(found, np.asarray(layer.weight).transpose(0, 2, 3, 1))


class Squared(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):  # noqa: ARG002
        return nn.Dense(2)(x * x)


class EachStep(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):  # noqa: ARG002
        return nn.Dense(2)(x).sum(axis=1)


class Mean(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):  # noqa: ARG002
        return x.mean(axis=1) + self.param("b", nn.initializers.zeros, (1, 1))


@pytest.mark.parametrize(
    ("net", "shape", "words"),
    [
        (Recurrent(), (40, 1), "within a loop or a recurrence"),
        (Squared(), (6,), "computes (integer_pow|square|mul) of the inputs before its first layer"),
        (EachStep(), (10, 3), "multiplies 3 of an example's 30 numbers at a time"),
        (Mean(), (10, 1), "computes reduce_sum of the inputs"),
    ],
    ids=["recurrence", "squared", "each step", "mean"],
)
def test_nets_without_filters_in_the_form_of_inputs_are_refused(net, shape, words):
    with pytest.raises(NoFilters, match=words):
        first_layer_filters(*bound(net, shape)[1:])
