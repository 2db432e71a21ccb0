"""Initializers: documented variances, orthogonality, exact counts, and the signal through ten layers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets.initializers import (
    INITIALIZERS,
    LSUV,
    Constant,
    IdentityRNN,
    Normal,
    Sparse,
    Uniform,
    ZeroResidual,
    orthogonal,
    scaled,
)

DENSE, CONV = (900, 1200), (3, 3, 200, 600)

# Variances as documented: a number divided by nothing, by the fan-in, or by the sum of both fans.
VARIANCE = {
    "uniform_0.01": (0.01**2 / 3, "nothing"),
    "uniform_0.1": (0.1**2 / 3, "nothing"),
    "fan_in_uniform": (1 / 3, "in"),
    "normal": (0.01**2, "nothing"),
    "xavier_uniform": (2, "both"),
    "xavier_normal": (2, "both"),
    "lecun_uniform": (1, "in"),
    "lecun_normal": (1, "in"),
    "he_uniform": (2, "in"),
    "he_normal": (2, "in"),
    "zero_residual": (2, "in"),
    "sparse": (15, "in"),
    "identity_rnn": (0.001**2, "nothing"),  # if not square
}


def _variance(name: str, shape: Sequence[int]) -> float:
    number, divisor = VARIANCE[name]
    window = math.prod(shape[:-2])
    return number / {"nothing": 1, "in": window * shape[-2], "both": window * (shape[-2] + shape[-1])}[divisor]


def test_every_entry_is_tested() -> None:
    assert set(INITIALIZERS) == {*VARIANCE, "zeros", "constant", "orthogonal", "lsuv"}


@pytest.mark.parametrize("name", VARIANCE)
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_mean_and_variance_over_a_million_draws(name: str, kind: str) -> None:
    # A small fan-in for sparse weights, so that about a million of them are nonzero.
    shapes = {"dense": (20, 60_000), "conv": (2, 2, 5, 60_000)} if name == "sparse" else {"dense": DENSE, "conv": CONV}
    weights = np.asarray(INITIALIZERS[name](jax.random.key(3), shapes[kind]), np.float64)
    assert weights.size > 1e6
    expected = _variance(name, shapes[kind])
    assert weights.var() == pytest.approx(expected, rel=0.01)
    assert abs(weights.mean()) < 4 * math.sqrt(expected / weights.size)


@pytest.mark.parametrize("name", ["xavier_uniform", "lecun_uniform", "he_uniform", "uniform_0.1", "fan_in_uniform"])
def test_uniform_fills_exactly_its_interval(name: str) -> None:
    weights = np.abs(INITIALIZERS[name](jax.random.key(0), (100, 300)))
    limit = math.sqrt(3 * _variance(name, (100, 300)))
    assert 0.99 * limit < weights.max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("name", ["xavier_normal", "lecun_normal", "he_normal", "normal"])
def test_normal_is_not_truncated(name: str) -> None:
    weights = np.asarray(INITIALIZERS[name](jax.random.key(0), (400, 500)), np.float64)
    share_beyond_two = np.mean(np.abs(weights) > 2 * math.sqrt(_variance(name, (400, 500))))
    assert share_beyond_two == pytest.approx(0.0455, abs=0.002)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_shape_dtype_and_key(name: str) -> None:
    initializer = INITIALIZERS[name]
    half = initializer(jax.random.key(0), (3, 2, 5), jnp.bfloat16)
    assert (half.shape, half.dtype) == ((3, 2, 5), jnp.bfloat16)
    weights = initializer(jax.random.key(0), (20, 24))
    assert (weights.shape, weights.dtype) == ((20, 24), jnp.float32)
    np.testing.assert_array_equal(weights, initializer(jax.random.key(0), (20, 24)))
    random = name not in ("zeros", "constant")
    assert random == bool(np.any(weights != initializer(jax.random.key(1), (20, 24))))


def test_zeros_and_constant() -> None:
    assert not INITIALIZERS["zeros"](jax.random.key(0), (3, 4)).any()
    np.testing.assert_array_equal(
        INITIALIZERS["constant"](jax.random.key(0), (3, 4)), np.full((3, 4), np.float32(0.01))
    )


@pytest.mark.parametrize("shape", [(64, 64), (30, 80), (3, 3, 8, 40), (3, 3, 4, 50)])
@pytest.mark.parametrize("name", ["orthogonal", "lsuv"])
def test_orthogonal(name: str, shape: tuple[int, ...]) -> None:
    q = np.asarray(INITIALIZERS[name](jax.random.key(0), shape), np.float64).reshape(-1, shape[-1])
    q = q if q.shape[0] >= q.shape[1] else q.T
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "k", "dtype"),
    [((200, 50), 15, jnp.float32), ((5, 5, 8, 16), 3, jnp.bfloat16), ((6, 50), 15, jnp.float32)],
)
def test_sparse_has_exactly_k_weights_per_unit(shape: tuple[int, ...], k: int, dtype: Any) -> None:
    weights = np.asarray(Sparse(k=k)(jax.random.key(0), shape, dtype), np.float32).reshape(-1, shape[-1])
    np.testing.assert_array_equal(np.count_nonzero(weights, axis=0), min(k, weights.shape[0]))
    if k < weights.shape[0]:
        assert len({tuple(np.flatnonzero(unit)) for unit in weights.T}) > 1  # each unit has its own inputs


def test_identity_rnn() -> None:
    key = jax.random.key(0)
    np.testing.assert_array_equal(IdentityRNN(scale=0.5)(key, (4, 4)), 0.5 * np.eye(4))
    h = jax.random.normal(key, (1, 7, 6, 4))  # [B, H, W, C]
    kernel = IdentityRNN()(key, (3, 3, 4, 4))
    out = jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(out, h, rtol=1e-6)


@pytest.mark.parametrize(
    ("description", "field"),
    [(Constant(), "value"), (Uniform(), "limit"), (Normal(), "std"), (Sparse(k=3), "std"), (IdentityRNN(), "std")],
)
def test_traced_parameters(description: Any, field: str) -> None:
    draw = jax.jit(
        lambda p, dtype: replace(description, **{field: p})(jax.random.key(0), (8, 6), dtype), static_argnums=1
    )
    single, double = draw(jnp.float32(1), jnp.float32), draw(jnp.float32(2), jnp.float32)
    np.testing.assert_allclose(double, 2 * single, rtol=1e-6)
    assert draw(jnp.float32(2), jnp.bfloat16).dtype == jnp.bfloat16


def test_scaled_multiplies_by_a_traced_gain() -> None:
    @jax.jit
    def draw(gain: jax.Array) -> dict[str, jax.Array]:
        key, names = jax.random.key(0), set(INITIALIZERS) - {"lsuv", "zero_residual"}
        return {name: scaled(INITIALIZERS[name], gain)(key, (12, 8)) for name in names}

    plain, gained = draw(jnp.float32(1)), draw(jnp.float32(3))
    for name, weights in gained.items():
        np.testing.assert_allclose(weights, 3 * plain[name], rtol=1e-5)
        np.testing.assert_allclose(plain[name], INITIALIZERS[name](jax.random.key(0), (12, 8)), rtol=1e-5, atol=1e-7)


def _signal(activation: Callable[[jax.Array], jax.Array], name: str) -> np.ndarray:
    """Standard deviations of the activations after each of 10 layers of 500 units."""

    @jax.jit
    def through(key: jax.Array) -> jax.Array:
        h, deviations = jax.random.normal(key, (500, 500)), []
        for layer in range(10):
            h = activation(h @ INITIALIZERS[name](jax.random.fold_in(key, layer), (500, 500)))
            deviations.append(h.std())
        return jnp.stack(deviations)

    return np.asarray(through(jax.random.key(0)))


@pytest.mark.parametrize("name", ["lecun_normal", "lecun_uniform", "xavier_normal", "xavier_uniform"])
def test_lecun_and_xavier_preserve_the_signal_through_tanh(name: str) -> None:
    deviations = _signal(jnp.tanh, name)
    assert deviations.max() < 0.7
    assert deviations.min() > 0.2


@pytest.mark.parametrize("name", ["he_normal", "he_uniform"])
def test_he_preserves_the_signal_through_relu(name: str) -> None:
    deviations = _signal(jax.nn.relu, name)
    assert deviations.max() < 1.0
    assert deviations.min() > 0.6


def test_small_weights_lose_the_signal_through_tanh() -> None:
    deviations = _signal(jnp.tanh, "uniform_0.01")
    assert deviations[-1] < 1e-8
    # each layer shrinks by √(fan_in a²/3) = 0.129
    np.testing.assert_allclose(deviations[1:] / deviations[:-1], math.sqrt(500 * 0.01**2 / 3), rtol=0.1)


@pytest.mark.parametrize("name", ["xavier_normal", "xavier_uniform"])
def test_xavier_loses_the_signal_through_relu(name: str) -> None:
    deviations = _signal(jax.nn.relu, name)
    assert deviations[-1] < 0.05 * deviations[0]
    # each layer halves the second moment
    assert (deviations[-1] / deviations[0]) ** (1 / 9) == pytest.approx(math.sqrt(0.5), rel=0.03)


class Tanhs(nn.Module):
    """Convolution, dense layers with biases, one dense layer used twice, a recurrent layer, an output."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        h = nn.tanh(nn.Conv(4, (3, 3), kernel_init=LSUV(), name="conv")(x)).reshape(x.shape[0], -1)
        h = nn.tanh(nn.Dense(32, kernel_init=LSUV(), name="first")(h))
        h = nn.BatchNorm(use_running_average=not train)(h)
        shared = nn.Dense(32, kernel_init=LSUV(), bias_init=nn.initializers.constant(3.0), name="shared")
        h = nn.tanh(shared(nn.relu(shared(h))))
        h = nn.RNN(nn.SimpleCell(8, kernel_init=LSUV()), name="recurrent")(h[:, None, :])[:, 0]
        return nn.Dense(3, kernel_init=LSUV(), name="last")(h)


@pytest.fixture(scope="module")
def lsuv() -> tuple[nn.Module, Any, Any, Any, jax.Array]:
    """The net, its variables before, after, and after with gain 0.5, and the batch."""
    x = 7 * jax.random.normal(jax.random.key(0), (64, 6, 6, 2))
    net = Tanhs()
    before = net.init(jax.random.key(1), x, train=False)

    @jax.jit
    def transformed(variables: Any, gain: jax.Array) -> Any:
        key = jax.random.key(2)
        return LSUV().transform(variables, net, x, key), scaled(LSUV(), gain).transform(variables, net, x, key)  # type: ignore[union-attr]

    return (net, before, *transformed(before, jnp.float32(0.5)), x)


def test_lsuv_gives_every_layer_unit_variance(lsuv: Any) -> None:
    net, before, after, _, x = lsuv
    _, seen = net.apply(after, x, train=False, capture_intermediates=True)
    outputs = seen["intermediates"]
    for name in ("conv", "first", "shared", "last"):
        assert float(outputs[name]["__call__"][0].var()) == pytest.approx(1, abs=1e-4)
    assert abs(float(net.apply(before, x, train=False).var()) - 1) > 0.1


def test_lsuv_only_scales_kernels(lsuv: Any) -> None:
    _, before, after, _, _ = lsuv
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for name in ("conv", "first", "shared", "last"):
        old, new = (np.asarray(v["params"][name]["kernel"]) for v in (before, after))
        ratio = np.sum(new * old) / np.sum(old * old)
        assert ratio > 0
        np.testing.assert_allclose(new, ratio * old, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(before["params"][name]["bias"], after["params"][name]["bias"])
    # The kernels of recurrent cells and the statistics are left unchanged.
    cell = "SimpleCell_0"
    jax.tree.map(np.testing.assert_array_equal, before["params"][cell], after["params"][cell])
    jax.tree.map(np.testing.assert_array_equal, before["batch_stats"], after["batch_stats"])


def test_the_gain_is_applied_after_lsuv(lsuv: Any) -> None:
    _, _, after, gained, _ = lsuv
    for name in ("conv", "last"):
        np.testing.assert_allclose(gained["params"][name]["kernel"], 0.5 * after["params"][name]["kernel"], rtol=1e-5)
    np.testing.assert_array_equal(gained["params"]["shared"]["bias"], after["params"]["shared"]["bias"])


class Scanned(nn.Module):
    """Three dense layers with tanh, their parameters stacked along a leading axis."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        del train

        def body(layer: nn.Module, h: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
            z = layer(h)
            return jnp.tanh(z), z

        layer = nn.Dense(x.shape[-1], kernel_init=LSUV(), name="stacked")
        axes = {"params": 0, "lsuv": 0}
        return nn.scan(body, variable_axes=axes, split_rngs={"params": True}, length=3)(layer, x, None)[1]


def test_lsuv_in_stacked_layers() -> None:
    net, x = Scanned(), 5 * jax.random.normal(jax.random.key(0), (32, 6))
    before = net.init(jax.random.key(1), x, train=False)
    after = jax.jit(lambda v: LSUV().transform(v, net, x, jax.random.key(2)))(before)
    assert after["params"]["stacked"]["kernel"].shape == (3, 6, 6)
    np.testing.assert_allclose(net.apply(after, x, train=False).var((1, 2)), 1, atol=1e-4)
    assert np.all(np.abs(net.apply(before, x, train=False).var((1, 2)) - 1) > 0.1)


def test_lsuv_leaves_a_layer_with_constant_output_alone() -> None:
    net = OneDense()
    variables = net.init(jax.random.key(0), jnp.ones((4, 3)), train=False)
    after = LSUV().transform(variables, net, jnp.zeros((4, 3)), jax.random.key(0))
    np.testing.assert_array_equal(after["params"]["Dense_0"]["kernel"], variables["params"]["Dense_0"]["kernel"])


class OneDense(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        del train
        return nn.Dense(5, kernel_init=LSUV())(x)


class Branches(nn.Module):
    """Two residual blocks: one branch ends in a dense layer, the other in a dense layer with its normalization."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        del train
        plain = nn.relu(nn.Dense(6, kernel_init=ZeroResidual(), name="inner")(x))
        x = x + nn.Dense(4, kernel_init=ZeroResidual(), name="residual_out")(plain)
        return x + Normalized(name="residual_out_1")(nn.relu(x))


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.LayerNorm(name="norm")(nn.Dense(4, kernel_init=ZeroResidual(), name="dense")(x))


def test_zero_residual_blocks_start_as_their_shortcuts_and_are_trainable() -> None:
    net, x = Branches(), jax.random.normal(jax.random.key(0), (5, 4))
    before = net.init(jax.random.key(1), x, train=False)
    after = jax.jit(lambda v: ZeroResidual().transform(v, net, x, jax.random.key(2)))(before)
    np.testing.assert_array_equal(net.apply(after, x, train=False), x)

    params, old = after["params"], before["params"]
    assert not params["residual_out"]["kernel"].any()
    assert not params["residual_out_1"]["norm"]["scale"].any()
    np.testing.assert_array_equal(params["residual_out_1"]["dense"]["kernel"], old["residual_out_1"]["dense"]["kernel"])
    np.testing.assert_array_equal(params["inner"]["kernel"], old["inner"]["kernel"])

    gradient = jax.grad(lambda p: jnp.sum(net.apply({"params": p}, x, train=False) ** 2))(params)
    assert gradient["residual_out"]["kernel"].any()
    assert gradient["residual_out_1"]["norm"]["scale"].any()


def test_the_gain_is_applied_after_zero_residual() -> None:
    net, x = Branches(), jnp.ones((5, 4))
    before = net.init(jax.random.key(1), x, train=False)
    after: Any = scaled(ZeroResidual(), 2.0).transform(before, net, x, jax.random.key(2))  # type: ignore[union-attr]
    np.testing.assert_allclose(after["params"]["inner"]["kernel"], 2 * before["params"]["inner"]["kernel"], rtol=1e-6)
    assert not after["params"]["residual_out"]["kernel"].any()


def test_zero_residual_leaves_nets_without_branches_alone() -> None:
    net, x = OneDense(), jnp.ones((5, 4))
    before = net.init(jax.random.key(1), x, train=False)
    after = ZeroResidual().transform(before, net, x, jax.random.key(2))
    jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (Constant(math.nan), r"`value` \(=nan\) must be a finite number"),
        (Uniform(0.0), r"`limit` \(=0.0\) must be finite and above 0"),
        (Normal(-1.0), r"`std` \(=-1.0\) must be finite and above 0"),
        (Sparse(k=0), r"`k` \(=0\) must be at least 1"),
        (Sparse(std=math.inf), r"`std` \(=inf\) must be finite"),
        (IdentityRNN(scale=math.inf), r"`scale` \(=inf\) must be a finite number"),
    ],
)
def test_ranges(description: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        description.check()
    assert "\n" not in str(error.value)


def test_defaults_are_in_range_and_vectors_are_no_kernels() -> None:
    for initializer in INITIALIZERS.values():
        getattr(initializer, "check", lambda: None)()
    for initializer in (Sparse(), IdentityRNN(), orthogonal):
        with pytest.raises(ValueError, match=r"shape"):
            initializer(jax.random.key(0), (5,))
