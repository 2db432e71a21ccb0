"""Steps of nets written in NNX and Equinox, against loops by hand in those libraries."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from lanes import Run
from lanes.describe import checks
from lanes.program import initialization, lane
from lanes.program.step import Setup, apply, stream, train_step
from lanes.recipe.tasks_classifying import Classify
from nets import from_equinox, from_nnx

eqx = pytest.importorskip("equinox", reason="the extra `equinox` is not installed")

F, K, B = 5, 3, 8
STEPS = [pytest.param("sgd", optax.sgd(0.1), marks=pytest.mark.slow), ("adam", optax.adam(0.1))]
RNG = np.random.default_rng(0)
BATCHES = [
    (jnp.asarray(RNG.normal(size=(B, F)), jnp.float32), jnp.asarray(RNG.integers(0, K, B), jnp.int32)) for _ in range(3)
]
BASE = Run(learning_rate=0.1, batch_size=B, epochs=4, task=Classify(), seed=3)


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Nnx(nnx.Module):
    """Batch normalization and dropout, in a list of blocks, and a parameter of its own."""

    def __init__(self, width, outputs, *, rngs):
        # A bias before a batch normalization has no gradient but rounding, which Adam would blow up.
        first = nnx.Linear(F, width, use_bias=False, rngs=rngs)
        self.layers = nnx.List([first, nnx.Linear(width, width, rngs=rngs)])
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.drops = nnx.List([nnx.Dropout(0.4, rngs=rngs), nnx.Dropout(0.2, rngs=rngs)])
        self.w = nnx.Param(rngs.params.normal((width, outputs)))

    def __call__(self, x):
        x = self.drops[0](jax.nn.relu(self.norm(self.layers[0](x))))
        return self.drops[1](jnp.tanh(self.layers[1](x))) @ self.w


class Eqx(eqx.Module):
    """Batch normalization and dropout, for one example."""

    hidden: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    out: eqx.nn.Linear

    def __init__(self, width, outputs, *, key):
        one, two = jax.random.split(key)
        self.hidden = eqx.nn.Linear(F, width, use_bias=False, key=one)
        self.out = eqx.nn.Linear(width, outputs, key=two)
        self.norm, self.drop = eqx.nn.BatchNorm(width, "rows", mode="batch"), eqx.nn.Dropout(0.4)

    def __call__(self, x, state, *, key=None):
        x, state = self.norm(self.hidden(x), state)
        return self.out(self.drop(jax.nn.relu(x), key=key)), state


def prepared(run):
    run = checks.resolved(run)
    setup = Setup(run, K, (F,), 10 * B)
    examples = (np.zeros((2, F), np.float32), np.zeros(F, np.float32), np.ones(F, np.float32))
    return setup, run, initialization.initial_variables(setup, run, examples)


def filled(run):
    return run.net.clone(outputs=K)


def trained(run):
    """The variables after each of three steps."""
    setup, run, variables = prepared(run)
    state = lane.start(setup, run, variables["params"], variables["rest"], jnp.asarray(False)).trained
    step = jax.jit(lambda state, batch, number: train_step(setup, run, state, batch, jnp.ones(()), number)[0])
    for number, batch in enumerate(BATCHES):
        state = step(state, batch, jnp.int32(number))
    return {"params": state.params, **state.rest}


class _Key(nn.Module):
    @nn.compact
    def __call__(self):
        return self.make_rng("dropout")


def dropout_key(seed, step):
    """The key that a bridged net draws in a step."""
    return _Key().apply({}, rngs={"dropout": stream(seed, "dropout", step)})


def nnx_by_hand(run, transformation):
    """Three steps of `nnx.Optimizer`, from the run's initial variables."""
    _, run, variables = prepared(run)
    module = filled(run).module({"params": variables["params"], **variables["rest"]})
    module.train()
    optimizer = nnx.Optimizer(module, transformation, wrt=nnx.Param)

    def loss(module, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(module(x), y).mean()

    for number, (x, y) in enumerate(BATCHES):
        key = dropout_key(run.seed, number)
        for index, (_, variable) in enumerate(nnx.to_flat_state(nnx.state(module))):
            if isinstance(variable, nnx.RngKey):
                variable.set_value(jax.random.fold_in(key, index))
            if isinstance(variable, nnx.RngCount):
                variable.set_value(jnp.zeros((), jnp.uint32))
        optimizer.update(module, nnx.grad(loss)(module, x, y))
    return module


def equinox_by_hand(run, transformation):
    """Three steps of `eqx.filter_grad`, from the run's initial variables."""
    _, run, variables = prepared(run)
    module, state = filled(run).module({"params": variables["params"], **variables["rest"]})
    module = eqx.nn.inference_mode(module, value=False)
    memory = transformation.init(eqx.filter(module, eqx.is_inexact_array))

    def loss(module, state, x, y, key):
        keys = jax.random.split(key, len(x))
        call = functools.partial(jax.vmap, axis_name="rows", in_axes=(0, None, 0), out_axes=(0, None))
        logits, state = call(lambda x, state, key: module(x, state, key=key))(x, state, keys)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), state

    for number, (x, y) in enumerate(BATCHES):
        key = dropout_key(run.seed, number)
        gradient, state = eqx.filter_grad(loss, has_aux=True)(module, state, x, y, key)
        updates, memory = transformation.update(gradient, memory, eqx.filter(module, eqx.is_inexact_array))
        module = eqx.apply_updates(module, updates)
    return module, state


def same(ours, by_hand):
    """Equal arrays, in the same order; random keys apart."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(by_hand), strict=True)
    for one, other in pairs:
        if eqx.is_array(one) and not jnp.issubdtype(one.dtype, jax.dtypes.prng_key) and one.dtype != jnp.uint32:
            np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize(("name", "transformation"), STEPS)
@pytest.mark.slow
def test_three_steps_of_an_nnx_net_equal_its_own_loop(name, transformation):
    run = dataclasses.replace(BASE, net=from_nnx(Nnx, width=6), optimizer=name)
    after = trained(run)
    same(nnx.state(filled(run).module(after)), nnx.state(nnx_by_hand(run, transformation)))
    assert np.any(after["state"]["norm"]["mean"] != 0)


@pytest.mark.parametrize(("name", "transformation"), STEPS)
def test_three_steps_of_an_equinox_net_equal_its_own_loop(name, transformation):
    run = dataclasses.replace(BASE, net=from_equinox(Eqx, width=6), optimizer=name)
    after = trained(run)
    same(filled(run).module(after), equinox_by_hand(run, transformation))
    assert int(after["state"]["state"]["0"]) == 3, "the counter of batches"


@pytest.mark.parametrize("net", [from_nnx(Nnx, width=6), from_equinox(Eqx, width=6)], ids=["nnx", "equinox"])
def test_dropout_differs_by_step_and_seed_and_repeats(net):
    setup, run, variables = prepared(dataclasses.replace(BASE, net=net))

    @functools.partial(jax.jit, static_argnames="train")
    def outputs(seed, step, train):
        keys = {name: stream(seed, name, step) for name in ("dropout", "sample")}
        return apply(setup, run, **variables, x=BATCHES[0][0], train=train, keys=keys)[0].prediction

    first, again = outputs(3, 0, True), outputs(3, 0, True)
    np.testing.assert_array_equal(first, again)
    for seed, step in ((3, 1), (4, 0)):
        assert np.any(outputs(seed, step, True) != first)
    np.testing.assert_array_equal(outputs(3, 0, False), outputs(4, 1, False))


@pytest.mark.slow
@pytest.mark.parametrize("net", [from_nnx(Nnx, width=6), from_equinox(Eqx, width=6)], ids=["nnx", "equinox"])
def test_weight_decay_acts_on_every_matrix_and_on_nothing_else(net):
    run = dataclasses.replace(BASE, net=net, optimizer="sgd")
    plain, decayed = trained(dataclasses.replace(run, epochs=4)), trained(dataclasses.replace(run, weight_decay=0.5))
    _, _, before = prepared(run)
    pairs = zip(*(jax.tree.leaves(tree["params"]) for tree in (before, plain, decayed)), strict=True)
    moved = [np.max(np.abs(a - b)) > 1e-3 for start, a, b in pairs if start.ndim == 2]
    assert moved == [True] * len(moved)
    assert len(moved) >= 2


def test_seeds_draw_other_weights():
    for net in (from_nnx(Nnx, width=6), from_equinox(Eqx, width=6)):
        drawn = [prepared(dataclasses.replace(BASE, net=net, seed=seed))[2]["params"] for seed in (0, 0, 1)]
        leaves = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in drawn]
        np.testing.assert_array_equal(leaves[0], leaves[1])
        assert np.any(leaves[0] != leaves[2])
