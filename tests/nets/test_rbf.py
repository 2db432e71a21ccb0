"""The RBF network against its formula, and fitting it without gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import RBF, rbf


def test_hidden_units_are_functions_of_distance():
    x = jax.random.normal(jax.random.key(0), (5, 3))
    net = RBF(centers=4, outputs=2)
    variables = net.init(jax.random.key(1), x, train=False)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    distances = np.linalg.norm(np.asarray(x, np.float64)[:, None] - params["centers"][None], axis=2)
    h = np.exp(-((distances / np.exp(params["log_widths"])) ** 2) / 2)
    np.testing.assert_allclose(
        net.apply(variables, x, train=False), h @ params["output"]["kernel"], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("basis", rbf.BASES)
def test_normalised_units_sum_to_one(basis):
    x = jax.random.normal(jax.random.key(0), (5, 3))
    net = RBF(centers=4, basis=basis, normalized=True)
    _, sown = net.apply(net.init(jax.random.key(1), x, train=False), x, train=False, mutable=["intermediates"])
    np.testing.assert_allclose(sown["intermediates"]["hidden"][0].sum(axis=1), 1, rtol=1e-5)


def test_k_means_finds_separate_clusters():
    middles = jnp.array([[0.0, 0], [10, 0], [0, 10]])
    x = jnp.repeat(middles, 20, axis=0) + 0.1 * jax.random.normal(jax.random.key(0), (60, 2))
    found = rbf.k_means(jax.random.key(3), x, 3)
    nearest = jnp.sqrt(rbf.squared_distances(middles, found)).min(axis=1)
    assert (nearest < 0.2).all()
    with pytest.raises(ValueError, match="at most as many centers as examples"):
        rbf.k_means(jax.random.key(0), x, 61)


def test_fit_learns_xor():
    x = jax.random.uniform(jax.random.key(0), (200, 2), minval=-1, maxval=1)
    y = jnp.sign(x[:, :1] * x[:, 1:])  # XOR's pattern
    net = RBF(centers=25, outputs=1)
    variables = rbf.fit(net, jax.random.key(1), x, y)
    assert (jnp.sign(net.apply(variables, x, train=False)) == y).mean() > 0.95
