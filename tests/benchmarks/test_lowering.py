"""Programs lowered for GPUs and TPUs on a CPU, and the list of what is slow or absent there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import nets
from benchmarks import lowering
from lanes.describe import checks
from lanes.recipe.tasks import TASKS

CASES = lowering.cases()


def lowered(function, *args, platform="cuda"):
    return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def nested(function, depth):
    """`function` of a number inside that many loops."""
    for _ in range(depth):
        function = (lambda inner: lambda x: lax.fori_loop(0, 3, lambda _, x: inner(x), x))(function)
    return function


def switch(x):
    return lax.cond(x > 1, jnp.sin, jnp.cos, x)


@pytest.mark.parametrize("depth", [0, 2, 3, 4])
def test_conditionals_count_as_in_the_step_inside_three_loops(depth):
    found = lowering.held(lowered(nested(switch, depth), jnp.float32(0)))
    assert found["conditionals"] == 1
    assert found["conditionals in the step"] == (depth >= 3)
    assert found["loops in the step"] == max(0, depth - 3)


def test_conditionals_side_by_side_and_in_functions_that_are_called_count_each():
    inner = jax.jit(switch)

    def function(x):
        return inner(x) + nested(inner, 3)(2 * x) + nested(lambda x: inner(inner(x)), 3)(x)

    found = lowering.held(lowered(function, jnp.float32(0)))
    assert found["conditionals"] == 4
    assert found["conditionals in the step"] == 3


def test_callbacks_custom_calls_and_float64_are_found():
    def calling(x):
        jax.debug.callback(print, x)
        return x

    # JAX lowers a callback only for the devices that it has.
    assert lowering.held(lowered(calling, jnp.float32(0), platform="cpu")) == {"host callbacks": 1}
    found = lowering.held(lowered(lambda x: jnp.linalg.qr(x)[0], jnp.ones((4, 4))))
    assert found == {"calls cusolver_geqrf_ffi": 1, "calls cusolver_orgqr_ffi": 1}
    with jax.enable_x64(True):
        assert lowering.held(lowered(lambda x: 2 * x, np.float64(1)))["float64"] > 0
    assert not lowering.held(lowered(lambda x: 2 * x, np.float32(1)))


def test_every_net_and_task_has_a_run_that_is_right():
    assert {f"net {name}" for name in nets.NETS} <= set(CASES)
    assert {f"task {name}" for name in TASKS} <= set(CASES)
    for run, _ in CASES.values():
        checks.resolved(run)


def assert_lowers(label):
    run, mapping = CASES[label]
    found = lowering.programs(run, mapping=mapping, devices=1 if mapping == "local" else 2)
    for platform in lowering.PLATFORMS:
        for program in found:
            holds = lowering.held(program.text(platform))
            assert not {"host callbacks", "float64"} & set(holds), (program.kind, platform)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("label", CASES)
def test_all_programs_of_a_run_lower_for_gpus_and_tpus_without_callbacks_and_float64(label):
    assert_lowers(label)


def test_the_programs_of_a_small_mlp_lower_for_gpus_and_tpus():
    found = assert_lowers("task classify")
    assert {"train", "evaluate"} < {program.kind for program in found}
    (train,) = (lowering.held(program.text("cuda")) for program in found if program.kind == "train")
    # Whether all parameters are looked at, in a step of the replay of an epoch that ended badly.
    assert (train["conditionals in the step"], train["loops in the step"]) == (1, 0)


def test_a_loop_over_time_is_in_the_step():
    """Forwards and backwards, while the evaluating program's is in none."""
    found = assert_lowers("net lstm")
    held = {program.kind: lowering.held(program.text("cuda")) for program in found}
    assert held["train"]["loops in the step"] == 2
    assert held["evaluate"]["loops in the step"] == 0
