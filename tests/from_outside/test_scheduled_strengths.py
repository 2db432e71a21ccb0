"""Strengths that follow a schedule, and kinds of dropout, from an experiment file to the trained weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lanes
from lanes.data.loading import load_dataset

FILE = """
import jax.numpy as jnp

from lanes import Blobs, Ramp, Run, Scheduled, grid
from losses import L2
from nets import AlphaDropout, GaussianDropout, MLP


def late(step, horizon, at=0.5):
    return jnp.where(step < at * horizon, 0.0, 1.0)


def rising(step, horizon):
    return 2.0 * step / horizon


def spread(key, shape, dtype=jnp.float32):
    return jnp.linspace(-1.0, 0.5, shape[0] * shape[1], dtype=dtype).reshape(shape)


BASE = Run(data=Blobs(n=60, classes=3, distance=1.5), net=MLP(widths=(4,)), activation="tanh", initializer=spread,
           optimizer="momentum", learning_rate=0.1, batch_size=43, epochs=4)
"""
SWEEP = (
    FILE
    + """

def sweep():
    return grid(BASE, l1=[Scheduled(0.05, Ramp(start=0.25)), Scheduled(0.2, Ramp(start=0.5))], momentum=[Scheduled(0.9, late)],
                penalties=[(L2(Scheduled(0.01, late)),)], label_smoothing=[Scheduled(0.1, "linear")])
"""
)


def spread(rows, columns):
    return jnp.linspace(-1.0, 0.5, rows * columns).reshape(rows, columns)


def plain_loop(x, y, l1, start, steps=4):
    """The same training in Optax alone; the parameters, and the penalty on weights after each step."""
    params = {
        "hidden_0": {"dense": {"kernel": spread(2, 4), "bias": jnp.zeros(4)}},
        "output": {"kernel": spread(4, 3), "bias": jnp.zeros(3)},
    }

    def penalty(params, step):
        ramp = np.clip((step / steps - start) / (1 - start), 0, 1)
        kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
        late = 0.01 * (step >= 0.5 * steps)
        return sum(l1 * ramp * jnp.abs(w).sum() + late * (w**2).sum() for w in kernels)

    def loss(params, step):
        dense, output = params["hidden_0"]["dense"], params["output"]
        logits = jnp.tanh(x @ dense["kernel"] + dense["bias"]) @ output["kernel"] + output["bias"]
        smoothing = 0.1 * (1 - step / steps)
        targets = (1 - smoothing) * jax.nn.one_hot(y, 3) + smoothing / 3
        return optax.softmax_cross_entropy(logits, targets).mean() + penalty(params, step)

    memory, penalties = None, []
    for step in range(steps):
        rule = optax.sgd(0.1, momentum=0.9 * (step >= 0.5 * steps))
        memory = rule.init(params) if memory is None else memory
        updates, memory = rule.update(jax.grad(loss)(params, step), memory, params)
        params = optax.apply_updates(params, updates)
        penalties.append(float(penalty(params, step)))
    return params, penalties


@pytest.mark.slow
def test_a_sweep_of_scheduled_strengths_equals_a_plain_loop(call, tmp_path):
    path = tmp_path / "scheduled.py"
    path.write_text(SWEEP)
    status, out, error = call(path, "--out", tmp_path / "out", "--devices", "1", "--width", "2")
    assert status == 0, error
    assert "by 1 training programs" in out
    table = lanes.load(tmp_path / "out")
    assert sorted(table["l1"]) == [0.05, 0.2]
    assert set(table["l1.schedule"]) == {"ramp"}
    assert sorted(table["l1.schedule.start"]) == [0.25, 0.5]
    assert set(table["momentum.schedule"]) == {"late"}
    curves = lanes.load_curves(tmp_path / "out")
    data = load_dataset(lanes.Blobs(n=60, classes=3, distance=1.5))
    x = (np.asarray(data.train.x) - np.asarray(data.offset)) * np.asarray(data.scale)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for _, row in table.iterrows():
            _, variables = lanes.restore(tmp_path / "out", row["run_id"], epoch="last")
            plain, penalties = plain_loop(
                jnp.asarray(x, jnp.float32), jnp.asarray(data.train.y), row["l1"], row["l1.schedule.start"]
            )
            pairs = zip(jax.tree.leaves(variables["params"]), jax.tree.leaves(plain), strict=True)
            for ours, theirs in pairs:
                np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
            own = curves[curves["run_id"] == row["run_id"]].sort_values("epoch")
            np.testing.assert_allclose(own["penalty"], penalties, rtol=2e-5, atol=1e-7)


RIGHT = {
    "values share a program": ("grid(BASE, {'l1.strength': [0.1, 0.2, 0]}, l1=[Scheduled(0.3)])", 3, 1),
    "kinds of dropout": (
        "grid(BASE, dropout=[GaussianDropout(0.1), GaussianDropout(0.2), AlphaDropout(0.1), 0.1])",
        4,
        3,
    ),
}


@pytest.mark.parametrize("right", RIGHT)
def test_descriptions_in_the_place_of_numbers_are_planned(call, tmp_path, right):
    text, count, programs = RIGHT[right]
    path = tmp_path / "right.py"
    path.write_text(f"{FILE}\n\ndef sweep():\n    return {text}\n")
    status, out, error = call(path, "--out", tmp_path / "out", "--devices", "1", "--dry-run", "--programs", "separate")
    assert status == 0, error
    assert f"{count} runs in " in out
    assert f"by {programs} training programs" in out


WRONG = {
    "the learning rate": ("learning_rate=Scheduled(0.1)", "set schedule"),
    "an initial number": ("init_scale=Scheduled(0.1)", "nothing in init_scale follows a schedule"),
    "patience": ("patience=Scheduled(3)", "patience"),
    "a name": ("l1=Scheduled(0.1, 'rampp')", "'ramp'"),
    "a lambda": ("l1=Scheduled(0.1, lambda step, horizon: 1.0)", "is a lambda"),
    "a negative strength": ("l1=Scheduled(-0.1)", "l1 is -0.1"),
    "a rate of 1": ("dropout=Scheduled(0.8, rising)", "dropout is"),
    "a rate of a kind": ("dropout=GaussianDropout(1.0)", "dropout is 1.0"),
    "a kind elsewhere": ("input_noise=GaussianDropout(0.1)", "a kind of dropout"),
    "l2 beside weight decay": ("l2=Scheduled(0.1), weight_decay=0.1", "both shrink"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_follow_a_schedule_is_one_line(call, tmp_path, wrong):
    text, message = WRONG[wrong]
    path = tmp_path / "wrong.py"
    path.write_text(f"{FILE}\n\ndef sweep():\n    import dataclasses\n    return [dataclasses.replace(BASE, {text})]\n")
    status, out, error = call(path, "--out", tmp_path / "out", "--devices", "1", "--dry-run")
    assert (status, out) == (2, ""), out
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error, error
