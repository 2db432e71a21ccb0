"""Running lanes are moved together: fewer groups are computed, and no number changes."""

import dataclasses
import itertools
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

from lanes import Run, grid, load, load_curves, restore
from lanes.engine import regrouping
from lanes.engine.options import Options
from lanes.engine.regrouping import better_order, computed_groups
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus
from lanes.program.compiled import Programs
from lanes.storage.directory import Directory
from lanes.storage.trained import variables_of
from nets import MLP

PROGRAMS = Programs()

BASE = Run(
    data=OVERLAPPING,
    net=MLP(widths=(3,)),
    activation="relu",  # an index in the program: lanes of a group must share it
    optimizer="sgd",
    batch_size=16,
    epochs=9,
    patience=1,
    min_delta=1e6,  # nothing counts as an improvement, so a run ends `patience` epochs after its first
)
SWEEP = grid(
    BASE, learning_rate=[0.01, 0.1], activation=["relu", "tanh"], l2=[1e-3, 1e-2], seed=range(2), patience=[1, 3, 100]
)
# 48 lanes in a pack, one epoch in a chunk.
OPTIONS = Options(devices=1, width=4, quiet=True, pack_lanes=48, chunk_seconds=0.0, programs=PROGRAMS)


def swept(out, options=OPTIONS, sweep=SWEEP):
    return run_sweep(make_plan(sweep, options), Path(out), options)


def assert_same(actual, expected):
    tables = [
        load(out).drop(columns=["seconds", "calls"]).set_index("run_id").sort_index() for out in (actual, expected)
    ]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    curves = [load_curves(out).set_index(["run_id", "epoch"]).sort_index() for out in (actual, expected)]
    pd.testing.assert_frame_equal(*curves, check_exact=True)
    for pack, members in tables[0].groupby("pack"):  # both have the same runs in the same lanes
        for epoch in ("best", "last"):
            chosen = list(members.lane.astype(int))
            pair = (variables_of(Directory(out), pack, chosen, epoch) for out in (actual, expected))
            jax.tree.map(np.testing.assert_array_equal, *pair)


WAYS = {
    "resident": OPTIONS,
    "streamed": dataclasses.replace(OPTIONS, data_bytes=1300),
    "shard_map": dataclasses.replace(OPTIONS, devices=2, mapping="shard_map"),
}


@pytest.mark.parametrize(
    "way", ["resident", *(pytest.param(way, marks=pytest.mark.slow) for way in ("streamed", "shard_map"))]
)
def test_regrouping_changes_no_number_and_computes_fewer_lanes(tmp_path, monkeypatch, way):
    regrouped = swept(tmp_path / "regrouped", WAYS[way])
    with monkeypatch.context() as patch:
        patch.setattr(regrouping, "better_order", lambda *_: None)
        left = swept(tmp_path / "left", WAYS[way])
    assert (regrouped.status, left.status) == (ExitStatus.DONE, ExitStatus.DONE)
    assert_same(tmp_path / "regrouped", tmp_path / "left")
    assert regrouped.steps == left.steps == load(tmp_path / "left").epochs_done.sum() * 5
    assert regrouped.programs == left.programs
    assert regrouped.computed < 0.7 * left.computed


@pytest.mark.slow
def test_a_regrouped_run_equals_the_run_alone(tmp_path):
    swept(tmp_path / "all")
    some = [SWEEP[-1], SWEEP[0]]
    for at, run in enumerate(some):
        swept(tmp_path / f"{at}", sweep=[run])
        run_id = load(tmp_path / f"{at}").run_id[0]
        curves = [load_curves(tmp_path / name).set_index("run_id").loc[run_id] for name in ("all", f"{at}")]
        pd.testing.assert_frame_equal(*curves, check_exact=True)
        pair = [restore(tmp_path / name, run_id)[1] for name in ("all", f"{at}")]
        jax.tree.map(np.testing.assert_array_equal, *pair)


@pytest.mark.slow
def test_a_sweep_stopped_with_regrouped_lanes_resumes_bit_for_bit(tmp_path):
    swept(tmp_path / "whole")
    chunks = itertools.count(1)
    stopping = dataclasses.replace(OPTIONS, after_chunk=lambda *_: next(chunks) == 5)
    assert swept(tmp_path / "out", stopping).status == ExitStatus.STOPPED
    assert swept(tmp_path / "out").status == ExitStatus.DONE
    assert_same(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize(("width", "shards"), [(1, 1), (4, 1), (4, 2), (8, 3)])
def test_an_order_has_as_few_groups_as_the_keys_allow(width, shards):
    random = np.random.default_rng(width + shards)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        groups = 12
        keys = np.repeat(random.integers(0, 3, groups), width)
        running = random.random(groups * width) < share
        order = better_order(keys, running, width, shards)
        before = computed_groups(running, width, shards)
        least = sum(-(-int(running[keys == key].sum()) // width) for key in set(keys))
        if order is None:
            assert before - -(-least // shards) <= before / regrouping.LEAST_FREED
            continue
        assert sorted(order) == list(range(groups * width))
        assert all(len(set(group)) == 1 for group in keys[order].reshape(-1, width))
        assert computed_groups(running[order], width, shards) == -(-least // shards) < before
