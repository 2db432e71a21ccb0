"""One train step against float64 NumPy formulas: softmax regression, its penalties, optimizers and randomness."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes import Run
from lanes.data.orders import epoch_order
from lanes.describe import checks
from lanes.program import lane
from lanes.program.step import STREAMS, Setup, all_finite, apply, perturb, stream, train_step
from lanes.recipe.tasks_classifying import Classify
from losses import ActivityL1, Contractive, MaxNorm, WeightNoise
from nets import MLP

F, K, B = 5, 3, 8
LINEAR = Run(net=MLP(widths=()), optimizer="sgd", learning_rate=0.5, batch_size=B, epochs=4, task=Classify())
DEEP = dataclasses.replace(LINEAR, net=MLP(widths=(7,)), activation="tanh")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(B, F)).astype(np.float32), RNG.integers(0, K, B).astype(np.int32)
W, BIAS = RNG.normal(size=(F, K)).astype(np.float32), RNG.normal(size=K).astype(np.float32)
PARAMS = {"output": {"kernel": W, "bias": BIAS}}
W0, BIAS0 = RNG.normal(size=(F, 7)).astype(np.float32), RNG.normal(size=7).astype(np.float32)
DEEP_PARAMS = {
    "hidden_0": {"dense": {"kernel": W0, "bias": BIAS0}},
    "output": {"kernel": RNG.normal(size=(7, K)).astype(np.float32), "bias": BIAS},
}


def prepared(run: Run) -> tuple[Setup, Run]:
    run = checks.resolved(run)
    return Setup(run, K, (F,), 10 * B), run


def steps(run: Run, params, batches, jit: bool = True):
    """(parameters, step metrics) after each batch."""
    setup, run = prepared(run)
    state = lane.start(setup, run, jax.tree.map(jnp.asarray, params), {}, jnp.asarray(False)).trained

    def step(state, x, y, number):
        return train_step(setup, run, state, (x, y), jnp.ones(()), number)

    step = jax.jit(step) if jit else step
    out = []
    for number, (x, y) in enumerate(batches):
        state, metrics = step(state, jnp.asarray(x), jnp.asarray(y), jnp.int32(number))
        out.append((jax.device_get(state.params), jax.device_get(metrics)))
    return out


def first(run: Run, params=PARAMS, x=X):
    return steps(run, params, [(x, Y)])[0]


def softmax_regression(params, x=X, target=None):
    """(mean cross-entropy, its gradient by kernel and bias), float64."""
    target = np.eye(K)[Y] if target is None else target
    z = x.astype(np.float64) @ params["kernel"].astype(np.float64) + params["bias"]
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    delta = (p - target) / len(x)
    return -(target * np.log(p)).sum(1).mean(), {"kernel": x.T.astype(np.float64) @ delta, "bias": delta.sum(0)}


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_a_step_of_descent_on_softmax_regression():
    params, metrics = first(LINEAR)
    loss, gradient = softmax_regression(PARAMS["output"])
    close(metrics.loss, loss)
    assert metrics.penalty == 0
    assert bool(metrics.finite)
    for name in ("kernel", "bias"):
        close(params["output"][name], PARAMS["output"][name] - 0.5 * gradient[name])


def test_three_steps_of_adam_equal_optax():
    trained = steps(dataclasses.replace(LINEAR, optimizer="adam", learning_rate=0.1), PARAMS, [(X, Y)] * 3)
    adam = optax.adam(0.1)
    params = jax.tree.map(jnp.asarray, PARAMS["output"])
    state = adam.init(params)
    for after, _ in trained:
        gradient = {k: jnp.asarray(v, jnp.float32) for k, v in softmax_regression(jax.device_get(params))[1].items()}
        with jax.numpy_dtype_promotion("standard"):
            updates, state = adam.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        for name in ("kernel", "bias"):
            close(after["output"][name], params[name])


def test_l2_and_l1_act_on_kernels_and_not_on_biases():
    plain, _ = first(LINEAR)
    for field, term, slope in (("l2", (W**2).sum(), 2 * W), ("l1", np.abs(W).sum(), np.sign(W))):
        params, metrics = first(dataclasses.replace(LINEAR, **{field: 0.03}))
        close(metrics.penalty, 0.03 * term)
        close(plain["output"]["kernel"] - params["output"]["kernel"], 0.5 * 0.03 * slope)
        np.testing.assert_array_equal(plain["output"]["bias"], params["output"]["bias"])


def test_weight_decay_is_decoupled_and_does_not_act_on_biases():
    for optimizer in ("sgd", "adam"):  # with Adam, decay in the gradient would be rescaled
        base = dataclasses.replace(LINEAR, optimizer=optimizer)
        plain, (params, metrics) = first(base)[0], first(dataclasses.replace(base, weight_decay=0.03))
        assert metrics.penalty == 0
        close(plain["output"]["kernel"] - params["output"]["kernel"], 0.5 * 0.03 * W)
        np.testing.assert_array_equal(plain["output"]["bias"], params["output"]["bias"])


@pytest.mark.parametrize("limit", [0.1, 100.0])
def test_clip_bounds_the_norm_of_the_gradient(limit):
    _, gradient = softmax_regression(PARAMS["output"])
    norm = np.sqrt(sum((leaf**2).sum() for leaf in gradient.values()))
    params, _ = first(dataclasses.replace(LINEAR, clip=limit))
    factor = min(1.0, limit / norm)
    close(params["output"]["kernel"], W - 0.5 * factor * gradient["kernel"])
    close(params["output"]["bias"], BIAS - 0.5 * factor * gradient["bias"])


def test_label_smoothing_mixes_the_target_with_the_uniform_distribution():
    params, metrics = first(dataclasses.replace(LINEAR, label_smoothing=0.2))
    loss, gradient = softmax_regression(PARAMS["output"], target=0.8 * np.eye(K)[Y] + 0.2 / K)
    close(metrics.loss, loss)
    close(params["output"]["kernel"], W - 0.5 * gradient["kernel"])


def test_the_schedule_and_the_plateau_factor_multiply_the_rate():
    from lanes.recipe.schedules import Exponential

    run = dataclasses.replace(LINEAR, schedule=Exponential(final=0.01))
    moved = [after["output"]["bias"] for after, _ in steps(run, PARAMS, [(X, Y)] * 2)]
    still = [after["output"]["bias"] for after, _ in steps(LINEAR, PARAMS, [(X, Y)] * 2)]
    close(moved[0], still[0])  # factor 1 at step 0
    factor = 0.01 ** (1 / 40)  # 4 epochs of 10 steps
    close((moved[1] - moved[0]), factor * (still[1] - still[0]))


def test_input_noise_has_its_standard_deviation_and_a_new_draw_each_step():
    noisy = [perturb(prepared(dataclasses.replace(LINEAR, input_noise=s))[1], (jnp.zeros((2000, F)), Y), jnp.int32(n))[0]
             for s, n in ((0.5, 0), (1.0, 0), (0.5, 1))]  # fmt: skip
    assert abs(float(jnp.std(noisy[0])) - 0.5) < 0.02  # 10,000 draws: standard error 0.0035
    assert abs(float(jnp.mean(noisy[0]))) < 0.02
    close(noisy[1], 2 * noisy[0])  # the same draw, scaled
    assert abs(np.corrcoef(np.ravel(noisy[0]), np.ravel(noisy[2]))[0, 1]) < 0.05
    loss = first(dataclasses.replace(LINEAR, input_noise=0.5))[1].loss
    x = X + 0.5 * np.asarray(jax.random.normal(stream(0, "noise", 0), X.shape))
    close(loss, softmax_regression(PARAMS["output"], x=x)[0])


def test_dropout_zeroes_units_and_scales_the_others_in_training_only():
    units, p = 400, 0.25
    run = dataclasses.replace(LINEAR, net=MLP(widths=(units,)), activation="relu", dropout=p)
    setup, run = prepared(run)
    ones = {"dense": {"kernel": jnp.zeros((F, units)), "bias": jnp.ones(units)}}  # every unit is 1
    params = {"hidden_0": ones, "output": {"kernel": jnp.ones((units, K)), "bias": jnp.zeros(K)}}

    def total(step, train):
        keys = {"dropout": stream(0, "dropout", step)}
        return np.asarray(apply(setup, run, params, {}, jnp.asarray(X), train=train, keys=keys)[0].prediction)

    kept = total(0, True) * (1 - p)  # the number of units kept, for each example
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-3)
    assert abs(kept[:, 0].mean() - units * (1 - p)) < 5 * np.sqrt(units * p * (1 - p) / B)
    assert (total(0, True) == total(0, True)).all()
    assert (total(0, True) != total(1, True)).any()
    np.testing.assert_array_equal(total(0, False), units)


def test_penalties_act_on_their_targets():
    hidden = np.tanh(X @ W0 + BIAS0)
    _, metrics = first(dataclasses.replace(DEEP, penalties=(ActivityL1(0.01),)), DEEP_PARAMS)
    close(metrics.penalty, 0.01 * np.abs(hidden).sum(1).mean())
    _, metrics = first(dataclasses.replace(DEEP, penalties=(Contractive(0.01),)), DEEP_PARAMS)
    jacobian = ((1 - hidden**2) ** 2 * (W0**2).sum(0)).sum(1)  # ‖∂h/∂x‖² of each example
    close(metrics.penalty, 0.01 * jacobian.mean())
    params, _ = first(dataclasses.replace(DEEP, penalties=(MaxNorm(0.5),)), DEEP_PARAMS)
    norms = np.linalg.norm(params["hidden_0"]["dense"]["kernel"], axis=0)
    assert (norms < 0.5 + 1e-5).all()
    close(norms.max(), 0.5)
    _, metrics = first(dataclasses.replace(LINEAR, penalties=(WeightNoise(0.1),)))
    assert abs(metrics.loss - softmax_regression(PARAMS["output"])[0]) > 1e-4


def test_non_finite_values_are_reported():
    bad = X.copy()
    bad[0, 0] = np.nan
    assert not bool(first(LINEAR, x=bad)[1].finite)
    huge = {"output": {"kernel": W * np.float32(1e30), "bias": BIAS}}
    assert not bool(first(dataclasses.replace(LINEAR, l2=1.0), huge)[1].finite)


def test_a_number_that_is_not_finite_is_found_in_any_leaf():
    tree = {"a": jnp.ones((3, 2)), "b": jnp.full(4, 3e38), "c": jnp.arange(3), "d": jnp.ones((2, 1), jnp.bfloat16)}
    assert all_finite(tree)
    assert all_finite({})
    for name in ("a", "b", "d"):
        for wrong in (jnp.inf, -jnp.inf, jnp.nan):
            assert not all_finite({**tree, name: tree[name].at[-1].set(wrong)})


def test_jit_changes_only_rounding():
    run = dataclasses.replace(
        LINEAR, l2=1e-3, input_noise=0.1
    )  # few operations: without jit each is compiled separately
    (jitted, metrics), (plain, plain_metrics) = (steps(run, PARAMS, [(X, Y)], jit)[0] for jit in (True, False))
    jax.tree.map(close, jitted, plain)
    close(metrics.loss, plain_metrics.loss)


def test_half_precision_keeps_parameters_and_losses_in_float32():
    params, metrics = first(dataclasses.replace(LINEAR, precision="bfloat16"))
    assert metrics.loss.dtype == np.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}
    assert metrics.loss != first(LINEAR)[1].loss
    np.testing.assert_allclose(metrics.loss, softmax_regression(PARAMS["output"])[0], rtol=0.03)


def test_streams_of_randomness_are_distinct():
    keys = {
        (seed, name, step): tuple(np.asarray(jax.random.key_data(stream(seed, name, step))).tolist())
        for seed in (0, 1)
        for name in STREAMS
        for step in (0, 1, 2)
    }
    assert len(set(keys.values())) == len(keys)
    assert len(set(STREAMS.values())) == len(STREAMS)


def test_runs_of_a_seed_see_the_same_batches_and_every_epoch_is_fresh():
    order = epoch_order(50, seed=3, epoch=2, batch_size=8)
    np.testing.assert_array_equal(order, epoch_order(50, seed=3, epoch=2, batch_size=8))
    assert order.shape == (48,)
    assert len(set(order.tolist())) == 48
    others = [epoch_order(50, 3, 1, 8), epoch_order(50, 4, 2, 8)]
    assert all((order != other).any() for other in others)
    np.testing.assert_array_equal(epoch_order(50, 3, 2, 5)[:48], order)  # the batch size only cuts the end
