"""Shards of one directory: a shard that the batch system numbers goes on with packs of others that nobody trains."""

import dataclasses
import errno
import fcntl
from pathlib import Path

import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

from lanes import Run, grid, load
from lanes.engine.options import Options, Outcome
from lanes.engine.plan_summary import describe, summarize
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.program.compiled import Programs
from lanes.storage.claims import Claims, have_locks
from lanes.storage.directory import Directory
from nets import MLP

PROGRAMS = Programs()
BASE = Run(data=OVERLAPPING, net=MLP(widths=()), optimizer="sgd", batch_size=16, epochs=2)
SWEEP = grid(BASE, learning_rate=[1e-2, 0.1], seed=range(3))  # three packs of two lanes
PLAIN = Options(devices=1, width=2, quiet=True, pack_lanes=2, programs=PROGRAMS)


def shard(out: Path, index: int, count: int = 3, helps: bool = True) -> Outcome:
    options = dataclasses.replace(PLAIN, shard=(index, count), helps_shards=helps)
    return run_sweep(make_plan(SWEEP, options), out, options)


def numbers(out: Path) -> pd.DataFrame:
    return load(out).drop(columns=["seconds", "calls"]).set_index("run_id").sort_index()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run_sweep(make_plan(SWEEP, PLAIN), out, PLAIN).ended == 6
    return out


def test_a_shard_whose_packs_have_ended_trains_those_of_others(whole, tmp_path):
    out = tmp_path / "out"
    assert shard(out, 0).trained == 2  # no other shard has been here: the directory may be this one's alone
    second = shard(out, 1)
    assert (second.trained, second.ended, second.waiting) == (4, 6, ())
    pd.testing.assert_frame_equal(numbers(out), numbers(whole), check_exact=True)


def test_a_shard_without_packs_helps(tmp_path):
    out = tmp_path / "out"
    shard(out, 0, count=5)
    assert shard(out, 4, count=5).ended == 6


def test_written_numbers_are_the_only_packs_of_a_shard(tmp_path):
    out = tmp_path / "out"
    assert [shard(out, index, helps=False).trained for index in (0, 1)] == [2, 2]
    assert shard(out, 1, helps=False).waiting == ("shard 2/3 (2 runs)",)


def test_packs_that_others_train_are_left_to_them(tmp_path):
    out = tmp_path / "out"
    shard(out, 0)
    packs = load(out).groupby("pack")["status"].apply(lambda status: status.isna().all())
    theirs = packs.index[packs][-1]
    other = Claims(out)
    assert other.take(theirs)
    outcome = shard(out, 1)
    other.release_all()
    assert (outcome.status, outcome.ended, len(outcome.waiting)) == (0, 4, 1)


def test_without_locks_nobody_helps(tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert have_locks(shard_directory(out))

    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    assert not have_locks(out)
    assert [shard(out, index).trained for index in (1, 2)] == [2, 2]


def shard_directory(out: Path) -> Path:
    shard(out, 0)
    return out


def test_the_plan_of_a_shard_names_its_part_and_what_is_left(whole, tmp_path):
    def planned(out: Path, index: int, count: int = 3):
        options = dataclasses.replace(PLAIN, shard=(index, count))
        found = summarize(make_plan(SWEEP, options), options, Directory(out, changes=False))
        return (found.packs, found.ended, *found.shard[1:])

    assert planned(tmp_path / "new", 1) == (3, 0, 1, 2, 2)
    assert planned(tmp_path / "new", 4, count=5) == (3, 0, 0, 0, 0)
    assert planned(whole, 1) == (3, 6, 1, 2, 0)
    shard(tmp_path / "begun", 0)
    assert planned(tmp_path / "begun", 0) == (3, 2, 1, 2, 0)
    assert planned(tmp_path / "begun", 2) == (3, 2, 1, 2, 2)
    options = dataclasses.replace(PLAIN, shard=(2, 3))
    text = describe(make_plan(SWEEP, options), options, Directory(tmp_path / "begun", changes=False))
    assert "2 runs have ended, 4 are to do" in text
    assert "shard 2/3: 1 packs with 2 runs, of which 2 are to do" in text
