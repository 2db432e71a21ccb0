"""Runs whose values are equal in Python and unlike in their descriptions are planned as unlike runs."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from small_sweeps import GOOD

from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError


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


def lost():
    """Data whose file is gone."""
    return np.load("lost.npy"), [0, 1]


def test_data_whose_file_is_gone_are_named():
    with pytest.raises(RequestError, match=r"data lost cannot be loaded: .*lost\.npy.*: bring back what it reads"):
        make_plan([dataclasses.replace(GOOD, data=lost)], Options(devices=1))
