"""Runs: every field changes the identity, equal runs have equal identities, names stand for their entries."""

import dataclasses
import functools
import json
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lanes import Run
from lanes.data.generated_sets import Spirals
from lanes.describe import checks, identity, runs
from lanes.errors import RequestError
from lanes.recipe.augmentations import AUGMENTATIONS
from lanes.recipe.averages import EMA
from lanes.recipe.optimizers import Adam
from lanes.recipe.schedules import Cosine
from lanes.recipe.tasks_regressing import Regress
from losses import L1, Contractive, Metric
from nets import MLP
from nets.activations import LeakyReLU

# A value other than the default for every field; a new field needs a line here.
OTHER = {
    "data": "spirals",
    "net": MLP(widths=(8,)),
    "output": "sigmoid",
    "outputs": 3,
    "activation": "tanh",
    "initializer": "orthogonal",
    "bias_initializer": "normal",
    "init_scale": 0.5,
    "task": Regress(),
    "loss": "squared_error",
    "rule": "evolution",
    "optimizer": "sgd",
    "learning_rate": 0.5,
    "momentum": 0.5,
    "schedule": Cosine(warmup=3.0),
    "batch_size": 16,
    "epochs": 3,
    "steps": 7,
    "eval_every": 2,
    "seed": 1,
    "l1": 1e-3,
    "l2": 1e-3,
    "weight_decay": 1e-3,
    "dropout": 0.1,
    "input_noise": 0.1,
    "label_smoothing": 0.1,
    "clip": 1.0,
    "penalties": (Contractive(),),
    "augment": (AUGMENTATIONS["gaussian_noise"],),
    "average": EMA(),
    "monitor": "valid_accuracy",
    "patience": 3,
    "min_delta": 0.1,
    "train_examples": 96,
    "valid_fraction": 0.2,
    "metrics": ("top5_accuracy",),
    "precision": "bfloat16",
    "matmul_precision": "highest",
    "init_from": "runs/a:0123",
}


def cube(z):
    """A user's activation."""
    return z * z * z


def test_a_run_is_frozen_and_keyword_only():
    with pytest.raises(TypeError, match="learning_rat"):
        Run(learning_rat=0.1)
    with pytest.raises(TypeError):
        Run("digits")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Run().seed = 3


def test_every_field_is_declared_once_as_static_traced_or_switched():
    assert {field.metadata["how"] for field in runs.FIELDS.values()} == {"static", "traced", "switched"}
    assert set(OTHER) == set(runs.FIELDS), "every field of Run needs a value other than its default in OTHER"


@pytest.mark.parametrize("name", runs.FIELDS)
def test_every_field_changes_identity_and_program_or_input(name):
    base = Run()
    other = dataclasses.replace(base, **{name: OTHER[name]})
    assert identity.run_id(other) != identity.run_id(base)
    resolved = [runs.resolve(run) for run in (base, other)]
    signatures = [identity.signature(run) for run in resolved]
    numbers = [runs.numbers(run) for run in resolved]
    how = runs.FIELDS[name].metadata["how"]
    if how == "static":
        assert signatures[0] != signatures[1]
    elif how == "traced":
        assert signatures[0] == signatures[1]
        assert {key for key in numbers[0] if numbers[0][key] != numbers[1][key]} == {name}
    else:  # on and off are different programs; two strengths share one
        assert signatures[0] != signatures[1]
        assert set(numbers[1]) - set(numbers[0]) == {name}
        twice = runs.resolve(dataclasses.replace(base, **{name: 2 * OTHER[name]}))
        assert identity.signature(twice) == signatures[1]


def test_identity_is_stable():
    # The id changes if a field of Run, or of a description in it, is added, renamed or given another default. The runs in
    # all earlier directories then count as different runs, so the change must be deliberate.
    run = Run(net=MLP(widths=(8, 8)), activation="tanh", optimizer=Adam(b1=0.5), learning_rate=3e-3, l2=1e-4, seed=7)
    assert identity.run_id(run) == "ecfc84394ed8773c"


def test_a_name_and_its_default_description_are_one_run():
    assert identity.run_id(Run(activation="leaky_relu")) == identity.run_id(Run(activation=LeakyReLU()))
    assert identity.run_id(Run(optimizer="adam")) == identity.run_id(Run(optimizer=Adam()))
    assert identity.run_id(Run(penalties=("l1",))) == identity.run_id(Run(penalties=(L1(),)))
    assert identity.run_id(Run(activation=LeakyReLU(slope=0.2))) != identity.run_id(Run(activation=LeakyReLU()))


def test_equal_numbers_of_other_types_are_the_same_run():
    assert identity.run_id(Run(learning_rate=1)) == identity.run_id(Run(learning_rate=1.0))
    assert identity.run_id(Run(seed=np.int64(3))) == identity.run_id(Run(seed=3))
    assert identity.run_id(Run(learning_rate=np.float64(0.5))) == identity.run_id(Run(learning_rate=0.5))
    assert identity.run_id(Run(net=MLP(widths=[4, 4]))) == identity.run_id(Run(net=MLP(widths=(4, 4))))
    pairs = [
        (Run(activation=LeakyReLU(slope=1)), Run(activation=LeakyReLU(slope=1.0))),
        (Run(momentum=0, optimizer="momentum"), Run(momentum=0.0, optimizer="momentum")),
        (Run(penalties=[Contractive(1)]), Run(penalties=(Contractive(np.float64(1)),))),
    ]
    for run, other in pairs:
        assert identity.run_id(run) == identity.run_id(other)
        assert runs.numbers(runs.resolve(run)) == runs.numbers(runs.resolve(other))


def test_a_description_restores_its_run():
    run = runs.resolve(
        Run(
            data=Spirals(n=300),
            net=MLP(widths=(3,)),
            activation=cube,
            penalties=(Contractive(0.5), "l1"),
            schedule=Cosine(final=0.1),
            average="ema",
            metrics=("top5_accuracy",),
        )
    )
    assert identity.from_description(json.loads(json.dumps(identity.describe(run)))) == run


def test_a_later_field_at_its_default_is_no_part_of_an_identity():
    described = identity.describe(Run(metrics=(Metric(jnp.sin, higher_is_better=None),)))
    assert "monitor" not in described
    assert "over" not in json.dumps(described)
    assert "monitor" not in identity.signature(runs.resolve(Run()))
    assert identity.from_description(described).monitor is None
    other = Run(metrics=(Metric(jnp.sin, higher_is_better=None, over="set"),), monitor="valid_loss")
    assert identity.from_description(identity.describe(other)) == runs.resolve(other)


def test_strengths_share_a_program_and_floats_of_descriptions_are_inputs():
    first, second = (
        runs.resolve(Run(activation=LeakyReLU(slope=s), optimizer=Adam(b1=b))) for s, b in ((0.1, 0.8), (0.2, 0.9))
    )
    assert identity.signature(first) == identity.signature(second)
    assert runs.numbers(first)["activation.slope"] == 0.1
    assert runs.numbers(second)["optimizer.b1"] == 0.9
    filled = runs.with_numbers(first, {"activation.slope": 0.7, "learning_rate": 0.25})
    assert filled.activation == LeakyReLU(slope=0.7)
    assert filled.learning_rate == 0.25


SWITCHED_ON = runs.resolve(
    Run(
        activation=LeakyReLU(slope=0.1),
        schedule=Cosine(warmup=3.0),
        penalties=(Contractive(1e-3),),
        average=EMA(0.9),
        momentum=0.5,
        patience=3,
        l2=1e-3,
        dropout=0.1,
    )
)


def at_path(run: Run, path: str):
    step = lambda value, name: value[int(name)] if isinstance(value, tuple) else getattr(value, name)  # noqa: E731
    return functools.reduce(step, path.split("."), run)


def test_blanks_replace_traced_numbers_and_nothing_else():
    blanked, numbers = runs.blanked(SWITCHED_ON), runs.numbers(SWITCHED_ON)
    assert {"learning_rate", "epochs", "patience", "l2", "schedule.warmup", "penalties.0.strength"} <= set(numbers)
    assert set(runs.numbers(blanked)) == set(numbers)
    assert runs.with_numbers(blanked, numbers) == SWITCHED_ON
    assert runs.blanked(blanked) == blanked == runs.blanked(dataclasses.replace(SWITCHED_ON, l2=0.5, seed=7))
    assert identity.signature(blanked) == identity.signature(SWITCHED_ON)
    assert [runs.is_off(blanked, name) for name in runs.SWITCHED] == [
        runs.is_off(SWITCHED_ON, name) for name in runs.SWITCHED
    ]


@pytest.mark.parametrize("path", runs.numbers(SWITCHED_ON))
def test_reading_a_blank_names_its_path(path):
    blank = at_path(runs.blanked(SWITCHED_ON), path)
    with pytest.raises(TypeError, match=f"^{path} is traced: each lane has its own"):
        float(blank)


@pytest.mark.parametrize(
    "read",
    [
        bool,
        int,
        operator.index,
        abs,
        math.sqrt,
        math.floor,
        round,
        range,
        np.asarray,
        jnp.asarray,
        jax.random.key,
        np.float32(2).__mul__,
        operator.neg,
        *(functools.partial(function, 2.0) for function in (operator.add, operator.sub, operator.mul, operator.pow)),
        *(functools.partial(function, 2) for function in (operator.truediv, operator.floordiv, operator.mod)),
        *(functools.partial(function, 2) for function in (operator.lt, operator.ge)),
        lambda blank: blank / 2,
        lambda blank: blank > 2,
        lambda blank: jnp.ones(()) * blank,
        lambda blank: blank - np.ones(3),
        lambda blank: jax.jit(lambda x: x + blank)(1.0),
    ],
)
def test_every_way_of_reading_a_blank_raises(read):
    with pytest.raises(TypeError, match="learning_rate is traced: each lane has its own"):
        read(runs.blanked(SWITCHED_ON).learning_rate)


def test_runs_with_blanks_can_be_compared_as_hash_tables_do():
    """Also with a run in which the strength is off: a table may compare any two of its keys."""
    on, off = (runs.blanked(runs.resolve(Run(l2=strength))) for strength in (0.1, 0.0))
    assert on == runs.blanked(runs.resolve(Run(l2=0.2)))
    assert on != off
    assert on.l2 != 0.1
    assert on.l2 != on.learning_rate
    assert len({on, off, runs.blanked(on)}) == 2


def test_a_compiled_function_refuses_a_blank():
    with pytest.raises(TypeError, match="Blank"):
        jnp.sin(runs.blanked(SWITCHED_ON).learning_rate)  # the error is from JAX


def test_a_run_with_blanks_has_no_description():
    with pytest.raises(RequestError, match="cannot describe a run"):
        identity.run_id(runs.blanked(SWITCHED_ON))


def test_numbers_of_the_data_are_static():
    first, second = (runs.resolve(Run(data=Spirals(noise=noise))) for noise in (0.1, 0.2))
    assert identity.signature(first) != identity.signature(second)
    assert not any(name.startswith("data") for name in runs.numbers(first))


def test_set_field_by_dotted_path():
    assert runs.set_field(Run(), "learning_rate", 0.5).learning_rate == 0.5
    assert runs.set_field(Run(), "optimizer.b1", 0.5).optimizer == Adam(b1=0.5)
    assert runs.set_field(Run(), "net.widths", (4, 4)).net.widths == (4, 4)
    assert runs.set_field(Run(activation="leaky_relu"), "activation.slope", 0.5).activation == LeakyReLU(slope=0.5)
    with pytest.raises(RequestError, match="did you mean 'learning_rate'"):
        runs.set_field(Run(), "learning_rat", 0.5)
    with pytest.raises(RequestError, match="did you mean 'b1'"):
        runs.set_field(Run(), "optimizer.b11", 0.5)
    with pytest.raises(RequestError, match="unknown argument of relu 'slope': valid: z"):
        runs.set_field(Run(), "activation.slope", 0.5)
    with pytest.raises(RequestError, match="has none"):
        runs.set_field(Run(), "optimizer.b1.more", 0.5)


ADAM = Adam()


def mine(learning_rate, b1=0.9, steps=2, inner=ADAM):
    """A user's factory."""
    return learning_rate, b1, steps, inner


def test_set_field_binds_the_arguments_of_a_function():
    run = runs.set_field(runs.set_field(Run(optimizer=mine), "optimizer.b1", 1), "optimizer.steps", 3)
    assert run.optimizer.func is mine
    assert (run.optimizer.keywords, type(run.optimizer.keywords["b1"])) == ({"b1": 1.0, "steps": 3}, float)
    assert runs.set_field(run, "optimizer.b1", 0.5).optimizer.keywords == {"b1": 0.5, "steps": 3}
    assert runs.set_field(run, "optimizer.inner.b2", 0.5).optimizer.keywords["inner"] == Adam(b2=0.5)
    with pytest.raises(RequestError, match="did you mean 'steps'"):
        runs.set_field(run, "optimizer.step", 3)
    for text, value in (("0.5", 0.5), ("1", 1.0)):
        assert runs.parse_field(Run(optimizer=mine), "optimizer.b1", text) == value
    assert runs.parse_field(run, "optimizer.steps", "4") == 4


def test_runs_that_differ_in_bound_numbers_share_a_program_and_not_an_identity():
    one, other, third = (
        checks.resolved(Run(optimizer=functools.partial(optax.adam, b1=b1, nesterov=nesterov)))
        for b1, nesterov in ((0.5, False), (0.9, False), (0.9, True))
    )
    assert runs.numbers(one)["optimizer.b1"] == 0.5
    assert identity.signature(one) == identity.signature(other) != identity.signature(third)
    assert runs.blanked(one) == runs.blanked(other) != runs.blanked(third)
    assert hash(runs.blanked(one)) == hash(runs.blanked(other))
    assert len({identity.run_id(run) for run in (one, other, third)}) == 3
    filled = runs.with_numbers(runs.blanked(one), {"optimizer.b1": 0.7})
    assert filled.optimizer.keywords == {"b1": 0.7, "nesterov": False}


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("learning_rate", "1e-2", 0.01),
        ("epochs", "3", 3),
        ("steps", "none", None),
        ("patience", "5", 5),
        ("activation", "tanh", "tanh"),
        ("net.widths", "128,128", (128, 128)),
        ("optimizer.b1", "0.5", 0.5),
        ("metrics", "top5_accuracy", ("top5_accuracy",)),
    ],
)
def test_parse_field(path, text, value):
    assert runs.parse_field(Run(), path, text) == value


@pytest.mark.parametrize(
    ("path", "text"), [("epochs", "three"), ("epochs", "1.5"), ("learning_rate", "fast"), ("optimizer.b1", "x")]
)
def test_parse_field_refuses_other_types(path, text):
    with pytest.raises(RequestError, match=f"{path} is '{text}': it must be of type"):
        runs.parse_field(Run(), path, text)


def test_a_row_has_a_column_for_each_field_and_parameter():
    row = runs.row(Run(net=MLP(widths=(4,)), penalties=("l1", "contractive"), patience=3))
    assert set(runs.FIELDS) <= set(row)
    assert row["net"] == "mlp"
    assert row["net.widths"] == "4"
    assert row["optimizer.b1"] == 0.9
    assert row["penalties"] == "L1(strength=0.0001) Contractive(strength=0.001)"
    assert row["patience"] == 3
