"""Derivatives by hand, by differences, symbolically and by dual numbers against `jax.grad`; Hessians against `jax.hessian`."""

import builtins
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.analysis import differentiation as d

X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)
LABELS = np.random.default_rng(1).integers(0, 3, 6)
Y = jnp.eye(3)[LABELS]


def net(*sizes):
    rng = np.random.default_rng(2)
    shapes = itertools.pairwise(sizes)
    return [tuple(jnp.asarray(rng.normal(size=s) / 2, jnp.float32) for s in ((n, m), (m,))) for n, m in shapes]


@pytest.mark.parametrize(
    ("activation", "output"),
    [(a, "softmax") for a in d.ACTIVATIONS] + [("sigmoid", "sigmoid"), ("tanh", "identity")],
)
def test_backpropagation_by_hand_equals_jax(activation, output):
    layers = net(4, 5, 5, 3)
    names = {"activation": activation, "output": output}

    @jax.jit
    def both(layers, l2):
        by_jax = jax.grad(lambda p: d.cost(p, X, Y, l2=l2, **names))(layers)
        return d.backpropagate(layers, X, Y, l2=l2, **names), by_jax

    by_hand, by_jax = both(layers, jnp.float32(0.3))
    for ours, theirs in zip(jax.tree.leaves(by_hand), jax.tree.leaves(by_jax)):
        np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=1e-6)


def test_backpropagation_through_one_linear_unit_is_the_delta_rule():
    w, target = jnp.ones((4, 1)), jnp.zeros((6, 1))
    ((gradient, _),) = d.backpropagate([(w, jnp.zeros(1))], X, target, output="identity")
    np.testing.assert_allclose(gradient, X.T @ (X @ w - target), rtol=1e-5)
    with pytest.raises(ValueError, match="activation='gelu' is unknown here: use one of"):
        d.backpropagate(net(4, 5, 3), X, Y, activation="gelu")


def parabola(x):
    return x**2 / 4 - 2 * x + 5


def test_secants_and_derivative_of_a_parabola():
    assert d.forward_difference(parabola, 6, 2) == 1.5
    assert d.central_difference(parabola, 6, 2) == 1.0  # exact for a parabola
    assert jax.grad(parabola)(6.0) == 1.0
    value, gradient = d.dual_gradient(lambda v: parabola(v[0]), [6.0])
    assert (value, gradient[0]) == (2.0, 1.0)


def test_jets_multiply_and_print():
    x, y = d.Jet.variable(2.0, 0, 2), d.Jet.variable(3.0, 1, 2)
    z = x * y
    assert repr(z) == "6 + 3ε₀ + 2ε₁"
    assert repr(z * z) == "36 + 36ε₀ + 24ε₁"
    assert repr(y * z) == "18 + 9ε₀ + 12ε₁"
    assert repr(1 - x) == "-1 - 1ε₀ + 0ε₁"


def formula(v, lib):
    a, b, c = v
    return lib.exp(a * b) / (2 + lib.sin(c) ** 2) + lib.sqrt(b) * lib.tanh(a - c) - lib.log(b + 3) + lib.cos(a) * 2**c


POINT = [0.4, 1.3, -0.7]


def test_all_methods_of_differentiation_agree():
    sympy = pytest.importorskip("sympy", reason="the independent derivative; it is in the extra `test`")
    value, dual = d.dual_gradient(lambda v: formula(v, np), POINT)
    assert value == pytest.approx(formula(POINT, np), rel=1e-15)
    symbolic, expressions = d.symbolic_gradient(lambda *v: formula(v, sympy), ["a", "b", "c"])
    assert len(expressions) == 3
    np.testing.assert_allclose(symbolic(*POINT), dual, rtol=1e-13)
    np.testing.assert_allclose(d.numerical_gradient(lambda v: formula(v, np), POINT), dual, rtol=1e-9)
    np.testing.assert_allclose(d.numerical_gradient(lambda v: formula(v, np), POINT, central=False), dual, rtol=1e-6)
    with jax.enable_x64(True):
        x = jnp.asarray(POINT)
        np.testing.assert_allclose(jax.jit(jax.grad(lambda v: formula(v, jnp)))(x), dual, rtol=1e-12)
        np.testing.assert_allclose(
            jax.jit(lambda x: d.forward_gradient(lambda v: formula(v, jnp), x))(x), dual, rtol=1e-12
        )


def test_partials_of_every_function_that_takes_jets():
    for ufunc in d.PARTIALS:
        arguments = [0.7, 1.9][: ufunc.nin]
        _, gradient = d.dual_gradient(lambda v, ufunc=ufunc: ufunc(*v), arguments)
        numerical = d.numerical_gradient(lambda v, ufunc=ufunc: ufunc(*v), arguments)
        np.testing.assert_allclose(gradient, numerical, rtol=1e-8, atol=1e-10, err_msg=ufunc.__name__)
    with pytest.raises(TypeError):
        np.arctan(d.Jet.variable(1.0, 0, 1))
    with pytest.raises(TypeError):
        _ = np.ones(2) * d.Jet.variable(1.0, 0, 1)


def test_gradient_of_a_net_by_dual_numbers():
    layers = [(np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in net(3, 4, 1)]

    def loss(v):
        for i, (w, b) in enumerate(layers):
            v = [sum(v[j] * w[j, k] for j in range(len(v))) + b[k] for k in range(w.shape[1])]
            v = [np.tanh(z) for z in v] if i == 0 else v
        return v[0] ** 2

    _, dual = d.dual_gradient(loss, POINT)
    np.testing.assert_allclose(dual, d.numerical_gradient(loss, POINT), rtol=1e-7)


def test_without_sympy_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "sympy":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match="pip install sympy"):
        d.symbolic_gradient(lambda x: x, ["x"])


def test_hessian_by_products():
    def loss(p):
        return jnp.sum(jnp.tanh(p["a"] * p["b"] + 1) ** 2) + jnp.sum(p["a"][1:] * p["b"][:-1] ** 3)

    with jax.enable_x64(True):
        params = {name: jnp.asarray(np.random.default_rng(i).normal(size=10)) for i, name in enumerate("ab")}
        flat, restore = jax.flatten_util.ravel_pytree(params)
        full = jax.jit(jax.hessian(lambda v: loss(restore(v))))(flat)
        np.testing.assert_allclose(jax.jit(lambda p: d.hessian(loss, p))(params), full, atol=1e-12)
        ones = jax.tree.map(jnp.ones_like, params)
        product = jax.jit(lambda p, v: d.hessian_product(loss, p, v))(params, ones)
        np.testing.assert_allclose(np.concatenate([product["a"], product["b"]]), full.sum(1), atol=1e-12)
        eigenvalues = np.linalg.eigvalsh(full)
        np.testing.assert_allclose(d.hessian_spectrum(loss, params), eigenvalues, atol=1e-12)
        np.testing.assert_allclose(d.lanczos_spectrum(loss, params, jax.random.key(0)), eigenvalues, atol=1e-9)
        ends = d.lanczos_spectrum(loss, params, jax.random.key(0), steps=12)[[0, -1]]
        np.testing.assert_allclose(ends, eigenvalues[[0, -1]], rtol=0.02)


def test_the_spectrum_of_a_saddle():
    def saddle(p):
        return p["x"] ** 2 - 3 * p["y"] ** 2

    params = {"x": jnp.float32(1.0), "y": jnp.float32(2.0)}
    np.testing.assert_allclose(d.hessian_spectrum(saddle, params), [-6, 2], rtol=1e-6)
    np.testing.assert_allclose(d.lanczos_spectrum(saddle, params, jax.random.key(1)), [-6, 2], rtol=1e-5)
    with pytest.raises(ValueError, match="steps=0 must be"):
        d.lanczos_spectrum(saddle, params, jax.random.key(1), steps=0)
