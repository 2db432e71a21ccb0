"""The MLP's parameters, and its forward pass against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from nets import MLP, Maxout, PerLayer


def test_parameter_counts(parameter_count):
    assert parameter_count(MLP(widths=(4, 3), outputs=1), (6,)) == 47
    assert parameter_count(MLP(widths=(100, 100)), (40, 1)) == 15_210  # the MLP of MNIST-1D
    assert parameter_count(MLP(widths=(), outputs=10), (32, 32, 3)) == 30_730
    assert parameter_count(MLP(widths=(4, 3), outputs=1, activation=PerLayer(Maxout(pieces=3))), (6,)) == 84 + 45 + 4


def test_forward_pass_is_its_formula():
    x = jax.random.normal(jax.random.key(0), (5, 2, 3))
    net = MLP(widths=(4, 3), outputs=2, bias=0.1)
    variables = net.init(jax.random.key(1), x, train=False)
    h = np.asarray(x, np.float64).reshape(5, 6)
    for layer in ("hidden_0", "hidden_1"):
        dense = variables["params"][layer]["dense"]
        np.testing.assert_array_equal(dense["bias"], np.full(dense["bias"].shape, 0.1, np.float32))
        h = np.maximum(h @ np.asarray(dense["kernel"], np.float64) + 0.1, 0)
    expected = h @ np.asarray(variables["params"]["output"]["kernel"], np.float64)
    y, sown = net.apply(variables, x, train=False, mutable=["intermediates"])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert [len(layer["hidden"]) for layer in sown["intermediates"].values()] == [1, 1]


def test_input_dropout_acts_on_inputs_in_training_only():
    x = jnp.ones((4, 1000))
    net = MLP(widths=(), outputs=1, input_dropout=0.5, kernel_init=jax.nn.initializers.ones)
    variables = net.init(jax.random.key(0), x, train=False)
    np.testing.assert_allclose(net.apply(variables, x, train=False), 1000)
    y = net.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert (y != 1000).any()
    assert (abs(y - 1000) < 200).all()
