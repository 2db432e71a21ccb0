"""Verdicts of experiments: what they may hold, what they are compared with, and what they are computed from."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sweeps import GOOD

import lanes
from lanes import Interval, Results, Verdict, grid
from lanes.errors import RequestError
from lanes.program.compiled import Programs
from lanes.results.verdicts import Outcome, as_json, differing, from_json

PROGRAMS = Programs()


def verdict(outcome="holds", **numbers):
    return Verdict(outcome, "because", numbers or {"gain": Interval(0.1, 0.02, 5)})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"outcome": "hold"}, "did you mean 'holds'"),
        ({"sentence": " "}, "no sentence"),
        ({"numbers": {}}, "no numbers"),
    ],
)
def test_a_verdict_says_what_decided_it(fields, says):
    with pytest.raises(RequestError, match=says):
        Verdict(**({"outcome": "holds", "sentence": "because", "numbers": {"a": 1.0}} | fields))


@settings(deadline=None, derandomize=True)
@given(
    st.sampled_from(list(Outcome)),
    st.dictionaries(
        st.text(min_size=1),
        st.builds(
            Interval, *(st.floats(-1e9, 1e9) | st.just(math.nan) for _ in range(2)), st.integers(1, 9), st.booleans()
        ),
        min_size=1,
    ),
)
def test_a_verdict_survives_its_record(outcome, numbers):
    one = Verdict(outcome, "why", numbers)
    again = from_json(json.loads(json.dumps(as_json(one), allow_nan=False)))
    assert repr(again) == repr(one)
    assert differing(one, again) == []


@pytest.mark.parametrize(
    ("recorded", "found", "same"),
    [
        (Interval(0.5, 0.03, 5), Interval(0.549, 0.04, 5), True),  # 0.049 apart, and √(0.03² + 0.04²) = 0.05
        (Interval(0.5, 0.03, 5), Interval(0.551, 0.04, 5), False),
        (1.0, 1.019, True),
        (1.0, 1.021, False),
        (Interval(0.5, 0.03, 5), 0.509, True),
        (0.0, 0.0, True),
        (0.0, 1e-3, False),
        (math.nan, 1.0, False),
        (math.nan, math.nan, True),
    ],
)
def test_numbers_are_as_recorded_within_their_intervals(recorded, found, same):
    assert (differing(verdict(gain=recorded), verdict(gain=found)) == []) is same


def test_what_differs_is_said():
    assert differing(verdict(a=1.0, b=2.0), verdict("does not hold", a=1.0, c=3.0)) == [
        "does not hold, recorded: holds",
        "b: not measured",
        "c: not recorded",
    ]


@pytest.mark.parametrize(
    "broken", [{}, {"outcome": "holds"}, {"outcome": "holds", "sentence": "a", "numbers": {"a": 1}}, []]
)
def test_a_damaged_record_is_refused(broken):
    with pytest.raises(RequestError, match="record it again"):
        from_json(broken)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "sweep"
    lanes.sweep(
        grid(GOOD, learning_rate=[0.1, 0.01, 1e30], seed=range(3)), out, quiet=True, devices=1, programs=PROGRAMS
    )
    return Results(out)


def test_means_and_differences_are_those_of_the_table(results):
    table = lanes.load(results.directory).pivot(index="seed", columns="learning_rate", values="valid_loss")
    found = results.mean("valid_loss", "learning_rate=0.1")
    assert (found.mean, found.n) == (pytest.approx(table[0.1].mean()), 3)
    gain = results.difference("valid_loss", ["learning_rate=0.1"], ["learning_rate=0.01"])
    differences = (table[0.01] - table[0.1]).to_numpy()
    assert gain.mean == pytest.approx(differences.mean())
    assert gain.half == pytest.approx(4.302653 * differences.std(ddof=1) / math.sqrt(3), rel=1e-6)


def test_diverged_runs_have_no_value(results):
    assert results.values("valid_loss", "learning_rate=1e+30").isna().all()
    assert math.isnan(results.mean("valid_loss", "learning_rate=1e+30").mean)


def test_curves_know_the_fields_of_their_runs(results):
    first = results.curves.query("learning_rate == 0.1 and epoch == 1")
    assert sorted(first["seed"]) == [0, 1, 2]
    assert np.isfinite(first["valid_loss"]).all()
    assert isinstance(results.curves, pd.DataFrame)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda r: r.mean("valid_los", "learning_rate=0.1"), "did you mean 'valid_loss'"),
        (lambda r: r.where("rate=0.1"), "unknown field 'rate'"),
        (lambda r: r.where("learning_rate=0.5"), "matches no run"),
    ],
)
def test_wrong_requests_are_refused(results, call, says):
    with pytest.raises(RequestError, match=says):
        call(results)
