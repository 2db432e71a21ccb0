"""Activations against closed forms and finite differences, at kinks and at extremes."""

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from nets.activations import ACTIVATIONS, ELU, LeakyReLU, Maxout, PerLayer, PReLU, Sigmoid, Swish

_erf = np.vectorize(math.erf)


def _softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max())
    return powers / powers.sum()


def _logistic(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


# Closed forms in float64, by table name; different from the implementation's where another form is known.
CLOSED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda z: z,
    "step": lambda z: np.heaviside(z, 0.0),
    "step_ste": lambda z: np.heaviside(z, 0.0),
    "sigmoid": lambda z: 0.5 * (1 + np.tanh(z / 2)),
    "clipped_linear": lambda z: np.maximum(0, np.minimum(1, z)),
    "tanh": lambda z: 2 * _logistic(2 * z) - 1,
    "relu": lambda z: np.maximum(0, z),
    "abs": np.abs,
    "leaky_relu": lambda z: np.maximum(0, z) + 0.01 * np.minimum(0, z),
    "prelu": lambda z: np.maximum(0, z) + 0.25 * np.minimum(0, z),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "elu": lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(np.minimum(z, 0)) - 1)),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "log_sigmoid": lambda z: np.log(_logistic(z)),
    "swish": lambda z: z * _logistic(z),
    "silu": lambda z: z * _logistic(z),
    "sinc": lambda z: np.sinc(z / np.pi),
    "mish": lambda z: z * np.tanh(np.log(1 + np.exp(z))),
    "maxout": lambda z: z.reshape(2, -1).max(0),
    "gelu": lambda z: z * 0.5 * (1 + _erf(z / np.sqrt(2))),
    "hard_tanh": lambda z: np.maximum(-1, np.minimum(1, z)),
    "relu6": lambda z: np.minimum(6, np.maximum(0, z)),
    "softmax": _softmax,
}

# Gradients where the derivative jumps, as the docstrings state them: {name: {z: g'}}.
KINKS = {
    "step": {0.0: 0.0},
    "step_ste": {0.0: 1.0},
    "clipped_linear": {0.0: 0.0, 1.0: 0.0},
    "relu": {0.0: 0.0},
    "abs": {0.0: 0.0},
    "leaky_relu": {0.0: 0.01},
    "prelu": {0.0: 0.25},
    "elu": {0.0: 1.0},
    "selu": {0.0: 1.0507009873554805 * 1.6732632423543772},
    "sinc": {0.0: 0.0},
    "mish": {0.0: 0.6},
    "hard_tanh": {-1.0: 1.0, 1.0: 1.0},
    "relu6": {0.0: 0.0, 6.0: 0.0},
}

# Extremes and all kinks; an even number, for maxout.
EXTREMES = [0.0, 1e-8, -1e-8, 88.0, -88.0, 1e3, -1e3, 1e4, -1e4, 1.0, -1.0, 6.0]

# Points away from all kinks, on both sides of zero, of sinc's join at |z| = 1 and of relu6's ceiling; an even number.
POINTS = np.array([-7.3, -2.1, -1.05, -0.95, -0.3, -1e-3, 1e-3, 0.2, 0.7, 0.97, 1.03, 2.6, 5.1, 7.7])


def _weights(name: str, size: int) -> np.ndarray:
    """Unequal weights of the outputs: with equal ones softmax, whose outputs sum to 1, would have no gradient."""
    return np.linspace(0.5, 1.5, size // 2 if name == "maxout" else size)


@functools.cache
def _computed(dtype: str) -> dict[str, tuple[jax.Array, jax.Array]]:
    """{name: (value, gradient)} from one program: at POINTS with weights in float64, otherwise at EXTREMES."""

    @jax.jit
    def evaluate(z: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
        results = {}
        for name, activation in ACTIVATIONS.items():
            value, pullback = jax.vjp(activation, z)
            weights = jnp.asarray(_weights(name, z.size), z.dtype) if dtype == "float64" else jnp.ones_like(value)
            results[name] = (value, *pullback(weights))
        return results

    with jax.enable_x64(dtype == "float64"):
        return evaluate(jnp.asarray(POINTS if dtype == "float64" else EXTREMES, dtype))


def test_every_entry_has_a_closed_form() -> None:
    assert set(CLOSED) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients_in_float64(name: str) -> None:
    weights = _weights(name, len(POINTS))
    value, gradient = map(np.asarray, _computed("float64")[name])
    assert value.dtype == gradient.dtype == np.float64
    np.testing.assert_allclose(value, CLOSED[name](POINTS), rtol=1e-13, atol=1e-15)

    if name == "step_ste":
        np.testing.assert_array_equal(gradient, weights)
        return
    h = 1e-5
    steps = h * np.eye(len(POINTS))
    differences = [np.sum((CLOSED[name](POINTS + s) - CLOSED[name](POINTS - s)) * weights) / (2 * h) for s in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_at_kinks_are_the_documented_ones(name: str, dtype: str) -> None:
    _, gradient = _computed(dtype)[name]
    for z, expected in KINKS[name].items():
        assert float(gradient[EXTREMES.index(z)]) == pytest.approx(expected, rel=2**-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_at_extremes_are_finite_and_keep_the_dtype(name: str, dtype: str) -> None:
    value, gradient = _computed(dtype)[name]
    assert value.dtype == gradient.dtype == dtype
    assert np.isfinite(np.asarray(value, np.float64)).all()
    assert np.isfinite(np.asarray(gradient, np.float64)).all()
    closed = _stable(name, np.asarray(jnp.asarray(EXTREMES, dtype), np.float64))
    tolerance = 1e-5 if dtype == "float32" else 2**-6  # a few roundings of 8 bits
    np.testing.assert_allclose(np.asarray(value, np.float64), closed, rtol=tolerance, atol=tolerance / 10)


def _stable(name: str, z: np.ndarray) -> np.ndarray:
    """The closed form, written so that it does not overflow."""
    softplus = np.logaddexp(0, z)
    logistic = 0.5 * (1 + np.tanh(z / 2))
    stable = {
        "softplus": softplus,
        "log_sigmoid": -np.logaddexp(0, -z),
        "swish": z * logistic,
        "silu": z * logistic,
        "mish": z * np.tanh(softplus),
        "tanh": np.tanh(z),
    }
    return stable[name] if name in stable else CLOSED[name](z)


@pytest.mark.parametrize("description", [Sigmoid(50.0), Swish(50.0), Swish(0.0), ELU(3.0), LeakyReLU(-1.0)])
def test_extremes_at_other_parameters(description: Any) -> None:
    for dtype in (jnp.float32, jnp.bfloat16):
        z = jnp.array(EXTREMES, dtype)
        parameter = jnp.float32(next(iter(vars(description).values())))
        name = next(iter(vars(description)))

        def total(z: jax.Array, p: jax.Array) -> jax.Array:
            return jnp.sum(replace(description, **{name: p})(z))  # noqa: B023

        for gradient in jax.grad(total, argnums=(0, 1))(z, parameter):
            assert np.isfinite(np.asarray(gradient, np.float64)).all()


@pytest.mark.parametrize(
    ("description", "field", "at_two"),
    [
        (Sigmoid(), "steepness", lambda z: _logistic(2 * z)),
        (LeakyReLU(), "slope", lambda z: np.where(z > 0, z, 2 * z)),
        (PReLU(), "slope", lambda z: np.where(z > 0, z, 2 * z)),
        (ELU(), "alpha", lambda z: np.where(z > 0, z, 2 * (np.exp(np.minimum(z, 0)) - 1))),
        (Swish(), "beta", lambda z: z * _logistic(2 * z)),
    ],
)
def test_traced_parameters_compile_once_and_keep_the_dtype(description: Any, field: str, at_two: Callable) -> None:
    traces = 0

    @jax.jit
    def apply(parameter: jax.Array, z: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return replace(description, **{field: parameter})(z)

    z = jnp.asarray(POINTS, jnp.float32)
    apply(jnp.float32(1), z)
    np.testing.assert_allclose(apply(jnp.float32(2), z), at_two(POINTS), rtol=1e-5, atol=1e-6)
    assert traces == 1
    assert apply(jnp.float32(2), z.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_sinc_is_smooth_through_zero_to_the_second_derivative() -> None:
    slope, bend = jax.grad(ACTIVATIONS["sinc"]), jax.grad(jax.grad(ACTIVATIONS["sinc"]))
    for z in (0.0, 1e-8, -1e-8, 1e-3):
        assert float(slope(jnp.float32(z))) == pytest.approx(-z / 3, rel=1e-5)
        assert float(bend(jnp.float32(z))) == pytest.approx(-1 / 3, rel=1e-5)


def test_documented_derivatives() -> None:
    """The docstrings' g' against SymPy, for the smooth units with longer formulas."""
    z = sympy.symbols("z", real=True)
    sigma, softplus = 1 / (1 + sympy.exp(-z)), sympy.log(1 + sympy.exp(z))
    mish = z * sympy.tanh(softplus)
    pairs = [
        (sympy.sin(z) / z, (z * sympy.cos(z) - sympy.sin(z)) / z**2),
        (mish, mish / z + z * sigma * (1 - sympy.tanh(softplus) ** 2)),
        (z * sigma, sigma + z * sigma * (1 - sigma)),
        (sympy.log(sigma), 1 / (1 + sympy.exp(z))),
    ]
    for value, derivative in pairs:
        for point in (-1.7, 0.4, 2.2):
            assert float((sympy.diff(value, z) - derivative).subs(z, point)) == pytest.approx(0, abs=1e-12)


def test_softmax_of_worked_examples() -> None:
    softmax = ACTIVATIONS["softmax"]
    np.testing.assert_allclose(softmax(jnp.array([3.0, 1.0, 1.0])), [0.787, 0.107, 0.107], atol=6e-4)
    np.testing.assert_allclose(softmax(jnp.array([1.2, 5.1, 2.7])), [0.018, 0.900, 0.082], atol=6e-4)
    np.testing.assert_allclose(softmax(jnp.ones((2, 3, 4))).sum(-1), np.ones((2, 3)), rtol=1e-6)


def test_maxout_takes_the_maximum_of_its_pieces() -> None:
    z = jax.random.normal(jax.random.key(0), (4, 5, 12))
    for pieces in (2, 3, 4):
        best = Maxout(pieces)(z)
        width = 12 // pieces
        assert best.shape == (4, 5, width)
        np.testing.assert_array_equal(
            best, np.max([z[..., i * width : (i + 1) * width] for i in range(pieces)], axis=0)
        )
    tie = jax.grad(lambda z: Maxout()(z).sum())(jnp.zeros(4))
    np.testing.assert_array_equal(tie, np.full(4, 0.5))
    with pytest.raises(ValueError, match=r"the last axis \(=12\) must be divisible by `pieces` \(=5\)"):
        Maxout(5)(z)


class TwoLayers(nn.Module):
    activation: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            x = nn.Dense(3 * getattr(self.activation, "pieces", 1))(x)
            x = self.activation()(x)
        return x


def test_each_layer_learns_its_own_slope() -> None:
    x = jax.random.normal(jax.random.key(0), (8, 3))
    net = TwoLayers(PerLayer(PReLU(slope=0.1)))
    params = net.init(jax.random.key(1), x)["params"]
    slopes = [params[f"PReLULayer_{i}"]["slope"] for i in range(2)]
    assert [s.shape for s in slopes] == [(), ()]
    np.testing.assert_allclose(slopes, 0.1, rtol=1e-6)

    gradient = jax.grad(lambda p: jnp.sum(net.apply({"params": p}, x)))(params)
    last = gradient["PReLULayer_1"]["slope"]
    _, seen = net.apply({"params": params}, x, capture_intermediates=True)
    before = seen["intermediates"]["Dense_1"]["__call__"][0]
    np.testing.assert_allclose(last, np.minimum(0, before).sum(), rtol=1e-5)  # ∂g/∂α = min(0, z)
    assert gradient["PReLULayer_0"]["slope"] != 0


def test_prelu_per_channel_and_in_bfloat16() -> None:
    layer = PReLU(per_channel=True).module()
    z = jax.random.normal(jax.random.key(0), (2, 4, 4, 3), jnp.bfloat16)
    variables = layer.init(jax.random.key(1), z)
    assert variables["params"]["slope"].shape == (3,)
    slopes = {"params": {"slope": jnp.array([0.0, 1.0, -1.0])}}
    out = layer.apply(slopes, z)
    assert out.dtype == jnp.bfloat16
    z, out = np.asarray(z, np.float64), np.asarray(out, np.float64)
    np.testing.assert_array_equal(out, np.stack([np.maximum(z[..., 0], 0), z[..., 1], np.abs(z[..., 2])], -1))


def test_prelu_starts_at_a_traced_slope() -> None:
    z = jnp.array([-1.0, 2.0])

    @jax.jit
    def start(slope: jax.Array) -> jax.Array:
        layer = replace(PReLU(), slope=slope).module()
        return layer.apply(layer.init(jax.random.key(0), z), z)

    np.testing.assert_allclose(start(jnp.float32(0.4)), [-0.4, 2.0], rtol=1e-6)


def test_per_layer_widens_for_maxout_and_returns_plain_functions_as_they_are() -> None:
    x = jnp.ones((2, 3))
    net = TwoLayers(PerLayer(Maxout(pieces=3)))
    out, variables = net.init_with_output(jax.random.key(0), x)
    assert out.shape == (2, 3)
    assert variables["params"]["Dense_1"]["kernel"].shape == (3, 9)
    relu = ACTIVATIONS["relu"]
    assert PerLayer(relu)() is relu
    assert PerLayer(relu).pieces == 1
    assert hash(PerLayer(LeakyReLU(0.1))) == hash(PerLayer(LeakyReLU(0.1)))
    assert PerLayer(LeakyReLU(0.1)) != PerLayer(LeakyReLU(0.2))


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (Sigmoid(0.0), r"`steepness` \(=0.0\) must be finite and above 0"),
        (Sigmoid(math.inf), r"`steepness` \(=inf\) must be finite"),
        (LeakyReLU(math.nan), r"`slope` \(=nan\) must be a finite number"),
        (PReLU(math.inf), r"`slope` \(=inf\) must be a finite number"),
        (ELU(-1.0), r"`alpha` \(=-1.0\) must be finite and not negative"),
        (Swish(-0.5), r"`beta` \(=-0.5\) must be finite and not negative"),
        (Maxout(1), r"`pieces` \(=1\) must be at least 2"),
    ],
)
def test_values_out_of_range_are_refused(description: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        description.check()
    assert "\n" not in str(error.value)


def test_defaults_are_in_range() -> None:
    for activation in ACTIVATIONS.values():
        getattr(activation, "check", lambda: None)()
