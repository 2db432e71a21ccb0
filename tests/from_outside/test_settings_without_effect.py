"""Settings that change nothing are refused when the sweep is planned; those that change something are not."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import pytest

from lanes import EMA, Blobs, Digits, Moons, Run, grid
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from losses.penalties import ActivityL1, MaxNorm, WeightNoise
from nets import MLP, Dropout

OPTIONS = Options(devices=1, width=1, quiet=True)
BLOBS = Blobs(n=60, classes=3)


def plan(**fields):
    return make_plan([Run(**{"data": BLOBS, "net": MLP(widths=(4,)), "batch_size": 8, "epochs": 1, **fields})], OPTIONS)


class Bare(nn.Module):
    """A net without the fields that the engine fills; its matrices are not named kernel."""

    outputs: int = 10

    @nn.compact
    def __call__(self, x, *, train):
        del train
        hidden = self.param("first", nn.initializers.lecun_normal(), (x.shape[-1], 4))
        return nn.tanh(x @ hidden) @ self.param("second", nn.initializers.lecun_normal(), (4, self.outputs))


class Unused(nn.Module):
    """A net that has the fields and uses none of them."""

    outputs: int = 10
    activation: object = None
    kernel_init: object = None
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        self.activation()(x)
        Dropout(self.dropout)(x, train=train)
        return nn.Dense(self.outputs)(x)


class Evaluating(Unused):
    """A net that drops out in evaluation only, where Dropout passes everything."""

    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.Dense(self.outputs)(Dropout(self.dropout)(x, train=False))


class Whole(nn.Module):
    """A net that uses everything."""

    outputs: int = 10
    activation: object = None
    kernel_init: object = None
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        h = self.activation()(nn.Dense(4, kernel_init=self.kernel_init)(x))
        return nn.Dense(self.outputs)(Dropout(self.dropout)(h, train=train))


NETS = {"Bare": Bare(), "Unused": Unused()}
SETTINGS = {"activation": "tanh", "initializer": "orthogonal", "init_scale": 2.0}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_field_that_the_net_does_not_use(net, name):
    plan(net=NETS[net])
    with pytest.raises(RequestError, match=rf"{name} is {SETTINGS[name]}, and net {net} "):
        plan(net=NETS[net], **{name: SETTINGS[name]})
    plan(net=Whole(), **{name: SETTINGS[name]})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"net": Unused(), "dropout": 0.1}, "dropout is 0.1, and net Unused never uses its field dropout"),
        ({"net": Evaluating(), "dropout": 0.1}, "dropout is 0.1, and net Evaluating never uses its field dropout"),
        ({"net": MLP(widths=()), "dropout": 0.1}, "dropout is 0.1, and net MLP never uses its field dropout"),
        ({"net": MLP(widths=()), "activation": "prelu"}, "net MLP never uses its field activation"),
        (
            {"net": Bare(), "optimizer": "adamw", "weight_decay": 0.1},
            "weight_decay is 0.1, and net Bare has no parameter",
        ),
        (
            {"net": Bare(), "optimizer": "lamb", "weight_decay": 0.1},
            "weight_decay is 0.1, and net Bare has no parameter",
        ),
        ({"net": Bare(), "l2": 0.1}, "no parameter is named kernel or embedding"),
        ({"net": Bare(), "penalties": (WeightNoise(0.1),)}, "penalties.0.std is 0.1 and changes nothing"),
        ({"net": Bare(), "penalties": (MaxNorm(2.0),)}, "penalties.0.limit is 2.0 and changes nothing"),
        ({"initializer": "zeros", "init_scale": 3.0}, "init_scale is 3.0, and it scales nothing that zeros draws"),
        ({"min_delta": 0.1}, "min_delta is 0.1 and patience is None"),
        ({"data": Digits(split_seed=3)}, "data.split_seed is 3, and no split of digits is drawn at random"),
        ({"data": Digits(split_seed=3), "valid_fraction": 0.0}, "data.split_seed is 3"),
        ({"data": Moons(n=60, test_fraction=0.0, split_seed=1), "valid_fraction": 0.0}, "data.split_seed is 1"),
        ({"valid_fraction": 0.0, "eval_every": 5}, "eval_every is 5, and blobs has no validation split"),
    ],
)
def test_a_setting_without_effect(fields, message):
    with pytest.raises(RequestError) as error:
        plan(**fields)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@dataclasses.dataclass(frozen=True)
class HalfUsed:
    """An activation, one of whose numbers is not read."""

    slope: float = 0.1
    shift: float = 0.0

    def __call__(self, z):
        return jnp.where(z > 0, z, jnp.asarray(self.slope, z.dtype) * z)


def test_a_number_that_a_users_description_does_not_read():
    plan(activation=HalfUsed(slope=0.3))
    with pytest.raises(RequestError, match=r"activation.shift is 2.0 and changes nothing"):
        plan(activation=HalfUsed(shift=2.0))


@pytest.mark.parametrize(
    "fields",
    [
        {"initializer": "zeros"},
        {"data": Digits(split_seed=3), "valid_fraction": 0.1},
        {"data": Digits(split_seed=3), "train_examples": 100},
        {"data": Moons(n=60, split_seed=1), "valid_fraction": 0.0},
        {"valid_fraction": 0.0, "eval_every": 2, "patience": 2},
        {"dropout": 0.1, "weight_decay": 0.1, "optimizer": "adamw", "label_smoothing": 0.1, "input_noise": 0.1},
        {"l1": 0.1, "clip": 1.0, "optimizer": "nesterov", "momentum": 0.5, "schedule": "cosine"},
        {"average": EMA(0.9), "patience": 3, "min_delta": 0.1, "schedule": "reduce_on_plateau"},
        {"penalties": (ActivityL1(0.1), MaxNorm(1.0)), "activation": "prelu", "initializer": "lsuv", "init_scale": 2.0},
        {"activation": "maxout", "initializer": "zero_residual", "init_scale": 2.0, "optimizer": "lion"},
    ],
)
def test_settings_with_an_effect_are_accepted(fields):
    assert len(plan(**fields).planned) == 1


def test_epochs_of_runs_whose_length_is_in_steps():
    base = Run(data=BLOBS, net=MLP(widths=(4,)), batch_size=8, steps=7)
    assert len(make_plan(grid(base, epochs=[3], learning_rate=[0.1, 0.2]), OPTIONS).planned) == 2
    with pytest.raises(RequestError, match="epochs is 3 and 5 in runs of 7 steps"):
        make_plan(grid(base, epochs=[3, 5]), OPTIONS)
