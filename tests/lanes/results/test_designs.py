"""One-at-a-time sweeps are recognised exactly, and combinations are named by what differs between them."""

import itertools

import pandas as pd
import pytest

from lanes.describe import runs as described
from lanes.results.axes import Axis
from lanes.results.designs import one_at_a_time
from lanes.results.leaderboard import ranked
from lanes.results.naming import named


def design_of(points):
    """The design of combinations given as tuples; fields are a, b, c, and `a.x` for a parameter of a."""
    names = list(points[0])
    table = pd.DataFrame(points).astype(str)
    return one_at_a_time([Axis(name, tuple(dict.fromkeys(table[name]))) for name in names], table)


def points(names, *rows):
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_each_change_of_a_base_is_found():
    found = design_of(points("abc", (1, 0, 0), (0, 0, 0), (0, 2, 0), (0, 3, 0), (0, 0, 1)))
    assert found.base == 1
    assert found.fields == {0: "a", 2: "b", 3: "b", 4: "c"}


def test_a_field_and_its_parameters_are_one_change():
    found = design_of(points(["a", "a.x", "b"], ("sgd", "-", 0), ("adam", 1, 0), ("adam", 2, 0), ("sgd", "-", 1)))
    assert found.base == 0
    assert found.fields == {1: "a", 2: "a", 3: "b"}


@pytest.mark.parametrize(
    "rows",
    [
        list(itertools.product((0, 1), (0, 1), (0, 1))),  # a grid
        [(0, 0, 0), (1, 0, 0), (2, 0, 0)],  # one field
        [(0, 0, 0), (1, 0, 0), (0, 1, 1)],  # two changes in one combination
        [(1, 0, 0), (0, 1, 0), (0, 0, 1)],  # no base
        [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)],
        [(0, 0, 0), (1, 1, 1)],
    ],
)
def test_other_designs_are_none(rows):
    assert design_of(points("abc", *rows)) is None


def board(rows, metric="valid_accuracy"):
    return ranked(pd.DataFrame(rows).assign(status="done", run_id=[f"{at:x}" for at in range(len(rows))]), metric)


def test_the_regularizers_of_the_experiment_are_one_change_each():
    regularizers = pytest.importorskip("experiments.claims.regularizers_on_scarce_data")
    rows = [described.row(described.resolve(run)) for run in regularizers.sweep()]
    found = board([row | {"valid_loss": 1.0 - at / 1e3} for at, row in enumerate(rows)], "valid_loss")
    assert len(found.table) == 18
    base = found.design.base
    names = named(found)
    assert names[base] == "base"
    texts = set(names.names.values())
    assert {"dropout 0.4", "l1 0.0001", "eval_every 1", "augment Translate(amount=0.13, whole=True)"} <= texts
    assert len(texts) == 18


def test_names_leave_out_what_is_shared():
    rows = [
        {"activation": a, "learning_rate": r, "batch_size": b, "valid_accuracy": r + 10 * (a == "relu") + b}
        for a, r, b in itertools.product(("relu", "tanh"), (0.1, 0.2), (1, 2))
    ]
    found = board(rows)
    assert named(found)[0] == "relu · learning_rate 0.2 · batch_size 2"
    two = named(found, [0, 1])
    assert (two[0], two[1], two.shared) == ("0.2", "0.1", "activation relu · batch_size 2")
    assert named(found, [3]).names == {3: "relu · learning_rate 0.1 · batch_size 1"}
    assert named(board([{"valid_accuracy": 1.0, "activation": "relu"}]))[0] == "all runs"


def test_values_that_two_axes_share_are_named():
    rows = [
        {"net.first": a, "net.second": b, "valid_accuracy": at}
        for at, (a, b) in enumerate(itertools.product(("x", "y"), ("x", "z")))
    ]
    assert named(board(rows))[0] == "net.first y · net.second z"
