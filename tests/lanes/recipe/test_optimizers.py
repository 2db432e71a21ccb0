"""Every optimizer against a float64 NumPy trajectory of its textbook update, and the properties of `build`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes.recipe.optimizers import LBFGS, OPTIMIZERS, SGD, SGLD, Adagrad, Adam, Optimizer, RMSProp

STEPS = 20
CURVATURE = np.array([[3.0, 1.0, 0.3], [0.5, 2.0, 0.1]])
START = {"kernel": np.array([[1.0, -2.0, 3.0], [0.5, 1.5, -1.0]]), "bias": np.array([0.7, -0.4])}


def quadratic(params):
    """½·Σ c·k² + ½·Σ (b - 1)²."""
    return 0.5 * jnp.sum(jnp.asarray(CURVATURE) * params["kernel"] ** 2) + 0.5 * jnp.sum((params["bias"] - 1.0) ** 2)


def gradient(params):
    return {"kernel": CURVATURE * params["kernel"], "bias": params["bias"] - 1.0}


def kernels(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def trajectory(optimizer: Optimizer, steps: int = STEPS, **options):
    """Parameters after each step, [steps, …], with every number traced."""
    numbers = {f.name: getattr(optimizer, f.name) for f in dataclasses.fields(optimizer)}
    traced = {name: value for name, value in numbers.items() if isinstance(value, float)}

    @jax.jit
    def run(traced, options, params):
        transformation = dataclasses.replace(optimizer, **traced).build(mask=kernels, **options)

        def step(carry, _):
            params, state = carry
            value, grads = jax.value_and_grad(quadratic)(params)
            extra = {"value": value, "grad": grads, "value_fn": quadratic} if optimizer.needs_value else {}
            updates, state = transformation.update(grads, state, params, **extra)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        return jax.lax.scan(step, (params, transformation.init(params)), None, steps)[1]

    with jax.enable_x64(True):
        traced, options, params = jax.tree.map(jnp.asarray, (traced, options, START))
        return jax.tree.map(np.asarray, run(traced, options, params))


def textbook(direction, *, rate, decay=0.0, after=lambda step, _: step):
    """θ ← θ - rate·after(d + decay·θ): the trajectory in NumPy, one tensor at a time, decay on the kernel only."""
    path = {}
    for name, start in START.items():
        theta, memory, points = start.copy(), {}, []
        for t in range(1, STEPS + 1):
            d = direction(gradient({**START, name: theta})[name], memory, t)
            theta = theta - rate * after(d + (decay if name == "kernel" else 0.0) * theta, theta)
            points.append(theta)
        path[name] = np.stack(points)
    return path


def sgd(g, _memory, _t):
    return g


def momentum(g, memory, _t, mu=0.8):
    memory["m"] = mu * memory.get("m", 0.0) + g
    return memory["m"]


def nesterov(g, memory, _t, mu=0.8):
    memory["m"] = mu * memory.get("m", 0.0) + g
    return g + mu * memory["m"]


def adagrad(g, memory, _t):
    memory["v"] = memory.get("v", 0.0) + g**2
    return g / np.sqrt(memory["v"] + 1e-7)


def adadelta(g, memory, _t, rho=0.95, eps=1e-6):
    memory["v"] = rho * memory.get("v", 0.0) + (1 - rho) * g**2
    d = np.sqrt(memory.get("u", 0.0) + eps) / np.sqrt(memory["v"] + eps) * g
    memory["u"] = rho * memory.get("u", 0.0) + (1 - rho) * d**2
    return d


def rmsprop(g, memory, _t):
    memory["v"] = 0.9 * memory.get("v", 0.0) + 0.1 * g**2
    return g / (np.sqrt(memory["v"]) + 1e-8)


def rmsprop_momentum(g, memory, t):
    return momentum(rmsprop(g, memory, t), memory, t)


def adam(g, memory, t, b1=0.9, b2=0.999, eps=1e-8):
    memory["m"] = b1 * memory.get("m", 0.0) + (1 - b1) * g
    memory["v"] = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
    return (memory["m"] / (1 - b1**t)) / (np.sqrt(memory["v"] / (1 - b2**t)) + eps)


def lion(g, memory, _t):
    m = memory.get("m", np.zeros_like(g))
    memory["m"] = 0.99 * m + 0.01 * g
    return np.sign(0.9 * m + 0.1 * g)


def lamb(g, memory, t):
    return adam(g, memory, t, eps=1e-6)


def trust(step, theta):
    return step * np.linalg.norm(theta) / np.linalg.norm(step)


BOOK = {
    "sgd": (sgd, {}, {}),
    "momentum": (momentum, {"momentum": 0.8}, {}),
    "nesterov": (nesterov, {"momentum": 0.8}, {}),
    "adagrad": (adagrad, {}, {}),
    "adadelta": (adadelta, {}, {}),
    "rmsprop": (rmsprop, {}, {}),
    "adam": (adam, {}, {}),
    "adamw": (adam, {}, {}),
    "lion": (lion, {}, {}),
    "lamb": (lamb, {}, {"after": trust}),
}


@pytest.mark.parametrize("name", BOOK)
def test_optimizer_follows_its_textbook_update(name):
    direction, options, book = BOOK[name]
    got = trajectory(OPTIMIZERS[name], learning_rate=0.05, weight_decay=0.1, **options)
    expected = textbook(direction, rate=0.05, decay=0.1, **book)
    for leaf in START:
        np.testing.assert_allclose(got[leaf], expected[leaf], rtol=1e-9, atol=1e-12)


def test_without_weight_decay_and_default_momentum():
    got = trajectory(OPTIMIZERS["momentum"], learning_rate=0.05)
    expected = textbook(lambda g, m, t: momentum(g, m, t, mu=0.9), rate=0.05)
    np.testing.assert_allclose(got["kernel"], expected["kernel"], rtol=1e-9)


def test_rmsprop_with_momentum():
    got = trajectory(RMSProp(), learning_rate=0.01, momentum=0.8)
    np.testing.assert_allclose(got["kernel"], textbook(rmsprop_momentum, rate=0.01)["kernel"], rtol=1e-9, atol=1e-12)


def test_every_optimizer_is_tested_against_a_formula():
    assert set(OPTIMIZERS) == set(BOOK) | {"lbfgs", "sgld"}
    for optimizer in OPTIMIZERS.values():
        optimizer.check()
        assert "Formula:" in type(optimizer).__doc__
        assert "Reference:" in type(optimizer).__doc__


def test_fields_of_a_description_reach_the_update():
    slow = trajectory(Adam(b1=0.5, b2=0.9, eps=1e-3), learning_rate=0.05)
    expected = textbook(lambda g, m, t: adam(g, m, t, b1=0.5, b2=0.9, eps=1e-3), rate=0.05)
    np.testing.assert_allclose(slow["kernel"], expected["kernel"], rtol=1e-9, atol=1e-12)


def test_clipping_scales_larger_gradients_to_the_norm_and_keeps_smaller_ones():
    norm = np.sqrt(sum(np.sum(g**2) for g in gradient(START).values()))
    for clip in (0.5 * norm, 2.0 * norm):
        got = trajectory(SGD(), steps=1, learning_rate=1.0, clip=clip)
        for leaf, g in gradient(START).items():
            np.testing.assert_allclose(START[leaf] - got[leaf][0], g * min(1.0, clip / norm), rtol=1e-12)


def test_clipping_keeps_a_zero_gradient_zero():
    transformation = SGD().build(learning_rate=jnp.float32(1.0), clip=jnp.float32(1.0))
    zero = {"w": jnp.zeros(3)}
    updates, _ = transformation.update(zero, transformation.init(zero), zero)
    np.testing.assert_array_equal(updates["w"], 0.0)


def test_lanes_with_their_own_numbers_compile_once_and_equal_single_runs():
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), START)
    traces = []

    def lane_update(b1, rate):
        traces.append(None)
        transformation = Adam(b1=b1).build(learning_rate=rate)
        state = transformation.init(params)
        for _ in range(2):
            updates, state = transformation.update(params, state, params)
        return updates["kernel"]

    lanes = jax.jit(jax.vmap(lane_update))
    b1, rate = jnp.array([0.5, 0.9]), jnp.array([0.1, 0.01])
    together = lanes(b1, rate)
    lanes(rate, b1)
    assert len(traces) == 1
    for lane in range(2):
        np.testing.assert_allclose(together[lane], lane_update(b1[lane], rate[lane]), rtol=1e-5)


def test_state_does_not_depend_on_the_numbers():
    params = {"w": jnp.ones((2, 2))}
    for optimizer in OPTIMIZERS.values():
        extra = {"key": jax.random.key(0), "examples": 10}
        states = [optimizer.build(learning_rate=rate, **extra).init(params) for rate in (0.1, 0.0)]
        assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])


def flat(tree):
    return np.concatenate([tree["kernel"].ravel(), tree["bias"]])


def two_loop(g, differences):
    """H·g from (s, y) pairs, oldest first (Nocedal and Wright, 2006, algorithm 7.4)."""
    s, y = differences[-1]
    scale, alphas = s @ y / (y @ y), []
    for s, y in reversed(differences):
        alphas.append(s @ g / (s @ y))
        g = g - alphas[-1] * y
    r = scale * g
    for (s, y), alpha in zip(differences, reversed(alphas)):
        r = r + (alpha - y @ r / (s @ y)) * s
    return r


def test_lbfgs_follows_the_two_loop_recursion_and_its_steps_meet_the_wolfe_conditions():
    memory = 4
    got = trajectory(LBFGS(memory=memory), learning_rate=1.0)
    points = [START] + [{leaf: path[k] for leaf, path in got.items()} for k in range(STEPS)]
    thetas, grads = [flat(p) for p in points], [flat(gradient(p)) for p in points]
    values = [0.5 * g @ np.linalg.solve(np.diag([*CURVATURE.ravel(), 1.0, 1.0]), g) for g in grads]
    differences = []
    for k in range(STEPS):
        step, slope = thetas[k + 1] - thetas[k], grads[k] @ (thetas[k + 1] - thetas[k])
        if np.linalg.norm(grads[k]) < 1e-5:
            break
        direction = two_loop(grads[k], differences[-memory:]) if differences else grads[k]
        cosine = -step @ direction / np.linalg.norm(step) / np.linalg.norm(direction)
        assert cosine > 1 - 1e-9
        assert values[k + 1] <= values[k] + 1e-4 * slope
        assert abs(grads[k + 1] @ step) <= 0.9 * abs(slope)
        differences.append((step, grads[k + 1] - grads[k]))
    assert values[-1] < 1e-6 * values[0]


def rosenbrock(w):
    return 100.0 * (w[1] - w[0] ** 2) ** 2 + (1.0 - w[0]) ** 2


def test_lbfgs_never_goes_up_on_rosenbrock_in_vmapped_lanes():
    def run(start):
        transformation = LBFGS(memory=5).build(learning_rate=jnp.float32(1.0))

        def step(carry, _):
            w, state = carry
            value, grads = jax.value_and_grad(rosenbrock)(w)
            updates, state = transformation.update(grads, state, w, value=value, grad=grads, value_fn=rosenbrock)
            return (w + updates, state), value

        return jax.lax.scan(step, (start, transformation.init(start)), None, 60)

    (w, _), values = jax.jit(jax.vmap(run))(jnp.array([[-1.2, 1.0], [0.0, 0.0], [2.0, 2.0]]))
    np.testing.assert_allclose(w, 1.0, atol=1e-2)
    assert np.all(np.diff(values, axis=1) <= 1e-6)


def langevin(temperature, chains=2000, steps=400, rate=0.02, examples=10.0, precision=2.0, decay=None):
    """Last iterates of SGLD on loss = ½·precision·θ², `chains` independent weights at once."""

    @jax.jit
    def run(theta, key):
        def step(carry, i):
            theta, state = carry
            transformation = SGLD(temperature=temperature).build(
                learning_rate=jnp.float32(rate),
                weight_decay=decay,
                key=jax.random.fold_in(key, i),
                examples=jnp.float32(examples),
            )
            updates, state = transformation.update({"w": precision * theta["w"]}, state, theta)
            return (optax.apply_updates(theta, updates), state), None

        initial = SGLD().build(learning_rate=rate, weight_decay=decay, key=key, examples=examples)
        (theta, _), _ = jax.lax.scan(step, (theta, initial.init(theta)), jnp.arange(steps))
        return theta

    return np.asarray(run({"w": jnp.zeros(chains)}, jax.random.key(3))["w"])


@pytest.mark.parametrize(("temperature", "decay"), [(1.0, None), (0.25, 2.0)])
def test_sgld_converges_to_the_gaussian_posterior(temperature, decay):
    rate, examples, precision = 0.02, 10.0, 2.0
    draws = langevin(temperature, rate=rate, examples=examples, precision=precision, decay=decay)
    whole = precision + (decay or 0.0)
    # θ' = (1 - ηp)θ + √(2ηT/N)·ξ is exactly an AR(1): its variance is T/(N·p·(1 - ηp/2)).
    exact = temperature / (examples * whole * (1.0 - rate * whole / 2.0))
    assert abs(draws.var() / exact - 1.0) < 4 * np.sqrt(2 / draws.size)
    assert abs(draws.mean()) < 4 * np.sqrt(exact / draws.size)


def test_sgld_noise_differs_per_leaf_and_per_key():
    params = {"a": jnp.zeros(4), "b": jnp.zeros(4)}

    def draw(seed):
        transformation = SGLD().build(learning_rate=jnp.float32(0.5), key=jax.random.key(seed), examples=4)
        return transformation.update(params, transformation.init(params), params)[0]

    first, again, other = draw(0), draw(0), draw(1)
    np.testing.assert_array_equal(first["a"], again["a"])
    assert not np.allclose(first["a"], first["b"])
    assert not np.allclose(first["a"], other["a"])
    with pytest.raises(ValueError, match="key"):
        SGLD().build(learning_rate=0.1)


@pytest.mark.parametrize(
    ("optimizer", "settings", "word"),
    [
        (Adam(b1=1.0), {}, "b1"),
        (Adam(eps=0.0), {}, "eps"),
        (Adagrad(initial=-1.0), {}, "initial"),
        (SGLD(temperature=-1.0), {}, "temperature"),
        (LBFGS(memory=0), {}, "memory"),
        (SGD(), {"momentum": 0.9}, "momentum"),
        (RMSProp(), {"momentum": 1.0}, "momentum"),
        (SGD(), {"weight_decay": -0.1}, "weight_decay"),
        (SGD(), {"clip": 0.0}, "clip"),
        (LBFGS(), {"weight_decay": 0.1}, "l2"),
        (LBFGS(), {"clip": 1.0}, "l2"),
        (Adam(b2=float("nan")), {}, "b2"),
    ],
)
def test_values_out_of_range_are_refused_in_one_line(optimizer, settings, word):
    with pytest.raises(ValueError, match=word) as error:
        optimizer.check(**settings)
    assert "\n" not in str(error.value)
