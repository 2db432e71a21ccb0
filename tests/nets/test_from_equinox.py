"""Nets of Equinox: kernels redrawn in its layouts, channels first, states, rates of dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import from_equinox, he_normal, orthogonal, scaled

eqx = pytest.importorskip("equinox", reason="the extra `equinox` is not installed")


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6)), jnp.float32)
IMAGES = jnp.asarray(np.random.default_rng(1).normal(size=(2, 5, 4, 3)), jnp.float32)


def initial(net, x=X):
    keys = {"params": jax.random.key(1), "dropout": jax.random.key(2)}
    return jax.jit(lambda x: net.init(keys, x, train=False))(x)


class Layers(eqx.Module):
    """A layer of each layout; its pass uses none of them but the last."""

    conv: eqx.nn.Conv2d
    back: eqx.nn.ConvTranspose1d
    cell: eqx.nn.GRUCell
    embed: eqx.nn.Embedding
    norm: eqx.nn.LayerNorm
    stack: eqx.nn.Linear
    w: jax.Array

    def __init__(self, outputs, *, key):
        keys = jax.random.split(key, 6)
        self.conv = eqx.nn.Conv2d(4, 64, (3, 2), groups=2, key=keys[0])
        self.back = eqx.nn.ConvTranspose1d(8, 64, 3, key=keys[1])
        self.cell = eqx.nn.GRUCell(32, 16, key=keys[2])
        self.embed = eqx.nn.Embedding(50, 8, key=keys[3])
        self.norm = eqx.nn.LayerNorm((4, 4))
        self.stack = eqx.filter_vmap(lambda key: eqx.nn.Linear(32, 64, key=key))(jax.random.split(keys[4], 3))
        self.w = jax.random.normal(keys[5], (outputs, 6))

    def __call__(self, x):
        return self.w @ x


@pytest.mark.slow
def test_redrawn_kernels_have_the_fans_of_equinoxs_layout():
    own = initial(from_equinox(Layers).clone(outputs=40))["params"]
    net = from_equinox(Layers, redraw_kernels=True).clone(outputs=40, kernel_init=scaled(he_normal, 2.0))
    drawn = initial(net)["params"]
    for path, fan in {"conv.weight": 12, "back.weight": 24, "cell.weight_ih": 32, "stack.weight": 32, "w": 6}.items():
        ours, theirs = drawn, own
        for step in (*path.split("."), "kernel"):
            ours, theirs = ours[step], theirs[step]
        assert ours.shape == theirs.shape
        assert float(jnp.std(ours)) == pytest.approx(2 * (2 / fan) ** 0.5, rel=0.12), path
    for layer, name in (("conv", "bias"), ("norm", "weight"), ("cell", "bias_n")):
        np.testing.assert_array_equal(drawn[layer][name], own[layer][name])
    np.testing.assert_array_equal(drawn["embed"]["weight"]["kernel"], own["embed"]["weight"]["kernel"])


def numbered(key, shape, dtype=jnp.float32):
    """Each number is its position in [*window, in, out]."""
    del key
    return jnp.arange(float(np.prod(shape))).reshape(shape).astype(dtype)


def test_a_redrawn_kernel_is_transposed_into_equinoxs_layout():
    net = from_equinox(Layers, redraw_kernels=True).clone(outputs=40, kernel_init=numbered)
    params = initial(net)["params"]
    ours = numbered(None, (3, 2, 2, 64))
    np.testing.assert_array_equal(params["conv"]["weight"]["kernel"], np.transpose(ours, (3, 2, 0, 1)))
    np.testing.assert_array_equal(params["w"]["kernel"], numbered(None, (6, 40)).T)
    for kernel in params["stack"]["weight"]["kernel"]:
        np.testing.assert_array_equal(kernel, numbered(None, (32, 64)).T)


@pytest.mark.slow
def test_orthogonal_kernels_have_orthonormal_rows_for_more_inputs_than_outputs():
    net = from_equinox(eqx.nn.MLP, in_size=6, out_size=3, width_size=5, depth=1, redraw_kernels=True)
    kernel = initial(net.clone(kernel_init=orthogonal))["params"]["layers"]["0"]["weight"]["kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(5), atol=1e-5)


class Image(eqx.Module):
    """Convolves [C, H, W]."""

    conv: eqx.nn.Conv2d

    def __init__(self, outputs, *, key):
        self.conv = eqx.nn.Conv2d(3, outputs, (5, 4), key=key)

    def __call__(self, x):
        return self.conv(x)[:, 0, 0]


def test_channels_first_hands_over_examples_as_equinoxs_convolutions_take_them():
    net = from_equinox(Image, channels_first=True).clone(outputs=2)
    variables = initial(net, IMAGES)
    conv = variables["params"]["conv"]
    expected = jnp.einsum("bhwc,ochw->bo", IMAGES, conv["weight"]["kernel"]) + conv["bias"][:, 0, 0]
    np.testing.assert_allclose(net.apply(variables, IMAGES, train=False), expected, rtol=1e-4, atol=1e-5)
    module = net.module(variables)
    np.testing.assert_allclose(jax.vmap(module)(jnp.moveaxis(IMAGES, -1, 1)), expected, rtol=1e-4, atol=1e-5)


class Counted(eqx.Module):
    """Counts its passes; its state comes after the key."""

    out: eqx.nn.Linear
    passes: eqx.nn.StateIndex

    def __init__(self, outputs, *, key):
        self.out, self.passes = eqx.nn.Linear(6, outputs, key=key), eqx.nn.StateIndex(jnp.array(0))

    def __call__(self, x, key, state):
        del key
        return self.out(x), state.set(self.passes, state.get(self.passes) + 1)


def with_state(outputs, *, key):
    """A function that makes a module and its state."""
    return eqx.nn.make_with_state(Counted)(outputs, key=key)


@pytest.mark.parametrize("made", [Counted, with_state], ids=["class", "function"])
def test_a_state_is_handed_over_by_its_name_and_may_be_made_by_the_user(made):
    net = from_equinox(made).clone(outputs=3)
    variables = initial(net)
    _, after = net.apply(variables, X, train=True, mutable=["state"])
    assert int(after["state"]["state"]["0"]) == 1


class Halved(eqx.Module):
    """Scales the rate, and asks whether there is one."""

    drop: eqx.Module
    keep: object = eqx.field(static=True)

    def __init__(self, outputs, dropout, *, key):
        del outputs, key
        self.drop = eqx.nn.Dropout(dropout / 2) if dropout > 0 else eqx.nn.Identity()
        self.keep = 1 - dropout

    def __call__(self, x, *, key=None):
        return self.drop(x, key=key) * self.keep


class Weighted(eqx.Module):
    """One weight before the dropout."""

    w: jax.Array
    inner: Halved

    def __init__(self, outputs, dropout, *, key):
        self.w, self.inner = jnp.ones(()), Halved(outputs, dropout, key=key)

    def __call__(self, x, *, key=None):
        return self.inner(self.w * x, key=key)


def test_a_rate_that_the_constructor_scales_is_traced_and_not_trained():
    net, x = from_equinox(Weighted), jnp.ones((4, 5_000))
    variables = jax.jit(lambda rate: net.clone(dropout=rate).init({"params": jax.random.key(0)}, x, train=False))(0.1)
    assert [leaf.shape for leaf in jax.tree.leaves(variables)] == [()]

    @jax.jit
    def dropped(rate):
        return net.clone(dropout=rate).apply(variables, x, train=True, rngs={"dropout": jax.random.key(1)})

    for rate in (0.2, 0.5):
        out = dropped(rate)
        assert float(jnp.mean(out == 0)) == pytest.approx(rate / 2, abs=0.01)
        assert float(jnp.max(out)) == pytest.approx((1 - rate) / (1 - rate / 2), rel=1e-5)
    np.testing.assert_array_equal(net.apply(variables, x, train=True), x)


class Deep(eqx.Module):
    """An array with more axes than a matrix."""

    w: jax.Array

    def __init__(self, outputs, *, key):
        self.w = jax.random.normal(key, (outputs, 2, 3))

    def __call__(self, x):
        return jnp.einsum("oij,ij->o", self.w, x.reshape(2, 3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: initial(from_equinox(Deep, redraw_kernels=True).clone(outputs=3)), "which of its axes"),
        (lambda: initial(from_equinox(Image).clone(outputs=2), IMAGES), "channels_first=True"),
        (lambda: from_equinox(Image, channels_first=True).check((6,)), "leave it out"),
        (lambda: from_equinox(Image, channels_first="yes"), "True or False"),
    ],
    ids=["deep", "last", "vector", "text"],
)
def test_what_cannot_work_is_refused_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
