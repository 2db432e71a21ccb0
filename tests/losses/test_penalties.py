"""Penalties against NumPy, what they act on, ranges of their strengths, and traced strengths."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import losses
from losses.penalties_on_weights import l1, l2

RNG = np.random.default_rng(0)


def leaf(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


PARAMS = {
    "Dense_0": {"kernel": leaf(4, 3), "bias": leaf(3)},
    "BatchNorm_0": {"scale": leaf(3), "bias": leaf(3)},
    "PReLU_0": {"slope": leaf()},
    "Conv_0": {"kernel": leaf(3, 3, 2, 5), "bias": leaf(5)},
    "Embed_0": {"embedding": leaf(6, 2)},
}
PENALIZED = [PARAMS["Conv_0"]["kernel"], PARAMS["Dense_0"]["kernel"], PARAMS["Embed_0"]["embedding"]]
WEIGHTS = np.concatenate([np.asarray(w, np.float64).ravel() for w in PENALIZED])
X = RNG.normal(size=(5, 4))
W = RNG.normal(size=(4, 3))


def encoder(x):
    return jnp.tanh(x.reshape(x.shape[0], -1) @ jnp.asarray(W, x.dtype))


def exact_penalty():
    """Mean over the batch of ‖∂ tanh(xW)/∂x‖²_F in closed form."""
    slopes = 1 - np.tanh(X @ W) ** 2  # [B, M]
    return np.mean(np.sum(slopes**2 * (W**2).sum(0), axis=1))


def test_values_against_numpy():
    np.testing.assert_allclose(losses.L1(0.5)(PARAMS), 0.5 * np.abs(WEIGHTS).sum(), rtol=1e-5)
    np.testing.assert_allclose(losses.L2(0.5)(PARAMS), 0.5 * (WEIGHTS**2).sum(), rtol=1e-5)
    both = losses.ElasticNet(l1=0.1, l2=0.2)(PARAMS)
    np.testing.assert_allclose(both, 0.1 * np.abs(WEIGHTS).sum() + 0.2 * (WEIGHTS**2).sum(), rtol=1e-5)


def test_only_kernels_and_embeddings_are_penalized():
    gradient = jax.jit(jax.grad(losses.ElasticNet(1.0, 1.0)))(PARAMS)
    for path, g in jax.tree_util.tree_leaves_with_path(gradient):
        penalized = path[-1].key in ("kernel", "embedding")
        assert bool(jnp.any(g != 0)) == penalized, path
    np.testing.assert_allclose(jax.grad(l2)(PARAMS)["Dense_0"]["kernel"], 2 * PARAMS["Dense_0"]["kernel"])


def test_l1_has_no_gradient_at_zero():
    assert jax.grad(l1)({"kernel": jnp.zeros((2, 2))})["kernel"].sum() == 0


def test_nothing_to_penalize_is_an_error():
    with pytest.raises(ValueError, match=r"no parameter is named kernel or embedding \(got \['w'\]\)"):
        losses.L2()({"w": jnp.ones(3)})
    with pytest.raises(ValueError, match="no hidden activations"):
        losses.ActivityL1()([])


def test_long_sums_in_bfloat16_do_not_stop_growing():
    assert l1({"kernel": jnp.ones((100, 100), jnp.bfloat16)}) == 10_000


def test_activity_penalties():
    hidden = [jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32), jnp.asarray(RNG.normal(size=(4, 2, 2)), jnp.float32)]
    expected = sum(np.abs(np.asarray(h)).sum() for h in hidden) / 4
    np.testing.assert_allclose(losses.ActivityL1(2.0)(hidden), 2 * expected, rtol=1e-5)
    codes = jnp.asarray(RNG.uniform(0.01, 0.99, size=(6, 3)), jnp.float32)
    mean, rho = np.asarray(codes).mean(0), 0.1
    divergence = (rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))).sum()
    np.testing.assert_allclose(losses.ActivityKL(2.0, rho=rho)([codes]), 2 * divergence, rtol=1e-5)
    np.testing.assert_allclose(losses.ActivityKL(1.0, rho=0.25)([jnp.full((4, 3), 0.25)]), 0, atol=1e-6)
    for stuck in (jnp.zeros((4, 3)), jnp.ones((4, 3))):
        value, gradient = jax.jit(jax.value_and_grad(lambda h: losses.ActivityKL()([h])))(stuck)
        assert bool(jnp.isfinite(value))
        assert bool(jnp.all(jnp.isfinite(gradient)))


def test_contractive_equals_the_jacobian_in_float64():
    with jax.enable_x64(True):
        value = jax.jit(lambda x: losses.Contractive(0.5)(encoder, x, None))(jnp.asarray(X))
        np.testing.assert_allclose(value, 0.5 * exact_penalty(), rtol=1e-13)
        images = jnp.asarray(X).reshape(5, 2, 2)
        np.testing.assert_allclose(jax.jit(lambda x: losses.Contractive(0.5)(encoder, x))(images), value, rtol=1e-13)
        jacobian = jax.jit(jax.vmap(jax.jacrev(lambda x: encoder(x[None])[0])))(jnp.asarray(X))
        np.testing.assert_allclose(value, 0.5 * jnp.sum(jacobian**2) / 5, rtol=1e-13)
    with pytest.raises(ValueError, match="flatten the code"):
        losses.Contractive()(lambda x: x[:, None], jnp.ones((2, 3)))


@pytest.mark.parametrize("probes", [1, 4])
def test_hutchinson_is_unbiased(probes):
    estimate = losses.ContractiveHutchinson(1.0, probes=probes)
    x = jnp.asarray(X, jnp.float32)
    draws = jax.jit(jax.vmap(lambda key: estimate(encoder, x, key)))(jax.random.split(jax.random.key(0), 4000))
    error = np.std(draws, ddof=1) / np.sqrt(draws.size)
    assert error > 0
    assert abs(np.mean(draws) - exact_penalty()) < 3 * error


def test_contractive_can_be_trained():
    def penalty(w, description):
        return description(lambda x: jnp.tanh(x @ w), jnp.asarray(X, jnp.float32), jax.random.key(0))

    w = jnp.asarray(W, jnp.float32)
    for description in (losses.Contractive(1.0), losses.ContractiveHutchinson(1.0, probes=2)):
        step = jax.jit(jax.value_and_grad(lambda w, description=description: penalty(w, description)))
        value, gradient = step(w)
        assert step(w - 0.01 * gradient)[0] < value


def test_max_norm_projects_long_columns_only():
    params = {"a": {"kernel": jnp.array([[3.0, 0.1, 0.0], [4.0, 0.2, 0.0]]), "bias": jnp.full(3, 9.0)}}
    projected = losses.MaxNorm(1.0)(params)
    np.testing.assert_allclose(projected["a"]["kernel"][:, 0], [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(projected["a"]["kernel"][:, 1:], params["a"]["kernel"][:, 1:])
    np.testing.assert_array_equal(projected["a"]["bias"], params["a"]["bias"])
    kernel = losses.MaxNorm(0.5)(PARAMS)["Conv_0"]["kernel"]
    norms = np.linalg.norm(np.asarray(kernel).reshape(-1, 5), axis=0)
    np.testing.assert_allclose(norms, 0.5, rtol=1e-5)
    np.testing.assert_array_equal(losses.MaxNorm(0.5)(PARAMS)["Embed_0"]["embedding"], PARAMS["Embed_0"]["embedding"])


def test_weight_noise_has_its_deviation_and_spares_biases():
    params = {"kernel": jnp.ones((200, 200)), "bias": jnp.ones(3)}
    noisy = losses.WeightNoise(0.1)(params, jax.random.key(0))
    np.testing.assert_allclose(np.std(noisy["kernel"]), 0.1, rtol=0.02)
    np.testing.assert_array_equal(noisy["bias"], params["bias"])
    np.testing.assert_array_equal(losses.WeightNoise(0.0)(params, jax.random.key(0))["kernel"], params["kernel"])


@pytest.mark.parametrize("name", losses.PENALTIES)
def test_values_out_of_range_are_refused(name):
    description = losses.PENALTIES[name]
    description.check()
    assert hash(description) == hash(dataclasses.replace(description))
    assert description.acts_on in ("params", "activations", "code", "encoder", "projection", "weights")
    for field in dataclasses.fields(description):
        for wrong in (-1,) if field.name == "probes" else (-1.0, float("nan")):
            with pytest.raises(ValueError, match=f"{field.name}=.* must"):
                dataclasses.replace(description, **{field.name: wrong}).check()


def test_strengths_may_be_traced():
    traces = []

    @jax.jit
    def penalty(strength):
        traces.append(1)
        x = jnp.asarray(X, jnp.float32)
        total = (
            losses.L1(strength)(PARAMS) + losses.L2(strength)(PARAMS) + losses.ElasticNet(strength, strength)(PARAMS)
        )
        total = (
            total + losses.ActivityL1(strength)([x]) + losses.ActivityKL(strength, rho=strength)([jax.nn.sigmoid(x)])
        )
        total = total + losses.Contractive(strength)(encoder, x, None)
        limited = losses.MaxNorm(strength)(PARAMS)
        return total + losses.L2(1.0)(losses.WeightNoise(strength)(limited, jax.random.key(0)))

    assert penalty(jnp.float32(0.1)) < penalty(jnp.float32(0.2))
    assert len(traces) == 1
