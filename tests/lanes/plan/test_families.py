"""Runs whose values are equal in Python and unlike in their descriptions are planned as unlike runs."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sweeps import GOOD

from lanes import Blobs, Ramp, Run, Scheduled
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.families import Families
from nets import MLP

SHARED_DATA = Datasets()


@dataclasses.dataclass(frozen=True)
class Leaky:
    """An activation with an argument of any type."""

    slope: Any = None

    def __call__(self, z):
        """A number of its own is traced and must be read; integers, booleans and tuples are static."""
        return z * 0.5 if isinstance(self.slope, (int, tuple)) else z * self.slope


@pytest.mark.parametrize("values", [(1, True), (1, 1.0), (0.0, -0.0), ((1, 2), (True, 2)), ((0.0,), (-0.0,))])
def test_equal_values_of_two_types_are_two_runs(values):
    sweep = [dataclasses.replace(GOOD, activation=Leaky(value)) for value in values]
    plan = make_plan([*sweep, *sweep], Options(devices=1))
    assert len({member.run_id for member in plan.planned}) == len(plan.planned) == len(values)


def test_a_strength_that_follows_a_schedule_is_resolved_in_every_run_of_a_family():
    families = Families(Datasets())
    base = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), batch_size=20, epochs=1, l1=Scheduled(1e-3, "ramp"))
    planned = [families.plan(dataclasses.replace(base, seed=seed)) for seed in range(3)]
    assert [member.run.l1 for member in planned] == [Scheduled(1e-3, Ramp())] * 3
    assert len({member.signature for member in planned}) == 1


def lost():
    """Data whose file is gone."""
    return np.load("lost.npy"), [0, 1]


def test_data_whose_file_is_gone_are_named():
    with pytest.raises(RequestError, match=r"data lost cannot be loaded: .*lost\.npy.*: bring back what it reads"):
        make_plan([dataclasses.replace(GOOD, data=lost)], Options(devices=1))


FINE = {
    "learning_rate": st.sampled_from([0.1, 1, 3e-4, 1e30]),
    "init_scale": st.sampled_from([1.0, 2, 0.5]),
    "l2": st.sampled_from([0.0, 1e-4, 0.1]),
    "dropout": st.sampled_from([0.0, 0.25, 0.5]),
    "clip": st.sampled_from([None, 1.0, 2]),
    "patience": st.sampled_from([None, 1, 5]),
    "seed": st.sampled_from([0, 1, 2**32 - 1]),
}
ODD = {
    "learning_rate": st.sampled_from([0.0, -1.0, math.nan, math.inf, 1e-50, 1e39, True, "0.1"]),
    "l2": st.sampled_from([-1e-4, 1e-50, math.nan]),
    "dropout": st.sampled_from([1.0, 0.999999999999, -0.1, 1e-50]),
    "clip": st.sampled_from([0.0, -1.0]),
    "patience": st.sampled_from([0, 2**31, 2.5]),
    "seed": st.sampled_from([-1, 2**32, 0.5]),
    "epochs": st.sampled_from([0, 2**31, 2**40, 1.5]),
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sweep=st.lists(st.fixed_dictionaries(FINE), min_size=2, max_size=4), data=st.data())
def test_a_run_is_planned_or_refused_in_a_family_as_it_is_alone(sweep, data):
    name = data.draw(st.sampled_from(sorted(ODD)))
    sweep = [*sweep, {**sweep[-1], name: data.draw(ODD[name])}]
    base = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), batch_size=20, epochs=1)
    families = Families(SHARED_DATA)

    def planned(families: Families, fields: dict[str, Any]) -> tuple[Any, ...]:
        try:
            member = families.plan(dataclasses.replace(base, **fields))
        except RequestError as error:
            return (str(error),)
        return member.run_id, member.run, member.signature

    for fields in sweep:
        assert planned(families, fields) == planned(Families(SHARED_DATA), fields)
