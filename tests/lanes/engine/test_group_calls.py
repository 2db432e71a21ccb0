"""Calling a program group by group gives what a loop over groups inside it gives."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.engine import group_calls
from lanes.program.over_lanes import over_groups
from lanes.program.places import Place, make_places

HERE = Place((jax.devices()[1],), "local")


def program(lanes, weights, offset):
    return {"sum": lanes["x"].sum(axis=1) * weights + offset, "x": lanes["x"][:, ::-1]}


@pytest.mark.parametrize("count", [1, 2, 6])
def test_outputs_are_those_of_one_call(count):
    lanes = {"x": np.arange(12, dtype=np.float32).reshape(6, 2)}
    weights, offset = np.arange(6, dtype=np.float32), np.float32(3)
    compiled = jax.jit(program)
    on_device = HERE.split(lanes), HERE.split(weights)
    out = group_calls.call(compiled, count, on_device, (HERE.shared(offset),))
    np.testing.assert_array_equal(out["sum"], lanes["x"].sum(axis=1) * weights + 3)
    np.testing.assert_array_equal(out["x"], lanes["x"][:, ::-1])


def test_a_single_group_needs_no_loop():
    one, two = (np.ones((lanes, 3), np.float32) for lanes in (4, 8))
    traced = [jax.make_jaxpr(lambda x: over_groups(jnp.sin, 4, x))(x) for x in (one, two)]
    assert ["scan" in str(jaxpr) for jaxpr in traced] == [False, True]


def test_lanes_split_over_devices_are_one_call():
    @dataclasses.dataclass
    class Sized:
        width: int
        size: int

    (split,) = make_places(jax.devices()[:2], "shard_map")
    assert group_calls.lanes_per_call(split, Sized(2, 8)) == 8
    assert group_calls.lanes_per_call(HERE, Sized(2, 8)) == 2
