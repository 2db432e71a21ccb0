"""Nets of Flax NNX: kernels redrawn in its layouts, rates of dropout in its layers, what constructors may do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from nets import from_nnx, he_normal, orthogonal, scaled
from nets.bridge_rate import Rate


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6)), jnp.float32)


def initial(net, x=X):
    keys = {"params": jax.random.key(1), "dropout": jax.random.key(2)}
    return jax.jit(lambda x: net.init(keys, x, train=False))(x)


class Layers(nnx.Module):
    """A layer of each layout; its pass uses none of them but the last."""

    def __init__(self, outputs, *, rngs):
        self.conv = nnx.Conv(4, 64, (3, 3), rngs=rngs)
        self.back = nnx.ConvTranspose(4, 64, (3, 3), rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, 64, 64, decode=False, rngs=rngs)
        self.sum = nnx.Einsum("bi,io->bo", (64, 48), rngs=rngs)
        self.embed = nnx.Embed(50, 8, rngs=rngs)
        self.lora = nnx.LoRALinear(6, 6, lora_rank=2, rngs=rngs)
        self.w = nnx.Param(jnp.ones((6, outputs)))
        self.stack = nnx.vmap(lambda rngs: nnx.Linear(32, 64, rngs=rngs))(rngs.split(3))

    def __call__(self, x):
        return self.lora(x) @ self.w


@pytest.mark.slow
def test_redrawn_kernels_have_the_initializers_variance_in_every_layout():
    net = from_nnx(Layers, redraw_kernels=True).clone(outputs=40, kernel_init=scaled(he_normal, 2.0))
    own = initial(from_nnx(Layers).clone(outputs=40))["params"]
    drawn = initial(net)["params"]
    fans = {"conv": 36, "back": 36, "sum": 64, "stack": 32, "lora": 6, "w": 6}
    for name, fan in fans.items():
        std = float(jnp.std(drawn[name]["kernel"]))
        assert std == pytest.approx(2 * (2 / fan) ** 0.5, rel=0.35 if fan == 6 else 0.08), name
    for name in ("query", "out"):
        assert float(jnp.std(drawn["attention"][name]["kernel"])) == pytest.approx(2 * (2 / 64) ** 0.5, rel=0.08)
    for path in (("embed", "embedding"), ("conv", "bias"), ("lora", "lora", "lora_b", "kernel")):
        ours, theirs = drawn, own
        for step in path:
            ours, theirs = ours[step], theirs[step]
        np.testing.assert_array_equal(ours, theirs)


class Stacked(nnx.Module):
    """Three layers, stacked by `nnx.vmap`."""

    def __init__(self, outputs, *, rngs):
        self.stack = nnx.vmap(lambda rngs: nnx.Linear(6, 8, use_bias=False, rngs=rngs))(rngs.split(3))
        self.out = nnx.Linear(6, outputs, rngs=rngs)

    def __call__(self, x):
        return self.out(x)


def test_stacked_layers_are_drawn_one_by_one():
    net = from_nnx(Stacked, redraw_kernels=True).clone(outputs=3, kernel_init=orthogonal)
    kernels = initial(net)["params"]["stack"]["kernel"]
    assert kernels.shape == (3, 6, 8)
    for kernel in kernels:
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(6), atol=1e-5)
    assert np.any(np.abs(kernels[0] - kernels[1]) > 0.01)


def test_redrawing_is_a_field_only_where_it_is_asked_for():
    plain, redrawn = from_nnx(Stacked), from_nnx(Stacked, redraw_kernels=True)
    assert [field.name for field in dataclasses.fields(plain)][:1] == ["outputs"]
    assert redrawn.redraw_kernels
    assert redrawn != plain
    assert from_nnx(Stacked, redraw_kernels=False) == plain
    np.testing.assert_array_equal(
        initial(redrawn.clone(redraw_kernels=False))["params"]["stack"]["kernel"],
        initial(plain)["params"]["stack"]["kernel"],
    )


class Attention(nnx.Module):
    """Asks in its constructor whether there is dropout, and hands the rate to two kinds of layers."""

    def __init__(self, outputs, dropout, *, rngs):
        self.attention = nnx.MultiHeadAttention(2, 6, dropout_rate=dropout, decode=False, rngs=rngs)
        self.drop = nnx.Dropout(dropout / 2, rngs=rngs) if dropout > 0 else None
        self.out = nnx.Linear(6, outputs, rngs=rngs)

    def __call__(self, x):
        x = self.attention(x[:, None])[:, 0]
        return self.out(x if self.drop is None else self.drop(x))


@pytest.mark.slow
def test_attention_takes_a_traced_rate():
    net = from_nnx(Attention).clone(outputs=3)
    variables = initial(net)

    @jax.jit
    def dropped(rate):
        return net.clone(dropout=rate).apply(variables, X, train=True, rngs={"dropout": jax.random.key(0)})

    plain = net.apply(variables, X, train=True, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_allclose(dropped(1e-7), plain, rtol=1e-4, atol=1e-6)
    assert np.any(np.abs(dropped(0.5) - plain) > 0.01)


class Computing(nnx.Module):
    """Numbers and closures made by JAX, a module of Linen, an argument called rate and one that Flax has too."""

    def __init__(self, width, outputs, rate=0.1, name="own", *, rngs):
        self.label = name
        self.hidden = nnx.Linear(6, int(jnp.sqrt(width)), rngs=rngs)
        table = jnp.arange(float(self.hidden.out_features))
        self.shift = lambda z: z + table
        self.drop = nnx.Dropout(rate, rngs=rngs)
        self.out = nnx.bridge.ToNNX(nn.Dense(outputs), rngs=rngs).lazy_init(jnp.ones((1, 4)))

    def __call__(self, x):
        return self.out(self.drop(self.shift(self.hidden(x))))


def test_a_constructor_may_compute_with_jax_and_hold_modules_of_linen():
    net = from_nnx(Computing, width=16, rate=0.2).clone(outputs=3)
    assert net.rate == 0.2
    variables = initial(net)
    hidden = variables["params"]["hidden"]
    module = net.module(variables)
    expected = module.out(X @ hidden["kernel"] + hidden["bias"] + jnp.arange(4.0))
    np.testing.assert_allclose(jax.jit(lambda v: net.apply(v, X, train=False))(variables), expected, rtol=1e-5)


def test_a_rate_decides_what_is_the_same_for_all_rates():
    source = []
    rate = Rate(source)
    assert rate > 0
    assert rate < 1
    assert rate != 0
    assert rate
    assert rate / 2 < 0.5
    assert 1 - rate > 0
    assert not rate * 2 > 2
    assert rate * 0 == 0
    for decide in (
        lambda: rate > 0.5,
        lambda: min(rate, 0.3),
        lambda: float(rate),
        lambda: rate == 0.5,
        lambda: 1 / rate,
    ):
        with pytest.raises(TypeError, match=r"net\.rate"):
            decide()
    half, keep = rate / 2 + 0.1, 1 - rate
    source.append(jnp.float32(0.4))
    np.testing.assert_allclose(
        [half.read(), keep.read(), 1.0 - rate, jnp.ones(()) * rate], [0.3, 0.6, 0.6, 0.4], rtol=1e-6
    )


class Deep(nnx.Module):
    """A parameter with more axes than a matrix."""

    def __init__(self, outputs, *, rngs):
        self.w = nnx.Param(rngs.params.normal((2, 3, outputs)))

    def __call__(self, x):
        return jnp.einsum("bij,ijo->bo", x.reshape(-1, 2, 3), self.w)


class Bias(nnx.Module):
    """No kernel."""

    def __init__(self, outputs):
        self.b = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x):
        return x[:, : len(self.b)] + self.b


class Deterministic(nnx.Module):
    """Takes an argument that nothing fills."""

    def __call__(self, x, *, deterministic):
        return x if deterministic else 2 * x


class Clipped(nnx.Module):
    """Reads the rate in Python."""

    def __init__(self, outputs, dropout, *, rngs):
        self.drop = nnx.Dropout(min(dropout, 0.5), rngs=rngs)
        self.out = nnx.Linear(6, outputs, rngs=rngs)

    def __call__(self, x):
        return self.out(self.drop(x))


class Redraws(nnx.Module):
    """An argument of the bridge's own name."""

    def __init__(self, redraw_kernels, *, rngs):
        """Nothing."""


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: initial(from_nnx(Deep, redraw_kernels=True).clone(outputs=3)), ValueError, "which of its axes"),
        (lambda: initial(from_nnx(Bias, redraw_kernels=True).clone(outputs=3)), ValueError, "no kernels"),
        (lambda: from_nnx(Bias, redraw_kernels=1), ValueError, "True or False"),
        (lambda: from_nnx(Redraws), ValueError, "rename it"),
        (lambda: from_nnx(Deterministic), ValueError, "needs deterministic"),
        (lambda: initial(from_nnx(Clipped).clone(outputs=3, dropout=jnp.float32(0.1))), TypeError, "net.rate"),
    ],
    ids=["deep", "bias", "number", "name", "deterministic", "min"],
)
def test_what_cannot_work_is_refused_in_one_line(make, error, words):
    with pytest.raises(error, match=words) as raised:
        make()
    assert "\n" not in str(raised.value)
