"""Learning rules against hand formulas in float64, and their results on small problems."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes.recipe.rules import RULES, DeltaRule, Evolution, MuLambda, Problem, centred_ranks

KEY = jax.random.key(0)


def outputs_of(x):
    return lambda params: x @ params["kernel"] + params["bias"][None, :]


def problem_of(x, targets):
    """Loss: fraction of wrong threshold decisions of one unit; aux: the outputs."""
    outputs = outputs_of(x)

    def loss(params):
        z = outputs(params)
        return jnp.mean(((z[:, 0] > 0) != (targets > 0)).astype(jnp.float32)), z

    return Problem(loss=loss, outputs=outputs, targets=targets)


def one_layer(features, outputs, seed=0):
    rng = np.random.default_rng(seed)
    return {"kernel": rng.normal(size=(features, outputs)), "bias": rng.normal(size=outputs)}


def wrong_after(rule, x, labels, steps=200, rate=0.5):
    """Fraction of errors before each full-batch step of θ ← θ - rate·direction from zero."""
    problem = problem_of(jnp.asarray(x, jnp.float32), jnp.asarray(labels, jnp.int32))
    start = {"kernel": jnp.zeros((2, 1)), "bias": jnp.zeros(1)}

    def step(params, _):
        (loss, _), direction = rule(problem, params, KEY)
        return jax.tree.map(lambda p, d: p - rate * d, params, direction), loss

    return np.asarray(jax.jit(lambda: jax.lax.scan(step, start, None, steps)[1])())


def blobs(n=100):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, n)
    return rng.normal(size=(n, 2)) * 0.4 + np.where(labels[:, None] == 1, 2.0, -1.0), labels


XOR = (np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0]))


def test_perceptron_converges_on_separable_blobs_and_then_stays():
    wrong = wrong_after(RULES["perceptron_rule"], *blobs())
    assert wrong[0] > 0.3
    assert np.all(wrong[-20:] == 0.0)


def test_perceptron_never_solves_xor():
    assert np.all(wrong_after(RULES["perceptron_rule"], *XOR) > 0.0)


def test_delta_rule_separates_blobs_and_settles_on_xor_at_one_half():
    assert np.all(wrong_after(RULES["delta_rule_sigmoid"], *blobs())[-20:] < 0.05)
    x, labels = XOR
    problem = problem_of(jnp.asarray(x, jnp.float32), jnp.asarray(labels, jnp.float32))
    params = {"kernel": jnp.array([[1.0], [-0.5]]), "bias": jnp.zeros(1)}
    for _ in range(300):
        _, direction = RULES["delta_rule"](problem, params, KEY)
        params = jax.tree.map(lambda p, d: p - 0.5 * d, params, direction)
    np.testing.assert_allclose(problem.outputs(params), 0.5, atol=1e-3)


def sigma(z):
    return 1 / (1 + np.exp(-z))


HAND = {
    "perceptron_rule": lambda z, y: (z >= 0) - y,
    "delta_rule": lambda z, y: z - y,
    "delta_rule_sigmoid": lambda z, y: (sigma(z) - y) * sigma(z) * (1 - sigma(z)),
    "delta_rule_tanh": lambda z, y: (np.tanh(z) - y) * (1 - np.tanh(z) ** 2),
}


@pytest.mark.parametrize("name", HAND)
@pytest.mark.parametrize("targets", ["labels", "one_hot", "binary"])
def test_direct_rules_equal_their_hand_formulas(name, targets):
    rng = np.random.default_rng(2)
    k = 1 if targets == "binary" else 3
    x, params, labels = rng.normal(size=(7, 4)), one_layer(4, k), rng.integers(0, max(k, 2), 7)
    y = labels[:, None].astype(float) if k == 1 else np.eye(3)[labels]
    error = HAND[name](x @ params["kernel"] + params["bias"], y)
    rule = DeltaRule(unit="tanh") if name == "delta_rule_tanh" else RULES[name]
    with jax.enable_x64(True):
        encoded = jnp.asarray(y) if targets == "one_hot" else jnp.asarray(labels, jnp.int32)
        problem = Problem(lambda p: (jnp.sum(p["bias"]), "aux"), outputs_of(jnp.asarray(x)), encoded)
        (loss, aux), direction = rule(problem, jax.tree.map(jnp.asarray, params), KEY)
        np.testing.assert_allclose(loss, params["bias"].sum())
        assert aux == "aux"
        np.testing.assert_allclose(direction["kernel"], x.T @ error / 7, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(direction["bias"], error.mean(axis=0), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("unit", ["linear", "sigmoid", "tanh"])
def test_delta_rule_is_the_gradient_of_half_the_squared_error(unit):
    phi = {"linear": lambda z: z, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}[unit]
    rng = np.random.default_rng(3)
    with jax.enable_x64(True):
        x, y = jnp.asarray(rng.normal(size=(6, 4))), jnp.asarray(rng.normal(size=(6, 2)))
        params = jax.tree.map(jnp.asarray, one_layer(4, 2))
        outputs = outputs_of(x)

        def loss(params):
            return 0.5 * jnp.mean(jnp.sum((phi(outputs(params)) - y) ** 2, axis=1)), None

        problem = Problem(loss, outputs, y)
        (_, _), expected = RULES["gradient"](problem, params, KEY)
        (_, _), got = DeltaRule(unit=unit)(problem, params, KEY)
        for leaf in params:
            np.testing.assert_allclose(got[leaf], expected[leaf], rtol=1e-10)


def test_targets_that_do_not_fit_are_refused():
    problem = Problem(quadratic, outputs_of(jnp.ones((5, 4))), jnp.zeros((4,), jnp.int32))
    params = jax.tree.map(jnp.float32, one_layer(4, 3))
    with pytest.raises(ValueError, match=r"\(4,\) do not fit outputs of shape \(5, 3\)"):
        RULES["delta_rule"](problem, params, KEY)
    with pytest.raises(ValueError, match="needs both"):
        RULES["delta_rule"](Problem(quadratic), params, KEY)


def quadratic(params):
    return jnp.sum((params["w"] - jnp.array([1.0, -2.0, 0.5])) ** 2) + (params["b"] - 3.0) ** 2, "aux"


START = {"w": jnp.zeros(3), "b": jnp.float32(0.0)}


def test_gradient_is_that_of_jax():
    (loss, aux), direction = RULES["gradient"](Problem(quadratic), START, KEY)
    assert loss == quadratic(START)[0]
    assert aux == "aux"
    np.testing.assert_allclose(direction["w"], [-2.0, 4.0, -1.0])
    np.testing.assert_allclose(direction["b"], -6.0)


def descend(rule, optimizer, steps, lanes=1):
    """Distance to the minimum of the quadratic after `steps`, in vmapped lanes that differ in their keys."""

    def run(key):
        def step(carry, i):
            params, state = carry
            problem = Problem(lambda p: (quadratic(p)[0], None), progress=i / steps)
            _, direction = rule(problem, params, jax.random.fold_in(key, i.astype(jnp.int32)))
            updates, state = optimizer.update(direction, state)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (START, optimizer.init(START)), jnp.arange(steps, dtype=jnp.float32))
        return quadratic(params)[0]

    return np.sqrt(jax.jit(jax.vmap(run))(jax.random.split(KEY, lanes)))


def test_evolution_finds_the_minimum_with_raw_losses_and_with_ranks():
    assert np.all(descend(Evolution(pairs=16, shaped=False), optax.sgd(0.1), 150, lanes=3) < 1e-2)
    assert np.all(descend(Evolution(pairs=16), optax.sgd(0.05), 400, lanes=3) < 0.1)


def test_mu_lambda_finds_the_minimum_and_a_falling_sigma_gets_closer():
    falling = descend(MuLambda(sigma=0.3, final=0.01), optax.sgd(1.0), 80, lanes=3)
    constant = descend(MuLambda(sigma=0.3, final=1.0), optax.sgd(1.0), 80, lanes=3)
    assert np.all(falling < 0.02)
    assert np.median(constant) > 2 * np.median(falling)


def test_evolution_estimates_the_gradient_without_bias():
    rule = Evolution(pairs=4, sigma=0.01, shaped=False)
    problem = Problem(lambda p: (quadratic(p)[0], None))
    draws = jax.jit(jax.vmap(lambda key: rule(problem, START, key)[1]["w"]))(jax.random.split(KEY, 4000))
    error = draws.std(axis=0) / np.sqrt(4000)
    assert np.all(np.abs(draws.mean(axis=0) - np.array([-2.0, 4.0, -1.0])) < 3.5 * error)


def test_mu_lambda_with_rate_one_moves_to_the_mean_of_the_best_children():
    rule = MuLambda(parents=2, children=6, sigma=0.5, final=1.0)
    seen = []

    def loss(params):
        jax.debug.callback(lambda w: seen.append(np.asarray(w)), params["w"])
        return jnp.sum(params["w"] ** 2), None

    start = {"w": jnp.array([2.0, -1.0])}
    _, direction = rule(Problem(loss), start, KEY)
    jax.effects_barrier()
    children = sorted((w for w in seen if not np.array_equal(w, start["w"])), key=lambda w: np.sum(w**2))
    assert len(children) == 6
    np.testing.assert_allclose(start["w"] - direction["w"], np.mean(children[:2], axis=0), rtol=1e-5)


def test_ranks_are_centred_with_nan_last():
    got = centred_ranks(jnp.array([3.0, jnp.nan, -1.0, 7.0]))
    np.testing.assert_allclose(got, [1 / 3 - 0.5, 0.5, -0.5, 2 / 3 - 0.5], rtol=1e-6)


def test_equal_losses_share_a_rank_and_a_flat_loss_gives_no_direction():
    np.testing.assert_allclose(centred_ranks(jnp.array([1.0, 2.0, 2.0])), [-0.5, 0.25, 0.25], rtol=1e-6)
    flat = Problem(lambda params: (0.0 * jnp.sum(params["w"]), None))
    _, direction = Evolution(pairs=3)(flat, {"w": jnp.ones(2)}, KEY)
    np.testing.assert_allclose(direction["w"], 0.0, atol=1e-7)


@pytest.mark.parametrize("rule", [Evolution(pairs=8), MuLambda()], ids=["evolution", "mu_lambda"])
def test_a_population_with_nan_losses_still_gives_a_finite_direction(rule):
    def loss(params):
        return jnp.where(params["w"][0] > 0.05, jnp.nan, quadratic(params)[0]), None

    _, direction = rule(Problem(loss), START, KEY)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(direction))
    assert direction["w"][0] > 0  # away from the side with NaN


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (DeltaRule(unit="step"), "unit"),
        (Evolution(pairs=0), "pairs"),
        (Evolution(sigma=0.0), "sigma"),
        (MuLambda(parents=32), "parents"),
        (MuLambda(sigma=float("nan")), "sigma"),
        (MuLambda(final=0.0), "final"),
    ],
)
def test_fields_out_of_range_are_refused_in_one_line(rule, field):
    with pytest.raises(ValueError, match=field) as error:
        rule.check()
    assert "\n" not in str(error.value)


def test_defaults_are_in_range():
    for rule in RULES.values():
        rule.check()
        assert "Formula:" in type(rule).__doc__
        assert "Reference:" in type(rule).__doc__
