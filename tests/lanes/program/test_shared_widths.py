"""One program for nets of other widths: each run trains as by a program of its own, and what it lacks stays 0."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lanes import Run
from lanes.describe import checks, runs
from lanes.errors import RequestError
from lanes.plan.packs import stacked
from lanes.plan.planned import undrawing
from lanes.plan.sharing_widths import in_widths
from lanes.program import initialization, lane, shared_widths
from lanes.program.initialization import initial_numbers, initial_variables, initialize
from lanes.program.over_lanes import in_group
from lanes.program.shared_activation import BRANCHES
from lanes.program.sharing import Sharing, compiled_for, sharing_of
from lanes.program.step import Setup, train_step
from lanes.recipe.averages import EMA, SWA, ScheduleFree
from lanes.recipe.optimizers import LAMB, OPTIMIZERS, SGD
from lanes.recipe.tasks_classifying import Classify
from losses import PENALTIES
from nets import MLP
from nets.activations import ELU, PReLU

F, K, B, STEPS = 5, 3, 8, 3
BASE = Run(net=MLP(widths=(4, 3)), optimizer="adam", learning_rate=0.1, batch_size=B, epochs=4, task=Classify())
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(B, F)).astype(np.float32), RNG.integers(0, K, B).astype(np.int32)
EXAMPLES = (X, np.zeros((), np.float32), np.ones((), np.float32))


def with_(**fields: Any) -> Run:
    return dataclasses.replace(BASE, **fields)


def setup_of(run: Run) -> Setup:
    return Setup(run, K, (F,), 10 * B)


def trained(listed: list[Run], sharing: Sharing) -> list[tuple[Any, Any, Any]]:
    """(initial parameters, state after a few steps, loss of the last) of each run, in one group of a program."""
    resolved = [checks.resolved(run) for run in listed]
    compiled = [compiled_for(undrawing(run), sharing) for run in resolved]
    width, setup = len(listed), setup_of(compiled[0])
    numbers = stacked([runs.numbers(one) for one in compiled], width)
    variables = jax.tree.map(lambda s: np.zeros((width, *s.shape), s.dtype), _shapes(resolved[0], sharing))
    for at, run in enumerate(resolved):
        if sharing.widths:
            wide = dataclasses.replace(run, net=run.net.clone(widths=sharing.widths))
            run = initialization.sharing(wide, [run.initializer], 0, (F, *run.net.widths, K))
        own = stacked([initial_numbers(runs.numbers(run))], width)
        places = np.full(width, at, np.int32)
        variables = jax.jit(initialize, static_argnums=0)(setup_of(run), variables, own, places, np.int32(1), EXAMPLES)

    @jax.jit
    def steps(numbers: Any, params: Any) -> Any:
        mapped = in_group(setup.run, width, numbers)
        state = mapped(lambda run, own: lane.start(setup, run, own, {}, jnp.asarray(False)).trained, params)

        def after(number: Any, carry: Any) -> Any:
            def one(run: Run, state: Any) -> Any:
                state, metrics = train_step(setup, run, state, (X, Y), jnp.ones(()), number)
                return state, metrics.loss + metrics.penalty

            return mapped(one, carry[0])

        return jax.lax.fori_loop(0, STEPS, after, (state, jnp.zeros(width)))

    (state, loss), first = jax.device_get((steps(numbers, variables["params"]), variables["params"]))
    of = lambda tree, at: jax.tree.map(lambda leaf: leaf[at], tree)  # noqa: E731
    return [(of(first, at), of(state, at), loss[at]) for at in range(width)]


def _shapes(run: Run, sharing: Sharing) -> Any:
    """Shapes of the variables of a program's net."""

    def initial(numbers: Any) -> Any:
        return initial_variables(setup_of(run), runs.with_numbers(run, numbers), EXAMPLES)

    shapes = jax.eval_shape(initial, {name: value[0] for name, value in stacked([runs.numbers(run)], 1).items()})
    return in_widths(shapes, run, sharing.widths)


def assert_own_part(wide: Any, own: Any, widths: tuple[int, ...], rtol: float) -> None:
    """The run's part of a wide net's arrays is close to its own arrays, and the rest is 0."""
    part = shared_widths.own_part(wide, widths)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10), part, own)
    for leaf, inside in zip(jax.tree.leaves(wide), jax.tree.leaves(part), strict=True):
        assert np.count_nonzero(leaf) == np.count_nonzero(inside)


NUMBERS = st.fixed_dictionaries(
    {},
    optional={
        "l1": st.just(1e-3),
        "clip": st.just(0.05),
        "input_noise": st.just(0.3),
        "label_smoothing": st.just(0.1),
        "average": st.sampled_from([EMA(0.5), SWA()]),
        "init_scale": st.just(1.7),
    },
)
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.lists(SIZES, min_size=2, max_size=3),
    st.sampled_from(sorted(name for name, entry in OPTIMIZERS.items() if type(entry) in shared_widths.OPTIMIZERS)),
    st.sampled_from(sorted(BRANCHES)),
    NUMBERS,
)
def test_drawn_nets_train_as_by_programs_of_their_own(sizes, optimizer, activation, fields):
    # Not a bias of the learning rate's size, which Adam's first step would bring to within rounding of a kink, 0.
    each = [
        with_(net=MLP(widths=widths, bias=0.13), optimizer=optimizer, activation=activation, seed=at, **fields)
        for at, widths in enumerate(sizes)
    ]
    widest = tuple(map(max, zip(*sizes, strict=True)))
    for run, (first, state, loss) in zip(each, trained(each, Sharing(widths=widest)), strict=True):
        ((own_first, own_state, own_loss),) = trained([run], Sharing())
        assert_own_part(first, own_first, run.net.widths, rtol=3e-7)
        # The step function's derivative is 0, and lion's step is a sign, which rounding may turn.
        if optimizer != "lion":
            assert_own_part(state.params, own_state.params, run.net.widths, rtol=2e-4)
            np.testing.assert_allclose(loss, own_loss, rtol=2e-4)


def test_three_nets_in_one_program():
    sizes = [(4, 3), (2, 7), (6, 1)]
    each = [with_(net=MLP(widths=widths), activation="sigmoid", l2=1e-3, seed=3) for widths in sizes]
    for run, (first, state, loss) in zip(each, trained(each, Sharing(widths=(6, 7))), strict=True):
        ((own_first, own_state, own_loss),) = trained([run], Sharing())
        assert_own_part(first, own_first, run.net.widths, rtol=3e-7)
        assert_own_part(state.params, own_state.params, run.net.widths, rtol=1e-5)
        np.testing.assert_allclose(loss, own_loss, rtol=1e-6)
        assert np.abs(state.params["output"]["kernel"]).max() > 0.1


@pytest.mark.parametrize("name", sorted(BRANCHES))
def test_an_activation_of_units_that_are_missing_has_no_derivative(name):
    """0 at the sum that they have, whatever the activation and its derivative are there."""
    one = checks.resolved(with_(activation=name))
    activation = compiled_for(one, Sharing(widths=(7, 7))).activation
    z = jnp.zeros((2, 7))
    values, pull = jax.vjp(activation.of_layer(1), z)
    np.testing.assert_array_equal(values[:, 3:], 0)
    np.testing.assert_array_equal(pull(jnp.ones_like(z))[0][:, 3:], 0)
    np.testing.assert_array_equal(values[:, :3], BRANCHES[name](z)[:, :3])


def test_no_number_depends_on_the_other_runs_of_the_program():
    wide = Sharing(widths=(8, 8))
    (alone, *_), (beside, *_) = (
        trained([BASE, other, other], wide) for other in (BASE, with_(net=MLP(widths=(8, 2)), learning_rate=1.0))
    )
    jax.tree.map(np.testing.assert_array_equal, alone, beside)


@pytest.mark.parametrize(
    "fields",
    [
        {"net": MLP(widths=())},
        {"net": MLP(widths=(4, 3), norm="layer_norm")},
        {"net": MLP(widths=(3, 3), scanned=True)},
        {"dropout": 0.1},
        {"activation": PReLU()},
        {"activation": "softmax"},
        {"optimizer": "lamb"},
        {"optimizer": "sgld"},
        {"average": ScheduleFree()},
        {"penalties": (next(iter(PENALTIES.values())),)},
        {"rule": "evolution"},
    ],
    ids=str,
)
def test_what_depends_on_a_nets_size_has_a_program_of_its_own(fields):
    assert shared_widths.may_share(checks.resolved(BASE))
    assert not shared_widths.may_share(checks.resolved(with_(**fields)))


def test_the_users_own_subclasses_have_programs_of_their_own():
    class Own(MLP):
        pass

    @dataclasses.dataclass(frozen=True)
    class OwnOptimizer(SGD):
        pass

    for run in (with_(net=Own(widths=(4, 3))), with_(optimizer=OwnOptimizer()), with_(optimizer=LAMB())):
        assert not shared_widths.may_share(
            dataclasses.replace(
                checks.resolved(BASE),
                **{
                    name: getattr(run, name)
                    for name in ("net", "optimizer")
                    if getattr(run, name) is not getattr(BASE, name)
                },
            )
        )


def test_a_program_allows_what_is_not_wider():
    wide = Sharing(widths=(4, 8))
    assert sharing_of("widths=4,8") == wide
    assert sharing_of(Sharing(("l2",), ("relu", "tanh"), widths=(4, 8), batched=True).text).widths == (4, 8)
    allowed = {
        widths: wide.allows(checks.resolved(with_(net=MLP(widths=widths)))) for widths in [(4, 8), (1, 1), (5, 8), (4,)]
    }
    assert allowed == {(4, 8): True, (1, 1): True, (5, 8): False, (4,): False}
    assert wide.allows(checks.resolved(with_(activation=ELU(0.5))))
    for text in ("widths=4,x", "widths=", "widths=-4"):
        with pytest.raises(RequestError, match=r"^a run's program is 'widths="):
            sharing_of(text)
