"""Factories of the user's own: against plain Optax loops, with the run's clip and weight decay, and what is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes.recipe import optimizers_own
from lanes.recipe.averages import ScheduleFree
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


def injected(learning_rate, b1=0.9):
    """Has its numbers in its state, as programs do that change them between steps."""
    return optax.chain(optax.clip(0.5), optax.inject_hyperparams(optax.adam)(learning_rate=learning_rate, b1=b1))


def searching(learning_rate):
    """Follows a line search, which refuses arguments that nobody takes."""
    return optax.chain(optax.sgd(learning_rate), optax.scale_by_backtracking_linesearch(5))


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
    injected,
    searching,
    optax.adamw,
    optax.contrib.muon,
    optax.contrib.schedule_free_sgd,
    *[pytest.param(getattr(optax.contrib, n), marks=pytest.mark.slow) for n in ("prodigy", "dadapt_adamw", "momo")],
    *[pytest.param(getattr(optax.contrib, n), marks=pytest.mark.slow) for n in ("schedule_free_adamw", "ademamix")],
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
        extra = {} if isinstance(transformation, optax.MultiSteps) else {"value": value, "grad": gradient}
        extra |= {"value_fn": loss} if extra else {}
        if not isinstance(transformation, (optax.GradientTransformationExtraArgs, optax.MultiSteps)):
            extra = {}
        updates, state = transformation.update(gradient, state, params, **extra)
        params = optax.apply_updates(params, updates)
    return params


def close(actual, expected, rtol=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7), actual, expected)


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


def kept(learning_rate):
    """Keeps the rate of its start in its state."""
    return optax.GradientTransformation(
        lambda _: jnp.asarray(learning_rate),
        lambda updates, rate, _: (jax.tree.map(lambda u: -rate * u, updates), rate),
    )


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
        (kept, "reads the learning rate at the start only"),
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


# ---- numbers bound to a factory ------------------------------------------------------------------------------------


def clipped(learning_rate, b1=0.9, limit=1.0, steps=1):
    """Reads its limit in Python."""
    update = optax.adam(learning_rate, b1=b1)
    return optax.MultiSteps(optax.chain(optax.clip(limit), update) if limit > 0 else update, every_k_schedule=steps)


def by_name(learning_rate, part=0.5):
    """Works for parameters of its own names only."""
    labels = {"first": "slow", "second": "fast"}
    return optax.multi_transform({"slow": optax.sgd(part * learning_rate), "fast": optax.sgd(learning_rate)}, labels)


def by_name_and_sign(learning_rate, part=0.5):
    """The same, and reads its number in Python."""
    return by_name(learning_rate, part) if part > 0 else optax.sgd(learning_rate)


@dataclasses.dataclass(frozen=True)
class Branching:
    """A description that reads one of its numbers in Python."""

    b1: float = 0.9
    limit: float = 1.0

    def __call__(self, learning_rate):
        return clipped(learning_rate, self.b1, self.limit)


@pytest.mark.parametrize(
    ("factory", "static"),
    [
        (functools.partial(clipped, b1=0.8, limit=2.0, steps=2), {"limit"}),
        (functools.partial(clipped, b1=0.8), set()),
        (functools.partial(by_name, part=0.1), set()),
        (functools.partial(by_name_and_sign, part=0.1), {"part"}),
        (functools.partial(optax.adamw, b1=0.8, eps=1e-6, weight_decay=0.0), set()),
        (functools.partial(optax.sgd, momentum=0.9, nesterov=True), set()),
        (Branching(), {"limit"}),
        (optax.adam, set()),
    ],
)
def test_numbers_that_a_factory_reads_in_python_are_static_and_all_others_traced(factory, static):
    assert optimizers_own.static_arguments(factory) == static


def test_lanes_of_several_bound_numbers_share_one_program():
    def trained(b1):
        return ours(functools.partial(clipped, b1=b1, limit=2.0), jnp.float32(0.1))

    together = jax.vmap(trained)(jnp.asarray([0.5, 0.95]))
    for lane, b1 in enumerate((0.5, 0.95)):
        close(jax.tree.map(lambda leaf, lane=lane: leaf[lane], together), by_hand(clipped(0.1, b1, 2.0)), rtol=1e-5)


def test_numbers_of_inject_hyperparams_follow_the_rate_of_each_step():
    rates = [0.1, 0.02, 0.05]

    def loop(made, params=START, state=None):
        for rate in rates:
            now = made(rate)
            state = now.init(params) if state is None else state
            updates, state = now.update(jax.grad(loss)(params), state, params)
            params = optax.apply_updates(params, updates)
        return params

    plain = loop(lambda rate: optax.chain(optax.clip(0.5), optax.adam(rate)))
    close(loop(lambda rate: optimizer_of(injected).build(learning_rate=rate)), plain)


def test_value_and_gradient_at_other_parameters_are_there_for_those_that_ask():
    rate = 0.05

    def sam(learning_rate):
        sharpness = optax.chain(optax.contrib.normalize(), optax.sgd(0.1))
        return optax.contrib.sam(optax.sgd(learning_rate), sharpness, sync_period=2, opaque_mode=True)

    made = sam(rate)
    updates, _ = made.update(jax.grad(loss)(START), made.init(START), START, grad_fn=lambda p, _: jax.grad(loss)(p))
    close(ours(sam, rate, steps=1), optax.apply_updates(START, updates))


def test_a_rate_that_reaches_the_initial_state_alone_needs_a_constant_schedule():
    optimizer_of(optax.rprop).check_update(jax.eval_shape(lambda: START), varies=False)
    with pytest.raises(ValueError, match="leave the schedule out"):
        optimizer_of(optax.rprop).check_update(jax.eval_shape(lambda: START))


def test_what_inject_hyperparams_makes_has_no_identity():
    assert "give sgd itself" in optimizers_own.refusal(optax.inject_hyperparams(optax.sgd))
    assert optimizers_own.refusal(optax.sgd) is None


def test_a_schedule_free_optimizer_is_evaluated_at_its_average():
    optimizer = optimizer_of(optax.contrib.schedule_free_sgd).build(learning_rate=0.1)
    params, state = START, optimizer.init(START)
    plain = optax.contrib.schedule_free_sgd(0.1)
    memory, by_hand = plain.init(START), START
    for _ in range(3):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        updates, memory = plain.update(jax.grad(loss)(by_hand), memory, by_hand)
        by_hand = optax.apply_updates(by_hand, updates)
    close(ScheduleFree().of_optimizer(params, state), optax.contrib.schedule_free_eval_params(memory, by_hand))
    with pytest.raises(ValueError, match="keeps no such average"):
        ScheduleFree().of_optimizer(params, optax.adam(0.1).init(params))
