"""Recurrent nets: formulas of the cells, causality by gradients, masks, heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nets import IdentityRNN, PerLayer, Recurrent
from nets.activations import PReLU, relu
from nets.lstm import LSTMCell


@pytest.mark.parametrize(
    ("net", "shape", "dtype", "count"),
    [
        (Recurrent(cell="rnn", widths=(64,)), (28, 28), jnp.float32, 28 * 64 + 64 * 64 + 64 + 650),
        (Recurrent(cell="lstm", widths=(64,)), (28, 28), jnp.float32, 4 * (28 * 64 + 64 * 64 + 64) + 650),
        (Recurrent(cell="gru", widths=(64,)), (28, 28), jnp.float32, 3 * (28 * 64 + 64 * 64 + 64) + 64 + 650),
        (Recurrent(cell="gru", widths=(6,), bidirectional=True, head="all"), (40, 1), jnp.float32, 5_110),
        (Recurrent(cell="rnn", widths=(8,), embedding=4, outputs=65, head="each"), (9,), jnp.int32, 260 + 104 + 585),
    ],
)
def test_parameters(net, shape, dtype, count, parameter_count):
    net.check(shape)
    assert parameter_count(net, shape, dtype) == count


def test_elman_net_follows_its_formula(variables_of):
    x = jax.random.normal(jax.random.key(0), (3, 4, 2))
    net = Recurrent(cell="rnn", widths=(5,))
    variables = variables_of(net, x)
    cell = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"]["layer_0_forward"])
    h = np.zeros((3, 5))
    for t in range(4):
        h = np.tanh(np.asarray(x, np.float64)[:, t] @ cell["i"]["kernel"] + cell["i"]["bias"] + h @ cell["h"]["kernel"])
    output = variables["params"]["output"]
    expected = h @ np.asarray(output["kernel"]) + np.asarray(output["bias"])
    apply = jax.jit(lambda x: net.apply(variables, x, train=False))
    np.testing.assert_allclose(apply(x), expected, rtol=1e-4, atol=1e-6)


def test_lstm_equals_that_of_flax_in_values_and_all_derivatives():
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (3, 5, 2), jnp.float64)
        make = {"param_dtype": jnp.float64}
        nets = nn.RNN(nn.OptimizedLSTMCell(4, **make)), nn.RNN(LSTMCell(4, **make))
        variables, ours = (net.init(jax.random.key(1), x) for net in nets)
        jax.tree.map(np.testing.assert_array_equal, variables, ours)  # the same names and initial values
        turned = jax.tree.map(jnp.sin, variables)

        def derivatives(net):
            def f(variables, x):
                return jnp.sin(net.apply(variables, x)).sum()

            value, slopes = jax.value_and_grad(f, argnums=(0, 1))(variables, x)
            _, forward = jax.jvp(f, (variables, x), (turned, jnp.cos(x)))
            _, curvature = jax.jvp(jax.grad(f), (variables, x), (turned, jnp.cos(x)))  # forward over reverse
            again = jax.grad(lambda x: jax.grad(f, argnums=1)(variables, x)[0, 0, 0])(x)  # reverse over reverse
            return value, slopes, forward, curvature, again

        expected, got = jax.jit(lambda: tuple(derivatives(net) for net in nets))()
    assert expected[0].dtype == jnp.float64
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12), expected, got)


@pytest.mark.slow
def test_an_lstm_applies_another_activation_to_its_state(variables_of):
    x = jax.random.normal(jax.random.key(0), (4, 6, 2))

    def states_and_slopes(activation):
        net = Recurrent(cell="lstm", widths=(5,), activation=PerLayer(activation), head="each")
        variables = variables_of(net, x)

        def summed(params):
            output, kept = net.apply({"params": params}, x, train=False, mutable=["intermediates"])
            return output.sum(), kept["intermediates"]["hidden"][0]

        slopes, states = jax.jit(jax.grad(summed, has_aux=True))(variables["params"])
        return states, jax.tree_util.tree_leaves_with_path(slopes)

    states, _ = states_and_slopes(relu)
    assert (states >= 0).all()  # a sigmoid times a rectified state
    assert (states == 0).any()
    _, slopes = states_and_slopes(PReLU())  # the layer owns the slope
    (learned,) = [leaf for path, leaf in slopes if "slope" in jax.tree_util.keystr(path)]
    assert learned != 0


@pytest.mark.parametrize("cell", ["lstm", *(pytest.param(cell, marks=pytest.mark.slow) for cell in ("rnn", "gru"))])
def test_predictions_depend_on_the_past_only(cell, variables_of):
    x = jax.random.normal(jax.random.key(0), (1, 5, 2))
    net = Recurrent(cell=cell, widths=(3, 3), head="each", outputs=1)
    variables = variables_of(net, x)
    slopes = jax.jit(jax.jacobian(lambda x: net.apply(variables, x, train=False)[0, :, 0]))(x)[:, 0]  # [T, T, C]
    seen = (slopes != 0).any(axis=2)
    np.testing.assert_array_equal(seen, np.tril(np.ones((5, 5), bool)))


def test_bidirectional_nets_see_everything(variables_of):
    x = jax.random.normal(jax.random.key(0), (1, 4, 2))
    net = Recurrent(cell="gru", widths=(3,), head="each", outputs=1, bidirectional=True)
    variables = variables_of(net, x)
    slopes = jax.jit(jax.jacobian(lambda x: net.apply(variables, x, train=False)[0, :, 0]))(x)[:, 0]
    assert (slopes != 0).any(axis=2).all()


@pytest.mark.parametrize(
    ("head", "bidirectional"),
    [("mean", False), *(pytest.param(head, True, marks=pytest.mark.slow) for head in ("last", "all"))],
)
def test_steps_after_the_end_of_a_sequence_are_ignored(head, bidirectional, variables_of):
    net = Recurrent(cell="gru", widths=(3, 2), head=head, bidirectional=bidirectional)
    x = jax.random.normal(jax.random.key(0), (2, 5, 2))
    variables = variables_of(net, x)
    lengths = jnp.array([3, 5])
    apply = jax.jit(lambda x, lengths=None: net.apply(variables, x, train=False, lengths=lengths))
    garbage = x.at[0, 3:].set(100.0)
    np.testing.assert_array_equal(apply(x, lengths), apply(garbage, lengths))
    if head != "all":
        short = apply(x[:1, :3])
        np.testing.assert_allclose(apply(garbage, lengths)[:1], short, rtol=1e-5, atol=1e-6)
    full = apply(x)
    np.testing.assert_allclose(apply(x, jnp.array([5, 5])), full, rtol=1e-5, atol=1e-6)


def test_identity_initialization_keeps_the_state(variables_of):
    """With an identity kernel, rectifiers and constant input, h grows by the same amount each step."""
    net = Recurrent(
        cell="rnn", widths=(4,), head="each", orthogonal=False, kernel_init=IdentityRNN(), activation=PerLayer(relu)
    )
    x = jnp.ones((1, 6, 2))
    variables = variables_of(net, x)
    np.testing.assert_array_equal(variables["params"]["layer_0_forward"]["h"]["kernel"], np.eye(4))
    _, sown = net.apply(variables, x, train=False, mutable=["intermediates"])
    h = sown["intermediates"]["hidden"][0][0]
    np.testing.assert_allclose(jnp.diff(h, axis=0), jnp.broadcast_to(h[:1], (5, 4)), rtol=1e-4, atol=1e-7)


def test_tokens_are_embedded(variables_of):
    net = Recurrent(cell="rnn", widths=(3,), vocabulary=7, embedding=2, outputs=4)
    tokens = jnp.array([[0, 6, 3]], jnp.int32)
    variables = variables_of(net, tokens)
    assert variables["params"]["embedding"]["embedding"].shape == (7, 2)
    assert net.apply(variables, tokens, train=False).shape == (1, 4)
