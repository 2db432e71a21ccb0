"""Programs that runs of different settings share: a neutral field changes nothing, whoever the neighbours are."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes import Run
from lanes.describe import checks, runs
from lanes.errors import RequestError
from lanes.plan.packs import stacked
from lanes.program import lane
from lanes.program.over_lanes import in_group
from lanes.program.shared_activation import BRANCHES, AnyActivation, branch_of
from lanes.program.sharing import Sharing, compiled_for, may_be_neutral, sharing_of
from lanes.program.step import Setup, train_step
from lanes.recipe.optimizers import SGD
from lanes.recipe.schedules import Cosine, Linear
from lanes.recipe.tasks_classifying import Classify
from nets import MLP
from nets.activation_functions import tanh
from nets.activations import ELU, LeakyReLU, Sigmoid

F, K, B = 5, 3, 8
BASE = Run(net=MLP(widths=(6,)), optimizer="adam", learning_rate=0.1, batch_size=B, epochs=4, task=Classify())
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(B, F)).astype(np.float32), RNG.integers(0, K, B).astype(np.int32)
PARAMS = {
    "hidden_0": {"dense": {"kernel": RNG.normal(size=(F, 6)).astype(np.float32), "bias": np.zeros(6, np.float32)}},
    "output": {"kernel": RNG.normal(size=(6, K)).astype(np.float32), "bias": np.zeros(K, np.float32)},
}
ON: dict[str, dict[str, Any]] = {
    "l1": {"l1": 0.01},
    "l2": {"l2": 0.01},
    "weight_decay": {"weight_decay": 0.1},
    "dropout": {"dropout": 0.4},
    "input_noise": {"input_noise": 0.5},
    "label_smoothing": {"label_smoothing": 0.2},
    "clip": {"clip": 0.01},
    "momentum": {"optimizer": "nesterov", "momentum": 0.5},
    "momentum of rmsprop": {"optimizer": "rmsprop", "momentum": 0.5},
}
ALL = Sharing(("l1", "l2", "weight_decay", "dropout", "input_noise", "label_smoothing", "clip", "patience"))
BATCHED = dataclasses.replace(ALL, activations=("relu", "tanh", "sigmoid", "elu", "swish", "softplus"), batched=True)


@dataclasses.dataclass(frozen=True)
class OwnOptimizer(SGD):
    """A user's optimizer, which may do anything with a limit of infinity."""


@dataclasses.dataclass(frozen=True)
class OwnTask(Classify):
    """A user's task, which may do anything with a smoothing of 0."""


@functools.lru_cache
def program(setup: Setup, width: int) -> Any:
    """Two steps of a group of lanes: (numbers, parameters, x) -> (parameters, loss)."""

    @jax.jit
    def trained(numbers, params, x):
        mapped = in_group(setup.run, width, numbers)
        tree = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (width, *leaf.shape)), params)
        state = mapped(lambda run, tree: lane.start(setup, run, tree, {}, jnp.asarray(False)).trained, tree)

        def after(number: Any, carry: Any) -> Any:
            def one(run: Run, state: Any) -> Any:
                state, metrics = train_step(setup, run, state, (x, Y), jnp.ones(()), number)
                return state, metrics.loss

            return mapped(one, carry[0])

        state, loss = jax.lax.fori_loop(0, 2, after, (state, jnp.zeros(width)))
        return state.params, loss

    return trained


def stepped(listed: list[Run], sharing: Sharing, params=PARAMS, x=X) -> list[Any]:
    """(parameters, loss) of each run after two steps, all of them in one group of a program."""
    compiled = [compiled_for(checks.resolved(run), sharing) for run in listed]
    numbers = stacked([runs.numbers(one) for one in compiled], len(compiled))
    trained = program(Setup(compiled[0], K, (F,), 10 * B), len(listed))
    after, loss = jax.device_get(trained(numbers, params, x))
    return [(jax.tree.map(lambda leaf, at=at: leaf[at], after), loss[at]) for at in range(len(listed))]


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


OTHERS: list[Any] = ["relu", LeakyReLU(0.3), ELU(0.5), "gelu", "mish"]


def with_(**fields) -> Run:
    return dataclasses.replace(BASE, **fields)


def assert_close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), one, other)


def test_a_neutral_field_changes_nothing_whatever_the_neighbours_have_on():
    """The group's conditions choose one way or the other, and a lane with everything off gets the same bits."""
    alone, each = stepped([BASE] * 5, ALL), [with_(**fields) for name, fields in ON.items() if name in ALL.neutral]
    for on in each:
        assert_equal(stepped([BASE, on, BASE, BASE, BASE], ALL)[0], alone[0])
    assert_equal(alone[0], alone[4])
    assert_close(alone[0], stepped([BASE], Sharing())[0])


def test_the_same_run_by_a_shared_program_and_by_its_own():
    fields = {name: value for one in ON.values() for name, value in one.items() if name in ALL.neutral}
    whole = with_(**{**fields, "l2": 0.0})  # beside weight decay it is refused
    shared = stepped([BASE, whole, BASE, BASE, BASE], ALL)
    assert_close(shared[1], stepped([whole], Sharing())[0])
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(shared[0][0]), jax.tree.leaves(shared[1][0])))


@pytest.mark.slow
@pytest.mark.parametrize("name", ON)
def test_one_field_at_a_time(name):
    on, field = with_(**ON[name]), name.split()[0]
    off = dataclasses.replace(on, **{field: None if field in ("clip", "momentum") else 0.0})
    sharing = Sharing((field,))
    among = stepped([off, on, off], sharing)
    assert_equal(among[0], stepped([off, off, off], sharing)[0])
    assert_equal(among[0], among[2])
    assert_close(among[0], stepped([off], Sharing())[0])
    assert_close(among[1], stepped([on], Sharing())[0])
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(among[0][0]), jax.tree.leaves(among[1][0])))


@pytest.mark.parametrize(("weights", "inputs"), [(1e20, 1.0), (1e-20, 1e20)])
def test_neutral_fields_where_sums_of_squares_overflow(weights, inputs):
    """Of the weights, or of the gradient: neither a strength of 0 nor a limit of infinity makes NaN of it."""
    run = with_(optimizer="sgd", learning_rate=1e-22, activation="tanh")
    kernel = PARAMS["hidden_0"]["dense"]["kernel"] * np.float32(weights)
    params = {**PARAMS, "hidden_0": {"dense": {**PARAMS["hidden_0"]["dense"], "kernel": kernel}}}
    x = X * np.float32(inputs)
    (alone,), (shared, _) = stepped([run], Sharing(), params, x), stepped([run] * 2, ALL, params, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), shared[0], alone[0])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(shared))


def test_a_neutral_noise_keeps_the_sign_of_zero():
    zeros = np.full_like(X, -0.0)
    quiet, loud = with_(optimizer="sgd"), with_(optimizer="sgd", input_noise=0.5)
    first = stepped([quiet, loud], ALL, x=zeros)[0]
    assert_equal(first, stepped([quiet, quiet], ALL, x=zeros)[0])
    assert_close(first, stepped([quiet], Sharing(), x=zeros)[0])


def test_a_diverged_neighbour_leaves_a_neutral_lane_alone():
    wild = with_(optimizer="sgd", learning_rate=1e30, l2=1e30, clip=1e30, dropout=0.5)
    calm = with_(optimizer="sgd")
    mixed, among = stepped([calm, wild], ALL)[0], stepped([calm, calm], ALL)[0]
    assert_equal(mixed, among)


@pytest.mark.parametrize("name", ["tanh", *(pytest.param(one, marks=pytest.mark.slow) for one in OTHERS)])
def test_the_bits_of_an_activation_do_not_depend_on_the_other_branches(name):
    run = with_(activation=name)
    own = branch_of(checks.resolved(run).activation)
    few = tuple(branch for branch in BRANCHES if branch in (own, "softplus"))
    first = stepped([run, run], Sharing(activations=few))
    assert_equal(first, stepped([run, run], Sharing(activations=tuple(BRANCHES))))
    assert_close(first, stepped([run, run], Sharing()))


def test_a_batched_group_holds_any_activations_and_fields():
    """As the program of an accelerator does: whoever the neighbours are, the bits are the same, and those of its own program."""
    listed = [with_(), with_(activation="tanh", dropout=0.4), with_(activation=ELU(0.5), input_noise=0.5, clip=0.01)]
    among = stepped(listed, BATCHED)
    for at, run in enumerate(listed):
        assert_equal(among[at], stepped([run] * 3, BATCHED)[0])
        assert_close(among[at], stepped([run], Sharing())[0])


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_an_activation_that_overflows_beside_the_selected_one_changes_nothing(size):
    """The gradient of a branch that is not selected would be 0 times infinity."""
    run, x = with_(optimizer="sgd", learning_rate=1e-3 / size), X * np.float32(size)
    (params, loss), *_ = stepped([run, with_(activation="swish")], BATCHED, x=x)
    expected, expected_loss = stepped([run], Sharing(), x=x)[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), params, expected)
    assert loss == pytest.approx(expected_loss, rel=1e-5)


def test_schedules_in_one_program():
    listed = [with_(), with_(schedule=Cosine(final=0.1, warmup=3.0)), with_(schedule=Linear(final=0.2))]
    shared = stepped(listed, Sharing(schedules=("constant", "linear", "cosine")))
    assert_close(shared[1], stepped([listed[1]], Sharing())[0])
    assert_close(shared[2], stepped([listed[2]], Sharing())[0])
    assert_equal(shared[0], stepped([listed[0]] * 3, Sharing(schedules=("constant", "linear", "cosine")))[0])


def test_what_a_program_shares_as_text():
    for sharing in (
        Sharing(),
        ALL,
        Sharing(("l2",), ("tanh", "relu")),
        Sharing((), ("elu", "mish"), ("step", "cosine")),
        BATCHED,
    ):
        assert sharing_of(sharing.text) == sharing
    assert Sharing().text == "separate"
    assert Sharing(("l2", "dropout"), ("tanh", "relu")).text == "l2 dropout activation=tanh,relu"
    assert Sharing(("l2", "dropout"), ("tanh",), batched=True).text == "batched l2 dropout activation=tanh"
    for text in ("batched", "l2 batched", "nothing", "l2 activation=cube", "seed", "activation=", "schedule=plateau"):
        with pytest.raises(RequestError, match="a run's program is"):
            sharing_of(text)


def test_fields_that_the_users_own_code_computes_are_not_shared():
    assert "clip" in may_be_neutral(checks.resolved(BASE))
    own = checks.resolved(with_(optimizer=OwnOptimizer()))
    assert not {"clip", "weight_decay", "momentum"} & set(may_be_neutral(own))
    assert "label_smoothing" not in may_be_neutral(checks.resolved(with_(task=OwnTask())))
    assert isinstance(compiled_for(own, Sharing(activations=("tanh", "relu"))).activation, AnyActivation)


@pytest.mark.parametrize("activation", [Sigmoid(), Sigmoid(0.4), ELU(), ELU(0.4), tanh])
def test_slopes_that_the_value_of_a_shared_activation_tells(activation):
    """Those of the activation, to a rounding of 1 in whatever order JAX computes them; and no exponential is taken for them."""
    z = jnp.concatenate([jnp.linspace(-30, 30, 4001), jnp.array([-1e-8, 0.0, 1e-8, -1e30, 1e30])])
    cotangent = jnp.sin(jnp.arange(len(z), dtype=jnp.float32))
    parameter = float(next(iter(vars(activation).values()), 0.0)) if dataclasses.is_dataclass(activation) else 0.0

    def slopes(activation, z):
        return jax.vjp(activation, z)[1](cotangent)[0]

    def shared(index, parameter):
        return AnyActivation((branch_of(activation), "relu"), index, parameter)

    ours = jax.jit(lambda index, parameter, z: slopes(shared(index, parameter), z))(0.0, parameter, z)
    expected = jax.jit(slopes, static_argnums=0)(activation, z)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1.2e-7)
    backward = str(jax.make_jaxpr(jax.vjp(shared(jnp.float32(0), jnp.float32(parameter)), z)[1])(cotangent))
    assert "cond" in backward
    assert not any(function in backward for function in ("tanh", "logistic", "exp"))
