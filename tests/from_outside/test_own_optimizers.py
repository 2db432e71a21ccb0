"""A user's own optimizer and schedule, from an experiment file to the trained weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lanes
from lanes.data.loading import load_dataset

FILE = '''
"""Two layers with rates of their own, and a rate that rises and falls."""
import jax.numpy as jnp
import optax

from lanes import Blobs, Run, grid
from nets import MLP

DATA = Blobs(n=60, classes=3, distance=1.5)


def layerwise(learning_rate):
    labels = {"hidden_0": "slow", "output": "fast"}
    return optax.multi_transform({"slow": optax.adam(0.5 * learning_rate), "fast": optax.sgd(learning_rate)}, labels)


def tent(step, horizon):
    half = horizon / 2
    return 1 - abs(step - half) / half


def spread(key, shape, dtype=jnp.float32):
    return jnp.linspace(-1.0, 0.5, shape[0] * shape[1], dtype=dtype).reshape(shape)


BASE = Run(data=DATA, net=MLP(widths=(4,)), activation="tanh", initializer=spread, optimizer=layerwise, schedule=tent,
           batch_size=43, epochs=4, weight_decay=0.01)


def sweep():
    return grid(BASE, learning_rate=[0.3, 0.1])
'''


def tent(step, horizon):
    return 1 - abs(step - horizon / 2) / (horizon / 2)


def spread(rows, columns):
    return jnp.linspace(-1.0, 0.5, rows * columns).reshape(rows, columns)


def plain_loop(x, y, rate, steps=4):
    """The same training written in Optax alone, on the whole split in each step."""
    params = {
        "hidden_0": {"dense": {"kernel": spread(2, 4), "bias": jnp.zeros(4)}},
        "output": {"kernel": spread(4, 3), "bias": jnp.zeros(3)},
    }

    def loss(params):
        dense, output = params["hidden_0"]["dense"], params["output"]
        logits = jnp.tanh(x @ dense["kernel"] + dense["bias"]) @ output["kernel"] + output["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    labels = {"hidden_0": "slow", "output": "fast"}
    memory = None
    for step in range(steps):
        now = rate * tent(step, steps)
        rule = optax.multi_transform({"slow": optax.adam(0.5 * now), "fast": optax.sgd(now)}, labels)
        memory = rule.init(params) if memory is None else memory
        updates, memory = rule.update(jax.grad(loss)(params), memory, params)
        decay = jax.tree.map(lambda leaf, now=now: 0.01 * now * leaf if leaf.ndim > 1 else 0.0 * leaf, params)
        params = jax.tree.map(lambda p, u, d: p + u - d, params, updates, decay)
    return params


@pytest.mark.slow
def test_a_sweep_with_an_optimizer_and_a_schedule_of_ones_own_equals_a_plain_loop(call, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    status, _, error = call(path, "--out", tmp_path / "out", "--devices", "1", "--width", "2")
    assert status == 0, error
    table = lanes.load(tmp_path / "out")
    assert set(table["optimizer"]) == {"layerwise"}
    assert set(table["schedule"]) == {"tent"}
    data = load_dataset(lanes.Blobs(n=60, classes=3, distance=1.5))
    assert len(data.train) == 43
    x = (np.asarray(data.train.x) - np.asarray(data.offset)) * np.asarray(data.scale)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for _, row in table.iterrows():
            _, variables = lanes.restore(tmp_path / "out", row["run_id"], epoch="last")
            expected = plain_loop(jnp.asarray(x, jnp.float32), jnp.asarray(data.train.y), row["learning_rate"])
            pairs = zip(jax.tree.leaves(variables["params"]), jax.tree.leaves(expected), strict=True)
            for ours, theirs in pairs:
                np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


WRONG = {
    "a finished transformation": ("optimizer=optax.adam(0.1)", "optimizer=optax.adam, with the run's learning_rate"),
    "a lambda": ("optimizer=lambda learning_rate: optax.adam(learning_rate)", "is a lambda"),
    "no learning_rate": ("optimizer=optax.scale", "no argument named learning_rate"),
    "a bound rate": ("optimizer=functools.partial(optax.sgd, 0.1)", "binds learning_rate=0.1"),
    "a rate kept in the state": ("optimizer=optax.inject_hyperparams(optax.sgd)", "give sgd itself"),
    "an argument that changes nothing": (
        "optimizer=functools.partial(idle, knob=0.5)",
        "optimizer.knob is 0.5 and changes",
    ),
    "a branch on the rate": ("optimizer=branching", "takes learning_rate as a Python number"),
    "momentum": ("optimizer=optax.sgd, momentum=0.9", "functools.partial(sgd, momentum=0.9)"),
    "weight decay twice": ("optimizer=optax.adamw, weight_decay=0.1", "functools.partial(adamw, weight_decay=0.1)"),
    "l2 beside a decay": ("optimizer=optax.adamw, l2=0.1", "own weight_decay is 0.0001"),
    "a finished schedule": ("schedule=optax.cosine_decay_schedule(1.0, 100)", "Optax's cosine_decay_schedule"),
    "a factory of schedules": ("schedule=optax.cosine_decay_schedule", "cosine_decay_schedule"),
    "a branch on the step": ("schedule=warming", "jnp.where"),
    "an optimizer for a schedule": ("schedule=optax.sgd", "must return one number"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_work_is_one_line_before_anything_starts(call, tmp_path, wrong):
    text, message = WRONG[wrong]
    path = tmp_path / "wrong.py"
    path.write_text(
        "import functools\nimport optax\nfrom lanes import Blobs, Run\nfrom nets import MLP\n\n\n"
        "def branching(learning_rate):\n    return optax.sgd(learning_rate if learning_rate > 0.1 else 0.1)\n\n\n"
        "def idle(learning_rate, knob=0.1):\n    return optax.sgd(learning_rate)\n\n\n"
        "def warming(step, horizon):\n    return 0.1 if step < 5 else 1.0\n\n\n"
        f"def sweep():\n    return [Run(data=Blobs(n=120), net=MLP(widths=(4,)), batch_size=8, epochs=1, {text})]\n"
    )
    status, out, error = call(path, "--out", tmp_path / "out", "--devices", "1")
    assert (status, out) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


SWEPT = """
import functools
import optax
import jax.numpy as jnp
from lanes import Blobs, Run, grid
from nets import MLP


def clipped(learning_rate, b1=0.9, limit=1.0):
    return optax.chain(optax.clip(limit) if limit > 0 else optax.identity(), optax.adam(learning_rate, b1=b1))


def valley(step, horizon, floor, width=0.5):
    t = step / horizon
    return jnp.where(abs(t - 0.5) < width / 2, floor, 1.0)


BASE = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), batch_size=20, epochs=2, optimizer=clipped,
           schedule=functools.partial(valley, floor=0.1))


def sweep():
    axes = {"optimizer.b1": [0.5, 0.9, 0.95], "schedule.floor": [0, 0.25], "optimizer.limit": [1.0, 2.0]}
    return grid(BASE, axes)
"""


def test_arguments_of_a_factory_and_a_schedule_are_axes_traced_unless_read_in_python(call, tmp_path):
    path = tmp_path / "swept.py"
    path.write_text(SWEPT)
    status, out, error = call(path, "--out", tmp_path / "out", "--devices", "1", "--dry-run")
    assert status == 0, error
    assert "12 runs in 2 packs by 2 training programs" in " ".join(out.split())
    assert "optimizer.limit is read in Python" in out
    status, out, error = call(
        path,
        "--out",
        tmp_path / "out",
        "--devices",
        "1",
        "--dry-run",
        "--set",
        "optimizer.limit=3",
        "--only",
        "optimizer.b1=0.9",
        "--set",
        "schedule.width=0.1",
    )
    assert status == 0, error
    assert "2 runs in 1 packs by 1 training programs" in " ".join(out.split())
    status, _, error = call(path, "--out", tmp_path / "out", "--dry-run", "--set", "optimizer.b3=3")
    assert (status, "b1" in error, error.count("\n")) == (2, True, 1)
