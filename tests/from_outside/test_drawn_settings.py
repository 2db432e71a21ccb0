"""Draws of nets and settings: a setting is refused exactly if it changes nothing.

Nets of one's own say by flags what they use, so what must be refused is known. For built-in nets, two runs of two steps
are computed, with the setting and without it, and compared.
"""

import dataclasses
import itertools
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest

from lanes import EMA, Blobs, Digits, Run
from lanes.engine.buildable import Buildable
from lanes.errors import RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.families import Families
from lanes.program import initialization, lane
from lanes.program.metrics import measure
from lanes.program.over_lanes import Data
from lanes.program.step import Setup, evaluated_params, standardize, train_step
from losses.penalties import L1, MaxNorm, WeightNoise
from nets import CNN, MLP, RBF, Autoencoder, Dropout, Linear, Recurrent, ResNet


class Drawn(nn.Module):
    """A net that uses what its flags say; it has all fields that the engine fills."""

    activates: bool = True
    draws: bool = True
    drops: bool = True
    kernels: bool = True
    outputs: int = 10
    activation: Any = None
    kernel_init: Any = None
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        ours = self.kernel_init if self.draws else nn.initializers.lecun_normal()
        h = x @ self.param("kernel" if self.kernels else "matrix", ours, (x.shape[-1], 4))
        activated = self.activation()(h)
        h = activated if self.activates else nn.tanh(h)
        dropped = Dropout(self.dropout)(h, train=train)
        last = self.param("last", nn.initializers.lecun_normal(), (4, self.outputs))
        return (dropped if self.drops else h) @ last


class Lacking(nn.Module):
    """A net without those fields."""

    kernels: bool = True
    outputs: int = 10

    @nn.compact
    def __call__(self, x, *, train):
        del train
        first = self.param(
            "kernel" if self.kernels else "matrix", nn.initializers.lecun_normal(), (x.shape[-1], self.outputs)
        )
        return nn.tanh(x @ first)


# Each setting, and what the net needs for it: a flag, or None.
SETTINGS: dict[str, tuple[str | None, list[dict[str, Any]]]] = {
    "activation": ("activates", [{"activation": "tanh"}, {"activation": "prelu"}, {"activation": "leaky_relu"}]),
    "initializer": ("draws", [{"initializer": "orthogonal"}, {"initializer": "uniform_0.1"}, {"initializer": "zeros"}]),
    "init_scale": ("draws", [{"init_scale": 0.5}, {"init_scale": 2.0}]),
    "dropout": ("drops", [{"dropout": 0.1}, {"dropout": 0.5}]),
    "decay": ("kernels", [{"weight_decay": 0.1}, {"l1": 0.01}, {"l2": 0.01}]),
    "penalties": (
        "kernels",
        [{"penalties": (MaxNorm(0.01),)}, {"penalties": (L1(0.1),)}, {"penalties": (WeightNoise(0.1),)}],
    ),
    "smoothing": (None, [{"label_smoothing": 0.1}]),
    "noise": (None, [{"input_noise": 0.1}]),
    "clip": (None, [{"clip": 0.01}]),
    "average": (None, [{"average": EMA(0.9)}]),
    "optimizer": (None, [{"optimizer": "nesterov", "momentum": 0.5}, {"optimizer": "lamb"}, {"optimizer": "lion"}]),
    "schedule": (None, [{"schedule": "cosine"}, {"schedule": "linear"}]),
}
BASE = Run(data=Blobs(n=60, classes=3), batch_size=8, epochs=2)


class Planner:
    """Plans runs one by one; what they have in common is traced once."""

    def __init__(self):
        self.datasets = Datasets()
        self._families = Families(self.datasets)
        self._buildable = Buildable(self.datasets)

    def plan(self, run):
        member = self._families.plan(run)
        self._buildable.check(member)
        return member

    def refusal(self, run) -> str:
        """The line with which a run is refused; "" if it is planned."""
        try:
            self.plan(run)
        except RequestError as error:
            return str(error)
        return ""


def check_draws(count: int, seed: int) -> None:
    random, planner = np.random.default_rng(seed), Planner()
    for _ in range(count):
        flags = {name: bool(random.integers(2)) for name in ("activates", "draws", "drops", "kernels")}
        net: Any = Drawn(**flags) if random.random() < 0.75 else Lacking(kernels=flags["kernels"])
        has = flags if isinstance(net, Drawn) else {"kernels": flags["kernels"]}
        names = random.choice(list(SETTINGS), size=random.integers(1, 4), replace=False)
        fields = {}
        for name in names:
            choices = SETTINGS[name][1]
            fields |= choices[random.integers(len(choices))]
        useless = [name for name in names if SETTINGS[name][0] is not None and not has.get(SETTINGS[name][0], False)]
        if fields.get("initializer") == "zeros" and "init_scale" in names:
            useless.append("init_scale of zeros")
        found = planner.refusal(dataclasses.replace(BASE, net=net, **fields))
        assert bool(found) == bool(useless), (net, fields, useless, found)


def test_a_few_drawn_settings():
    check_draws(15, seed=1)


@pytest.mark.slow
def test_two_thousand_drawn_settings():
    check_draws(2000, seed=0)


# ---- built-in nets, against numbers ----------------------------------------------------------------------------------

SERIES = {"data": "adding", "batch_size": 8, "loss": "squared_error"}
IMAGES = {"data": Digits(), "train_examples": 32, "batch_size": 8}
BUILT_IN: dict[str, dict[str, Any]] = {
    "linear": {"net": Linear()},
    "mlp without hidden layers": {"net": MLP(widths=())},
    "mlp": {"net": MLP(widths=(4,))},
    "mlp with layer norm": {"net": MLP(widths=(4,), norm="layer_norm")},
    "rbf": {"net": RBF()},
    "cnn": {"net": CNN(), **IMAGES},
    "resnet": {"net": ResNet(), **IMAGES},
    "autoencoder": {"net": Autoencoder(widths=(), code=2), "task": "reconstruct", "loss": "squared_error"},
    "recurrent": {"net": Recurrent(), **SERIES},
}


def numbers_after_two_steps(planner: Planner, run: Run) -> list[np.ndarray]:
    """Initial parameters, parameters after two steps, and metrics, with the run's numbers as constants."""
    member = planner.plan(run)
    run, data, made = member.run, planner.datasets.of(member.run), member.setup
    setup = Setup(run, made.outputs, made.features, made.examples)
    examples = data.train.x[: initialization.INIT_EXAMPLES], data.offset, data.scale

    @jax.jit
    def computed(x, y):
        variables = initialization.initial_variables(setup, run, examples)
        state = lane.start(setup, run, variables["params"], variables["rest"], np.bool_(False)).trained
        for step in range(2):
            batch = standardize(x, data.offset, data.scale), y
            state, _ = train_step(setup, run, state, batch, np.float32(1), np.int32(step))
        after = {"params": evaluated_params(run, state), "rest": state.rest}
        return (
            variables["params"],
            after,
            measure(setup, run, after, ("train",), Data({"train": (x, y)}, data.offset, data.scale)),
        )

    return [np.asarray(leaf) for leaf in jax.tree.leaves(computed(data.train.x[:8], data.train.y[:8]))]


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_setting_of_a_built_in_net_changes_its_numbers_or_is_refused(name):
    planner = Planner()
    base = dataclasses.replace(BASE, **BUILT_IN[name])
    plain = numbers_after_two_steps(planner, base)
    refused = []
    for fields in itertools.chain.from_iterable(choices for _, choices in SETTINGS.values()):
        run = dataclasses.replace(base, **fields)
        if planner.refusal(run):
            refused.append(fields)
            continue
        changed = numbers_after_two_steps(planner, run)
        same = len(plain) == len(changed) and all(np.array_equal(a, b) for a, b in zip(plain, changed))
        # Two steps of a run of fourteen say little about its schedule.
        assert not same or "schedule" in fields, (name, fields)
    assert len(refused) < len(SETTINGS), refused
