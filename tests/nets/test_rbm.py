"""The RBM against sums over all its states, and contrastive divergence against the free energy's gradient."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from nets import RBM
from nets.rbm import contrastive_divergence, free_energy, gibbs_chain, hidden_logits, visible_logits

V, H = 4, 3


def parameters():
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = {"kernel": (V, H), "visible_bias": (V,), "hidden_bias": (H,)}
    return {name: jax.random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)}


def states(bits):
    return jnp.array(list(itertools.product([0.0, 1.0], repeat=bits)), jnp.float32)


def joint(params):
    v, h = states(V), states(H)
    visible, hidden = v @ params["visible_bias"], h @ params["hidden_bias"]
    return jnp.exp(visible[:, None] + hidden[None, :] + v @ params["kernel"] @ h.T)  # [2^V, 2^H]


def test_free_energy_sums_out_the_hidden_units():
    params = parameters()
    np.testing.assert_allclose(
        -free_energy(params, states(V)), jnp.log(joint(params).sum(axis=1)), rtol=1e-4, atol=1e-5
    )


def test_conditionals_follow_from_the_joint_distribution():
    params = parameters()
    p = joint(params)
    expected = p @ states(H) / p.sum(axis=1)[:, None]
    np.testing.assert_allclose(jax.nn.sigmoid(hidden_logits(params, states(V))), expected, rtol=1e-4)
    expected = p.T @ states(V) / p.sum(axis=0)[:, None]
    np.testing.assert_allclose(jax.nn.sigmoid(visible_logits(params, states(H))), expected, rtol=1e-4)


def test_gibbs_chain_converges_to_the_distribution():
    params = parameters()
    start = jnp.zeros((20_000, V))
    samples = jax.jit(gibbs_chain, static_argnums=3)(params, jax.random.key(1), start, 30)
    index = (samples @ jnp.array([8.0, 4, 2, 1])).astype(jnp.int32)
    p = joint(params).sum(axis=1)
    np.testing.assert_allclose(jnp.bincount(index, length=2**V) / len(samples), p / p.sum(), atol=0.015)


def test_contrastive_divergence_is_the_gradient_of_the_free_energy_difference():
    params = parameters()
    v = states(V)[3:9]
    slopes, samples = contrastive_divergence(params, jax.random.key(1), v, steps=2)

    def gap(params):
        return free_energy(params, v).mean() - free_energy(params, samples).mean()

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), slopes, jax.grad(gap)(params))
    _, kept = contrastive_divergence(params, jax.random.key(2), v, chain=samples[:2])
    assert kept.shape == (2, V)


def test_contrastive_divergence_learns_two_patterns():
    data = jnp.tile(jnp.array([[1.0, 1, 0, 0], [0, 0, 1, 1]]), (8, 1))
    net = RBM(code=H)
    params = net.init(jax.random.key(0), data, train=False)["params"]

    @jax.jit
    def learn(params):
        def step(params, key):
            slopes, _ = contrastive_divergence(params, key, data)
            return jax.tree.map(lambda p, s: p - 0.5 * s, params, slopes), None

        return jax.lax.scan(step, params, jax.random.split(jax.random.key(1), 300))[0]

    params = learn(params)
    p = joint(params).sum(axis=1)
    index = jnp.array([12, 3])  # 1100 and 0011
    assert (p / p.sum())[index].sum() > 0.8
    result = net.apply({"params": params}, data, train=False)
    np.testing.assert_array_equal(result.prediction > 0, data > 0.5)
    assert result.latent.shape == (16, H)
