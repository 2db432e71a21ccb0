"""Columns of a run: unlike values never have equal columns, whatever their names are."""

import dataclasses
import functools
import itertools

import pytest
from users_own import Inner, Outer, cube, scaled_cube

import losses
from lanes import Blobs, Metric, Run
from lanes.describe import identity, runs
from lanes.describe.columns import bound_arguments, columns, display_name
from lanes.describe.experiment_files import load_module
from nets.activations import ACTIVATIONS, LeakyReLU

FILE = """
import dataclasses
from typing import Any
FACTOR = {factor}
def relu(z): return FACTOR * z
def mse(p, y): return FACTOR * ((p - y) ** 2).sum(-1)
@dataclasses.dataclass(frozen=True)
class LeakyReLU:
    slope: float = 0.01
    def __call__(self, z): return FACTOR * z
@dataclasses.dataclass(frozen=True)
class Thing:
    x: Any = None
    version: Any = 3
    def __call__(self, z): return z
"""


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Two versions of an experiment file, as modules."""
    folder = tmp_path_factory.mktemp("files")
    modules = []
    for number, factor in enumerate((1.0, 2.0)):
        path = folder / f"version_{number}.py"
        # The text of each function differs too.
        path.write_text(FILE.format(factor=factor).replace("FACTOR *", f"{factor} *"))
        modules.append(load_module(path))
    return modules


def test_a_partial_has_a_column_for_each_argument_by_its_parameter():
    assert bound_arguments(functools.partial(scaled_cube, 2.0)) == {"scale": 2.0}
    row = columns("activation", functools.partial(scaled_cube, scale=-5.0), ACTIVATIONS)
    assert (row["activation"], row["activation.scale"]) == ("scaled_cube", -5.0)
    assert display_name(functools.partial(scaled_cube, 2.0)) == "scaled_cube(scale=2.0)"


def test_entries_of_a_table_have_no_version_and_things_of_their_names_do(versions):
    first, second = versions
    assert columns("activation", ACTIVATIONS["relu"], ACTIVATIONS) == {"activation": "relu"}
    assert "activation.version" not in columns("activation", LeakyReLU(0.5), ACTIVATIONS)
    own = [columns("activation", thing, ACTIVATIONS) for thing in (first.relu, second.relu)]
    assert [row["activation"] for row in own] == ["relu", "relu"]
    assert len({row["activation.version"] for row in own}) == 2


def test_a_field_of_the_name_version_keeps_its_column(versions):
    row = columns("activation", versions[0].Thing(x=1, version=4), ACTIVATIONS)
    assert row["activation.version"] == 4
    assert row["activation.version of code"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("relu", "relu"),
        ("1", "'1'"),
        ("True", "'True'"),
        ("a,b", "'a,b'"),
        ("", "''"),
        (" ", "' '"),
        ("–", "'–'"),
        ((3, 4), "3,4"),
        (((1, 2), 3), "(1,2),3"),
        (("1", 1), "'1',1"),
        (Inner(), "Inner(amount=0.5, count=2)"),
    ],
)
def test_text_that_reads_like_another_value_is_quoted(value, shown):
    assert display_name(value) == shown


def values_of_a_field(first, second):
    """By field, values that people might give it, all of them unlike."""
    plain = [None, True, 1, 2.5, "None", "True", "2.5", "a", ("a", "b"), "a,b", ((1, 2), 3), (1, (2, 3)), (1, 2, 3), ()]
    plain += [cube, first.relu, second.relu, Inner(), Outer(), Outer(Inner(0.5, 3)), (Inner(0.1), Inner(0.2))]
    plain += ["Inner(amount=0.5, count=2)", functools.partial(scaled_cube, 2.0), functools.partial(scaled_cube, 3.0)]
    things = [first.Thing(x) for x in plain] + [first.Thing(1, version=4), second.Thing(1)]
    own = [first.relu, second.relu, first.LeakyReLU(), second.LeakyReLU(), LeakyReLU(0.1), LeakyReLU(0.1000001), cube]
    rated = [Metric(first.mse, higher_is_better=higher) for higher in (True, False, None)]
    return {
        "activation": ["relu", "leaky_relu", *own, *things],
        "loss": ["squared_error", first.mse, second.mse],
        "penalties": [(), ("l1",), *((thing,) for thing in things), (things[0], things[1])],
        "metrics": [
            (),
            ("accuracy",),
            (losses.METRICS["accuracy"],),
            (first.mse,),
            (second.mse,),
            *((m,) for m in rated),
        ],
        "data": ["digits", Blobs(), Blobs(n=10), Blobs(seed=1)],
        "learning_rate": [0.1, 0.1000000001],
    }


def test_unlike_values_have_unlike_columns(versions):
    for name, values in values_of_a_field(*versions).items():
        resolved = [runs.resolve(dataclasses.replace(Run(), **{name: value})) for value in values]
        rows = [{key: str(cell) for key, cell in runs.columns_of(name, getattr(run, name)).items()} for run in resolved]
        ids = [identity.run_id(run) for run in resolved]
        for (row, run_id, value), (other, other_id, beside) in itertools.combinations(zip(rows, ids, values), 2):
            assert (row == other) == (run_id == other_id), f"{name}: {value!r} and {beside!r}"
