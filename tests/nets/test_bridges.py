"""Descriptions of NNX and Equinox nets: fields, arguments that the engine fills, names of parameters, refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from nets import LSUV, PerLayer, PReLU, bridge, from_equinox, from_nnx, he_normal, scaled, tanh

eqx = pytest.importorskip("equinox", reason="the extra `equinox` is not installed")


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Small(nnx.Module):
    """A net with every argument that the engine fills."""

    def __init__(self, width: int, outputs: int, activation, kernel_init, dropout=0.0, depth=1, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(2, width, kernel_init=kernel_init, rngs=rngs)
        self.more = nnx.List([nnx.Linear(width, width, rngs=rngs) for _ in range(depth - 1)])
        self.out = nnx.Linear(width, outputs, rngs=rngs)
        self.drop = nnx.Dropout(dropout, rngs=rngs)
        self.activation = activation

    def __call__(self, x):
        x = self.activation(self.hidden(x))
        for layer in self.more:
            x = layer(x)
        return self.out(self.drop(x))


class Plain(nnx.Module):
    """A matrix of its own, a table, and a counter."""

    def __init__(self, units=3, *, rngs):
        self.w = nnx.Param(rngs.params.normal((2, units)))
        self.b = nnx.Param(jnp.zeros(units))
        self.table = jnp.arange(3.0)
        self.seen = nnx.Variable(jnp.zeros((), jnp.int32))

    def __call__(self, x, train):
        if train:
            self.seen[...] += len(x)
        return x @ self.w + self.b + self.table


class Image(eqx.Module):
    """Convolution, layer normalization and a dense layer, for one image."""

    conv: eqx.nn.Conv2d
    norm: eqx.nn.LayerNorm
    out: eqx.nn.Linear

    def __init__(self, channels, outputs, *, key):
        one, two = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(1, channels, 3, padding=1, key=one)
        self.norm = eqx.nn.LayerNorm((channels, 4, 4))
        self.out = eqx.nn.Linear(channels * 16, outputs, key=two)

    def __call__(self, x):
        return self.out(self.norm(self.conv(jnp.moveaxis(x, -1, 0))).ravel())


class NeedsKey(eqx.Module):
    """Splits its key in evaluation too, and takes the rate of its dropout."""

    out: eqx.nn.Linear
    drop: eqx.nn.Dropout

    def __init__(self, outputs, dropout, *, key):
        self.out, self.drop = eqx.nn.Linear(2, outputs, key=key), eqx.nn.Dropout(dropout)

    def __call__(self, x, key):
        one, _ = jax.random.split(key)
        return self.out(self.drop(x, key=one))


X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2)), jnp.float32)
SMALL = from_nnx(Small, width=5)
ENGINE = {"outputs": 3, "activation": PerLayer(tanh), "kernel_init": scaled(he_normal, 2.0), "dropout": 0.0}


def paths(tree):
    return {".".join(key.key for key in path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def initial(net, x=X):
    return net.init({"params": jax.random.key(1), "dropout": jax.random.key(2)}, x, train=False)


def test_fields_are_the_arguments_of_the_constructor_and_equal_descriptions_are_equal():
    assert (SMALL.width, SMALL.depth) == (5, 1)
    assert SMALL.clone(width=7).width == 7
    assert from_nnx(Small, width=5, depth=1) == SMALL
    assert hash(SMALL) == hash(from_nnx(Small, width=5))
    assert from_nnx(Small, width=6) != SMALL
    assert type(SMALL).__name__ == "Small"


def test_the_engines_fields_reach_the_constructor():
    net = SMALL.clone(**ENGINE)
    variables = initial(net)
    assert paths(variables["params"])["out.kernel"] == (5, 3)
    module = net.module(variables)
    expected = jnp.tanh(X @ module.hidden.kernel + module.hidden.bias) @ module.out.kernel + module.out.bias
    np.testing.assert_allclose(net.apply(variables, X, train=False), expected, rtol=1e-6)
    np.testing.assert_allclose(module(X), expected, rtol=1e-6)
    assert module.activation is tanh
    twice = initial(net.clone(kernel_init=scaled(he_normal, 4.0)))["params"]["hidden"]["kernel"]
    np.testing.assert_allclose(twice, 2 * variables["params"]["hidden"]["kernel"], rtol=1e-6)


def test_matrices_end_in_kernel_and_vectors_keep_their_names():
    net = from_nnx(Plain).clone(outputs=3)
    variables = initial(net)
    assert paths(variables["params"]) == {"w.kernel": (2, 3), "b": (3,)}
    assert paths(variables["state"]) == {"table": (3,), "seen": ()}
    net = from_equinox(Image, channels=2).clone(outputs=3)
    params = paths(initial(net, jnp.zeros((2, 4, 4, 1)))["params"])
    assert params["conv.weight.kernel"] == (2, 1, 3, 3)
    assert params["out.weight.kernel"] == (3, 32)
    assert {"conv.bias", "norm.weight", "norm.bias", "out.bias"} <= set(params)


def test_the_state_of_a_net_is_updated_once_per_pass_in_training_only():
    net = from_nnx(Plain).clone(outputs=3)
    variables = initial(net)
    _, after = net.apply(variables, X, train=True, mutable=["state"])
    assert int(after["state"]["seen"]) == 4
    _, after = net.apply(variables, X, train=False, mutable=["state"])
    assert int(after["state"]["seen"]) == 0


def test_an_equinox_net_is_mapped_over_the_batch_and_its_rate_may_be_traced():
    net = from_equinox(NeedsKey).clone(outputs=3)
    variables = initial(net)
    assert set(paths(variables["params"])) == {"out.weight.kernel", "out.bias"}
    module = net.module(variables)
    expected = X @ module.out.weight.T + module.out.bias
    np.testing.assert_allclose(net.apply(variables, X, train=False), expected, rtol=1e-5)

    @jax.jit
    def dropped(rate):
        return net.clone(dropout=rate).apply(variables, X, train=True, rngs={"dropout": jax.random.key(0)})

    np.testing.assert_allclose(dropped(0.0), expected, rtol=1e-5)
    assert np.any(np.abs(dropped(0.5) - expected) > 0.1)


def test_the_constructor_is_traced_for_shapes_only():
    made = []

    class Counting(nnx.Module):
        def __init__(self, outputs, *, rngs):
            made.append(None)
            self.out = nnx.Linear(2, outputs, kernel_init=nnx.initializers.ones, rngs=rngs)

        def __call__(self, x):
            return self.out(x)

    net = from_nnx(Counting).clone(outputs=3)
    variables = initial(net)
    made.clear()
    step = jax.jit(functools.partial(net.apply, train=False))
    for _ in range(3):
        step(variables, X)
    assert len(made) == 1
    text = str(jax.make_jaxpr(functools.partial(net.apply, train=False))(variables, X))
    assert "random_bits" not in text


class Dropped(nnx.Module):
    """Dropout alone, at the rate and at half of it."""

    def __init__(self, dropout, *, rngs):
        self.one, self.half = nnx.Dropout(dropout, rngs=rngs), nnx.Dropout(dropout / 2, rngs=rngs)
        self.w = nnx.Param(jnp.ones(()))

    def __call__(self, x):
        return jnp.stack([self.one(self.w * x), self.half(x)])


def test_an_nnx_nets_rate_of_dropout_may_be_traced():
    net, x = from_nnx(Dropped), jnp.ones(20_000)
    variables = net.init({"params": jax.random.key(0)}, x, train=False)

    @jax.jit
    def dropped(rate):
        return net.clone(dropout=rate).apply(variables, x, train=True, rngs={"dropout": jax.random.key(1)})

    for rate in (0.0, 0.2, 0.5):
        out = dropped(rate)
        np.testing.assert_allclose(np.mean(out == 0, axis=1), [rate, rate / 2], atol=0.01)
        np.testing.assert_allclose(np.max(out, axis=1), [1 / (1 - rate), 1 / (1 - rate / 2)], rtol=1e-5)


class Checkpointed(nnx.Module):
    """Its layer is called through `nnx.remat` and `nnx.jit`, which hand its parameters back."""

    def __init__(self, outputs, *, rngs):
        self.out = nnx.Linear(2, outputs, rngs=rngs)

    def __call__(self, x):
        return nnx.jit(nnx.remat(lambda layer, x: layer(x)))(self.out, x)


class PerExample(eqx.Module):
    """Its state is one example."""

    w: jax.Array
    last: eqx.nn.StateIndex

    def __init__(self, outputs, *, key):
        self.w, self.last = jax.random.normal(key, (2, outputs)), eqx.nn.StateIndex(jnp.zeros(2))

    def __call__(self, x, state):
        return x @ self.w, state.set(self.last, x)


class Nothing(eqx.Module):
    """No arrays."""

    def __call__(self, x):
        return x


class Keeps(eqx.Module):
    """A random key among its arrays."""

    key: jax.Array
    w: jax.Array

    def __init__(self, outputs, *, key):
        self.key, self.w = key, jax.random.normal(key, (2, outputs))

    def __call__(self, x):
        return x @ self.w


def chain(width, outputs, *, rngs):
    """A function that makes a module."""
    return nnx.Sequential(nnx.Linear(2, width, rngs=rngs), nnx.relu, nnx.Linear(width, outputs, rngs=rngs))


def test_transformations_of_nnx_inside_a_net_change_no_parameters():
    net = from_nnx(Checkpointed).clone(outputs=3)
    variables = initial(net)
    kernel, bias = variables["params"]["out"]["kernel"], variables["params"]["out"]["bias"]
    np.testing.assert_allclose(net.apply(variables, X, train=True), X @ kernel + bias, rtol=1e-5)


def test_functions_and_classes_of_the_libraries_are_nets_too():
    made = from_nnx(chain, width=4).clone(outputs=3)
    assert paths(initial(made)["params"])["layers.2.kernel"] == (4, 3)
    net = from_equinox(eqx.nn.MLP, in_size=2, out_size=3, width_size=4, depth=1).clone(activation=PerLayer(tanh))
    variables = initial(net)
    hidden, out = (variables["params"]["layers"][name] for name in ("0", "1"))
    expected = jnp.tanh(X @ hidden["weight"]["kernel"].T + hidden["bias"]) @ out["weight"]["kernel"].T + out["bias"]
    np.testing.assert_allclose(net.apply(variables, X, train=False), expected, rtol=1e-5)


class Linear(nn.Module):
    """Not of NNX."""


class ByDefault(nnx.Module):
    """Its own dropout would be overwritten."""

    def __init__(self, outputs, dropout=0.1, *, rngs):
        """Nothing."""


class Moving(nnx.Module):
    """Changes a parameter in its forward pass."""

    def __init__(self, outputs, *, rngs):
        self.w = nnx.Param(rngs.params.normal((2, outputs)))

    def __call__(self, x):
        self.w[...] = self.w[...] / 2
        return x @ self.w


class Tuple(eqx.Module):
    """Returns two things."""

    w: jax.Array

    def __init__(self, outputs, *, key):
        self.w = jax.random.normal(key, (2, outputs))

    def __call__(self, x):
        return x @ self.w, x


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: from_nnx(Small, witdh=5), "did you mean 'width'"),
        (lambda: from_nnx(Small), "needs width"),
        (lambda: from_nnx(Small, width=5, outputs=3), "the engine fills"),
        (lambda: from_nnx(Small, width=5, dropout=0.1), "the engine fills"),
        (lambda: from_nnx(Small, width=np.zeros(3)), "ndarray"),
        (lambda: from_nnx(Small, width=lambda: 3), "no identity"),
        (lambda: from_nnx(Small, width=nnx.initializers.normal(0.1)), "no identity"),
        (lambda: from_nnx(ByDefault), "dropout=0.1 by default"),
        (lambda: from_nnx(Linear), "no nnx.Module"),
        (lambda: from_nnx(Plain(rngs=nnx.Rngs(0))), "not a class"),
        (lambda: from_nnx(Tuple), "no nnx.Module"),
        (lambda: from_equinox(Plain), "no equinox.Module"),
        (lambda: from_equinox(NeedsKey(3, 0.1, key=jax.random.key(0))), "not a class"),
        (lambda: initial(SMALL.clone(**{**ENGINE, "activation": PerLayer(PReLU())})), "must not learn"),
        (lambda: initial(SMALL.clone(**{**ENGINE, "kernel_init": scaled(LSUV(), 1.0)})), "LSUV"),
        (lambda: initial(from_nnx(Moving).clone(outputs=3)), "changes in the forward pass"),
        (lambda: initial(from_equinox(PerExample).clone(outputs=3)), "differs by example"),
        (lambda: initial(from_equinox(Nothing).clone(outputs=3)), "no parameters"),
        (lambda: initial(from_equinox(Keeps).clone(outputs=3)), "random key"),
        (lambda: initial(from_equinox(Tuple).clone(outputs=3)), "returns tuple"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [Plain, Plain(rngs=nnx.Rngs(0)), nnx.Linear])
def test_a_bare_nnx_module_is_told_how_to_be_a_net(value):
    assert "from nets import from_nnx" in bridge.refusal(value)


def test_a_bare_equinox_module_is_told_how_to_be_a_net():
    for value in (NeedsKey, NeedsKey(3, 0.1, key=jax.random.key(0)), eqx.nn.MLP):
        assert "from nets import from_equinox" in bridge.refusal(value)
    assert bridge.refusal(SMALL) is None
    assert bridge.refusal(nn.Dense(3)) is None
