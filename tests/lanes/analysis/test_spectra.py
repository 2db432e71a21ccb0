"""Effective ranks in closed form, and Jacobians through depth against `jax.jacobian`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.analysis.spectra import effective_rank, jacobian_spectra, rank_of, ranks, singular_values


def test_effective_rank_in_closed_form():
    assert effective_rank(jnp.ones(7)) == pytest.approx(7, rel=1e-6)
    assert effective_rank(jnp.array([3.0, 0.0, 0.0])) == pytest.approx(1, rel=1e-6)
    assert effective_rank(jnp.zeros(4)) == 0
    p = np.array([4, 2, 1, 1]) / 8
    assert effective_rank(jnp.array([4.0, 2.0, 1.0, 1.0])) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-6)


@pytest.mark.parametrize("shape", [(40, 5), (5, 40), (1, 3), (4, 1)])
def test_ranks_are_those_of_numpy(shape):
    h = np.random.default_rng(0).normal(size=shape)
    h[:, -1] = h[:, 0]
    values = np.linalg.svd(h, compute_uv=False)
    found = rank_of(jnp.asarray(h, jnp.float32))
    assert found.rank == np.linalg.matrix_rank(h.astype(np.float32))
    assert found.top_share == pytest.approx(values[0] ** 2 / (values**2).sum(), rel=1e-4)
    np.testing.assert_allclose(singular_values(jnp.asarray(h, jnp.float32)), values, atol=1e-5)
    assert 0.999 <= found.effective_rank <= min(shape) + 1e-3


def deep(params, x):
    h = jnp.tanh(x @ params["a"])
    return jnp.tanh(h @ params["b"]) @ params["c"]


def test_jacobians_through_depth_are_those_of_jax():
    sizes = {"a": (4, 6), "b": (6, 5), "c": (5, 2)}
    params = {name: jax.random.normal(jax.random.key(at), size) for at, (name, size) in enumerate(sizes.items())}
    x = jax.random.normal(jax.random.key(9), (3, 4))
    found = jax.jit(lambda x: jacobian_spectra(deep, params, x))(x)
    until = {
        "tanh": lambda x: jnp.tanh(x @ params["a"]),
        "tanh 2": lambda x: jnp.tanh(jnp.tanh(x @ params["a"]) @ params["b"]),
        "output": lambda x: deep(params, x),
    }
    for depth, (name, function) in enumerate(until.items(), 1):
        assert found[name].depth == depth
        for example in range(3):
            matrix = jax.jacobian(function)(x[example])
            np.testing.assert_allclose(
                found[name].values[example], np.linalg.svd(matrix, compute_uv=False), rtol=1e-4, atol=1e-5
            )
    assert set(ranks(deep, params, x)) == set(until)


def test_large_layers_are_left_out_of_jacobians_but_not_the_output(monkeypatch):
    monkeypatch.setattr("lanes.analysis.spectra.MOST_NUMBERS", 20)
    params = {name: jnp.ones(size) for name, size in {"a": (4, 6), "b": (6, 5), "c": (5, 9)}.items()}
    found = jacobian_spectra(deep, params, jnp.ones((2, 4)))
    assert {name: int(each.depth) for name, each in found.items()} == {"tanh 2": 2, "output": 3}
