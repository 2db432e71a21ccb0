"""The MLP's parameters, and its forward pass against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes import Run, identify
from nets import LSUV, MLP, Maxout, PerLayer


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


@pytest.mark.parametrize("norm", [None, "layer_norm"])
def test_layers_in_a_loop_compute_the_same_function(norm):
    x = jax.random.normal(jax.random.key(0), (5, 7))
    looped = MLP(widths=(6,) * 4, outputs=2, norm=norm, scanned=True)
    params = looped.init(jax.random.key(1), x, train=False)["params"]
    kernels = np.asarray(params["hidden_rest"]["dense"]["kernel"])
    assert kernels.shape == (3, 6, 6)
    assert abs(kernels[0] - kernels[1]).max() > 0.1, "each layer is drawn for itself"
    separate = {
        f"hidden_{at + 1}": jax.tree.map(lambda leaf, at=at: leaf[at], params["hidden_rest"]) for at in range(3)
    }
    separate |= {name: params[name] for name in ("hidden_0", "output")}

    def gradient(net, params):
        return jax.grad(lambda params: (net.apply({"params": params}, x, train=False) ** 2).sum())(params)

    plain = looped.clone(scanned=False)
    np.testing.assert_allclose(
        looped.apply({"params": params}, x, train=False), plain.apply({"params": separate}, x, train=False), rtol=1e-5
    )
    one, other = gradient(looped, params), gradient(plain, separate)
    for at in range(3):
        found = jax.tree.map(lambda leaf, at=at: leaf[at], one["hidden_rest"])
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, other[f"hidden_{at + 1}"]
        )


def test_the_program_of_layers_in_a_loop_does_not_grow_with_depth():
    def length(depth):
        net, x = MLP(widths=(4,) * depth, scanned=True), jnp.ones((2, 4))
        params = jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=False))
        loss = jax.grad(lambda params: net.apply(params, x, train=False).sum())
        return len(jax.jit(loss).lower(params).as_text().splitlines())

    assert length(3) == length(100)


def test_layers_in_a_loop_drop_units_of_their_own():
    net = MLP(widths=(400,) * 3, dropout=0.5, scanned=True, kernel_init=jax.nn.initializers.zeros, bias=1.0)
    x = jnp.ones((1, 3))
    variables = net.init(jax.random.key(0), x, train=False)
    ones = jax.tree.map(jnp.asarray, variables)
    eye = jnp.broadcast_to(jnp.eye(400), (2, 400, 400))
    ones["params"]["hidden_rest"]["dense"] = {"kernel": eye, "bias": jnp.zeros((2, 400))}
    ones["params"]["output"]["kernel"] = jnp.ones((400, 10)) / 400
    y = net.apply(ones, x, train=True, rngs={"dropout": jax.random.key(3)})
    # Three masks that are independent keep 1 of 8 units, scaled by 8; equal ones would keep half of them.
    kept = float(y[0, 0]) / 8
    assert 0.06 < kept < 0.2


def test_lsuv_reaches_layers_in_a_loop():
    x = jax.random.normal(jax.random.key(0), (256, 8))
    net = MLP(widths=(32,) * 5, scanned=True)
    variables = net.init(jax.random.key(1), 3 * x, train=False)
    scaled = LSUV().transform(variables, net, 3 * x, jax.random.key(2))
    _, sown = net.apply(scaled, 3 * x, train=False, mutable=["intermediates"])
    rest = np.asarray(sown["intermediates"]["hidden_rest"]["hidden"][0])
    assert rest.shape == (4, 256, 32)
    kernels = np.asarray(scaled["params"]["hidden_rest"]["dense"]["kernel"])
    for h, kernel in zip(rest[:-1], kernels[1:], strict=True):
        np.testing.assert_allclose((h @ kernel).var(), 1, rtol=1e-4)


@pytest.mark.parametrize("widths", [(), (4,), (4, 5)])
def test_a_loop_of_other_widths_is_refused(widths):
    with pytest.raises(ValueError, match="two or more hidden layers of equal width"):
        MLP(widths=widths, scanned=True).check((3,))


def test_separate_layers_keep_their_identity():
    assert identify(Run(data="digits", net=MLP(widths=(8, 8)))) == identify(
        Run(data="digits", net=MLP(widths=(8, 8), scanned=False))
    )
    assert identify(Run(data="digits", net=MLP(widths=(8, 8)))) != identify(
        Run(data="digits", net=MLP(widths=(8, 8), scanned=True))
    )
