"""Factories of the user's own: against plain Optax loops, with the run's clip and weight decay, and what is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes.recipe import optimizers_own
from lanes.recipe.optimizers_own import FromFactory, optimizer_of

START = {
    "first": {"kernel": jnp.asarray([[1.0, -2.0], [0.5, 1.5]]), "bias": jnp.asarray([0.7, -0.4])},
    "second": {"kernel": jnp.asarray([[0.3], [-1.2]])},
}


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def by_layer(learning_rate):
    """Half the rate in the first layer."""
    labels = {"first": "slow", "second": "fast"}
    return optax.multi_transform({"slow": optax.adam(0.5 * learning_rate), "fast": optax.sgd(learning_rate)}, labels)


def every_second(learning_rate):
    """One update from the mean of two gradients."""
    return optax.MultiSteps(optax.sgd(learning_rate), every_k_schedule=2)


def on_plateau(learning_rate):
    """Reads the loss of the step."""
    return optax.chain(optax.sgd(learning_rate), optax.contrib.reduce_on_plateau(patience=1, factor=0.5))


def noisy(learning_rate):
    """Keeps a random key in its state."""
    return optax.chain(optax.add_noise(0.1, 0.5, key=jax.random.key(3)), optax.sgd(learning_rate))


@dataclasses.dataclass(frozen=True)
class Part:
    """A description that is a factory."""

    part: float = 0.5

    def __call__(self, learning_rate):
        return optax.sgd(self.part * learning_rate, momentum=0.9)


FACTORIES = [
    by_layer,
    every_second,
    on_plateau,
    noisy,
    Part(),
    optax.adamw,
    pytest.param(optax.contrib.prodigy, marks=pytest.mark.slow),
    functools.partial(optax.sgd, momentum=0.9, nesterov=True),
]


def loss(params):
    hidden = jnp.tanh(jnp.asarray([[1.0, 2.0]]) @ params["first"]["kernel"] + params["first"]["bias"])
    return jnp.sum((hidden @ params["second"]["kernel"]) ** 2)


def kernels(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def ours(factory, rate, steps=3, **settings):
    """Parameters after some steps, the transformation built anew from a traced rate in each step."""
    optimizer = optimizer_of(factory)

    @jax.jit
    def step(rate, params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        built = optimizer.build(learning_rate=rate, mask=kernels, **settings)
        updates, state = built.update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
        return optax.apply_updates(params, updates), state

    params, state = START, optimizer.build(learning_rate=rate, mask=kernels, **settings).init(START)
    for _ in range(steps):
        params, state = step(rate, params, state)
    return params


def by_hand(transformation, steps=3):
    params, state = START, transformation.init(START)
    for _ in range(steps):
        value, gradient = jax.value_and_grad(loss)(params)
        extra = {} if isinstance(transformation, optax.MultiSteps) else {"value": value}
        if not isinstance(transformation, (optax.GradientTransformationExtraArgs, optax.MultiSteps)):
            extra = {}
        updates, state = transformation.update(gradient, state, params, **extra)
        params = optax.apply_updates(params, updates)
    return params


def close(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), actual, expected)


@pytest.mark.parametrize("factory", FACTORIES, ids=optimizers_own.name_of)
def test_three_steps_equal_a_plain_loop(factory):
    close(ours(factory, jnp.float32(0.1)), by_hand(factory(learning_rate=0.1)))


def test_lanes_of_several_rates_share_one_program_and_keep_their_own_state():
    rates = jnp.asarray([0.1, 0.01])
    together = jax.vmap(functools.partial(ours, by_layer))(rates)
    for lane, rate in enumerate((0.1, 0.01)):
        close(jax.tree.map(lambda leaf, lane=lane: leaf[lane], together), by_hand(by_layer(rate)))


def test_the_runs_weight_decay_is_decoupled_and_acts_on_kernels_only():
    after = ours(by_layer, jnp.float32(0.1), steps=1, weight_decay=0.2)
    plain = by_hand(by_layer(0.1), steps=1)
    expected = jax.tree.map(lambda p, start: p - (0.1 * 0.2 * start if start.ndim > 1 else 0.0), plain, START)
    close(after, expected)


def test_the_runs_clip_comes_before_the_factory():
    clipped = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1))
    close(ours(optax.sgd, jnp.float32(0.1), clip=0.5), by_hand(clipped))


def test_a_state_holds_arrays_that_a_checkpoint_can_keep():
    state = optimizer_of(noisy).build(learning_rate=0.1).init(START)
    assert all(isinstance(np.asarray(leaf), np.ndarray) and not leaf.weak_type for leaf in jax.tree.leaves(state))
    state = jax.eval_shape(optimizer_of(noisy).build(learning_rate=0.1).init, START)
    assert not any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(state))


def branching(learning_rate):
    """Compares its rate in Python."""
    return optax.sgd(learning_rate) if learning_rate > 0.01 else optax.adam(learning_rate)


def deaf(learning_rate):
    """Ignores its rate."""
    del learning_rate
    return optax.adam(1e-3)


def frozen_rate(learning_rate):
    """Keeps the rate of its start in its state."""
    return optax.inject_hyperparams(optax.adam)(learning_rate=learning_rate)


def nothing(learning_rate):
    """Forgets to return."""
    optax.adam(learning_rate)


def asks_more(learning_rate, hessian):
    """Needs another argument."""
    return optax.sgd(learning_rate * hessian)


def lr_only(lr):
    """Calls its rate something else."""
    return optax.sgd(lr)


def wants_other_extras(learning_rate):
    """Its update needs an argument that no step has."""

    def update(updates, state, params=None, *, hessian):
        return jax.tree.map(lambda u, _: -learning_rate * u / hessian, updates, params), state

    return optax.GradientTransformationExtraArgs(lambda _: (), update)


def grows(learning_rate):
    """Its state changes its shape."""

    def update(updates, state, params=None):
        return jax.tree.map(lambda u, _: -learning_rate * u, updates, params), jnp.stack([state, state])

    return optax.GradientTransformation(lambda _: jnp.zeros(()), update)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (branching, "takes learning_rate as a Python number"),
        (deaf, "does not reach the update of optimizer deaf"),
        (frozen_rate, "does not reach the update of optimizer frozen_rate"),
        (nothing, "must return an Optax transformation"),
        (wants_other_extras, "hessian"),
        (grows, "changes the shapes"),
    ],
)
def test_a_factory_that_cannot_work_is_refused_when_traced(factory, words):
    with pytest.raises(ValueError, match=words) as error:
        optimizer_of(factory).check_update(jax.tree.map(jnp.asarray, START))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("factory", FACTORIES, ids=optimizers_own.name_of)
def test_a_factory_that_works_is_accepted_when_traced(factory):
    optimizer_of(factory).check_update(jax.eval_shape(lambda: START))


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (lr_only, "no argument named learning_rate"),
        (asks_more, "bind hessian"),
        (functools.partial(optax.sgd, learning_rate=0.1), "binds learning_rate"),
        (functools.partial(optax.sgd, 0.1), "binds learning_rate|no argument named learning_rate"),
    ],
)
def test_a_function_that_is_no_factory_is_refused(factory, words):
    with pytest.raises(ValueError, match=words) as error:
        optimizer_of(factory)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("factory", "settings", "words"),
    [
        (optax.sgd, {"momentum": 0.9}, r"functools.partial\(sgd, momentum=0.9\)"),
        (optax.adamw, {"weight_decay": 0.1}, r"functools.partial\(adamw, weight_decay=0.1\)"),
        (optax.sgd, {"weight_decay": -0.1}, "0 or more"),
        (optax.sgd, {"clip": 0.0}, "above 0"),
    ],
)
def test_settings_of_the_run_without_an_effect_are_refused(factory, settings, words):
    with pytest.raises(ValueError, match=words):
        FromFactory(factory).check(**settings)


def test_a_finished_transformation_is_told_from_a_factory():
    assert "optimizer=optax.adam" in optimizers_own.refusal(optax.adam(0.1))
    assert optimizers_own.refusal(optax.adam) is None
