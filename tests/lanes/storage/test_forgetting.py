"""Forgetting removes what there is of runs and nothing else, whenever it is killed, and never what a worker is at."""

import contextlib
import shutil

import numpy as np
import pandas as pd
import pytest

from lanes.errors import RequestError
from lanes.program.lane import Status
from lanes.storage import checkpoints, compaction, forgetting, life, seals, stops
from lanes.storage.claims import Claims
from lanes.storage.directory import Directory
from lanes.storage.stops import Stop

RUNS = {"a0": "aa", "a1": "aa", "b0": "bb", "b1": "bb", "c0": "cc"}  # the pack of each run
CALL = "20260131-235959123456-0123abcd-89abcdef"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Two ended packs of two runs, and one that has not begun."""
    made = Directory(tmp_path_factory.mktemp("template") / "sweep")
    made.create()
    made.write_sweep({"halving": None})
    lanes = [int(run_id[1]) for run_id in RUNS]
    shape = "2,2,1,abc"
    made.write_runs(
        pd.DataFrame({"run_id": list(RUNS), "pack": list(RUNS.values()), "lane": lanes, "pack_shape": shape})
    )
    for pack in ("aa", "bb"):
        write_pack(made, pack, [f"{pack[0]}0", f"{pack[0]}1"])
    return made.path


@pytest.fixture
def directory(template, tmp_path):
    """A copy of the template."""
    shutil.copytree(template, tmp_path / "sweep")
    return Directory(tmp_path / "sweep")


def write_pack(directory, pack, run_ids, ended=True):
    """The checkpoint, curves and results of a pack."""
    leaves = {
        "status": np.full(2, Status.DONE, np.int32),
        "epochs": np.full(2, 2, np.int32),
        "trained.params.w": np.arange(6, dtype=np.float32).reshape(2, 3) + 1,
        "spent": np.asarray(0.5),
    }
    mark = seals.mark_of(2, leaves)
    directory.save_checkpoint(pack, mark, 2, leaves, [CALL])
    curves = [{"run_id": run_id, "epoch": epoch, "valid_loss": 0.5} for run_id in run_ids for epoch in (1, 2)]
    directory.write_part(directory.curves, pack, curves, {pack: mark})
    if ended:
        rows = [{"run_id": run_id, "status": "done", "epochs": 2} for run_id in run_ids]
        directory.write_part(directory.results, pack, rows, {pack: mark})


def held(directory):
    """The runs of each table, and the lanes of each checkpoint that hold anything."""
    read = Directory(directory.path, changes=False, warn=lambda line: pytest.fail(line))
    packs = {}
    for pack in sorted(path.name for path in read.checkpoints.iterdir()):
        found = read.checkpoint(pack)
        assert found is not None
        packs[pack] = [bool(np.any(row)) for row in found[1]["trained.params.w"]]
    tables = [read.read_runs(), read.read_parts(read.results), read.read_parts(read.curves)]
    return [sorted(set(table["run_id"])) for table in tables], packs


def test_a_run_of_a_pack_leaves_its_neighbour_as_it_was(directory):
    before = directory.checkpoint("aa")
    forgetting.forget(directory, ["a0"])
    assert held(directory) == (
        [["a1", "b0", "b1", "c0"], ["a1", "b0", "b1"], ["a1", "b0", "b1"]],
        {"aa": [False, True], "bb": [True, True]},
    )
    after = directory.checkpoint("aa")
    assert before is not None
    assert after is not None
    for name, leaf in before[1].items():
        if np.ndim(leaf):
            np.testing.assert_array_equal(after[1][name][1], leaf[1])
    assert after[1]["status"][0] == Status.EMPTY
    assert directory.has_ended("aa")
    assert directory.lacking(["aa", "bb"]) == set()
    assert checkpoints.calls_of(directory.checkpoints / "aa" / "2") == (CALL,)


def test_a_pack_without_runs_leaves_nothing(directory):
    stops.write(directory, Stop("a0", epoch=2))
    forgetting.forget(directory, ["a0", "a1"])
    assert held(directory) == ([["b0", "b1", "c0"], ["b0", "b1"], ["b0", "b1"]], {"bb": [True, True]})
    assert not list(stops.folder(directory).iterdir())
    assert not (directory.path / forgetting.FILE).exists()
    assert not list((directory.path / "claims").iterdir())


def test_runs_in_joined_parts(directory):
    compaction.join_parts(directory, packs=2)
    assert not (directory.results / "aa.parquet").exists()
    forgetting.forget(directory, ["a0", "b0", "b1"])
    assert held(directory) == ([["a1", "c0"], ["a1"], ["a1"]], {"aa": [False, True]})
    forgetting.forget(directory, ["a1"])
    assert held(directory) == ([["c0"], [], []], {})
    assert not list(directory.results.iterdir())


def test_runs_that_have_not_begun_or_have_failed(directory):
    forgetting.forget(directory, ["c0"])
    rows = [{"run_id": run_id, "status": "failed", "error": "no memory"} for run_id in ("a0", "a1")]
    directory.write_part(directory.results, "aa", rows)
    forgetting.forget(directory, ["a0", "a1"])
    assert held(directory)[0] == [["b0", "b1"]] * 3


class Killed(BaseException):
    """What a test raises in the place of a kill."""


@pytest.mark.parametrize("write", [n if n in (1, 2, 5) else pytest.param(n, marks=pytest.mark.slow) for n in range(9)])
def test_after_a_kill_it_goes_on(directory, monkeypatch, write):
    """Before every file that is written."""
    count = iter(range(100))
    functions = {
        name: getattr(Directory, name) for name in ("write_sealed", "write_runs", "write_part", "save_checkpoint")
    }

    def killing(name):
        def function(*args):
            if next(count) == write:
                raise Killed
            return functions[name](*args)

        return function

    with monkeypatch.context() as context:
        for name in functions:
            context.setattr(Directory, name, killing(name))
        with contextlib.suppress(Killed):
            forgetting.forget(directory, ["a0", "b0", "b1"])
    begun = (directory.path / forgetting.FILE).exists()
    again = Directory(directory.path, warn=lambda line: pytest.fail(line))
    forgetting.finish(again)
    assert not (directory.path / forgetting.FILE).exists()
    if begun or next(count) < write:
        assert held(directory) == ([["a1", "c0"], ["a1"], ["a1"]], {"aa": [False, True]})
    elif write == 0:
        assert held(directory)[0] == [sorted(RUNS), ["a0", "a1", "b0", "b1"], ["a0", "a1", "b0", "b1"]]


def refused(directory, run_ids, message):
    """Assert that runs are not forgotten, and that nothing changes."""
    before = held(directory)
    with pytest.raises(RequestError, match=message):
        forgetting.forget(directory, run_ids)
    assert held(directory) == before
    assert not (directory.path / forgetting.FILE).exists()


def test_what_a_worker_is_at_is_not_forgotten(directory):
    other = Claims(directory.path)
    assert other.take("aa")
    refused(directory, ["a0"], "pack aa is trained by process .*: lanes stop")
    other.release("aa")
    packs = [{"pack": "aa", "epoch": 1, "epochs": 2, "runs": 2}]
    life.write(directory, CALL, {"doing": "training", "packs": packs})
    refused(directory, ["b0", "a0"], "pack aa is trained by process")
    forgetting.forget(directory, ["b0"])


def test_neighbours_that_have_not_ended_are_not_lost(directory):
    (directory.results / "aa.parquet").unlink()
    refused(directory, ["a0"], "with 1 runs that have not ended")
    forgetting.forget(directory, ["a0", "a1"])
    assert held(directory)[0] == [["b0", "b1", "c0"], ["b0", "b1"], ["b0", "b1"]]


def test_neither_all_runs_nor_those_of_a_halving_are_forgotten(directory):
    refused(directory, list(RUNS), "these are all 5 runs")
    directory.write_sweep({"halving": {"rungs": [2], "keep": 0.5, "metric": "valid_loss"}})
    refused(directory, ["a0"], "ranks its runs")


@pytest.mark.parametrize("name", ["results", "curves", "checkpoints", "claims", "stops"])
def test_nothing_is_removed_through_links(directory, tmp_path, name):
    outside = tmp_path / "outside"
    inside = directory.path / name
    inside.mkdir(exist_ok=True)
    inside.rename(outside)
    inside.symlink_to(outside, target_is_directory=True)
    before = sorted(str(path) for path in outside.rglob("*"))
    with pytest.raises(RequestError, match="is a link"):
        forgetting.forget(directory, ["a0", "a1"])
    assert sorted(str(path) for path in outside.rglob("*")) == before


def test_the_folder_of_a_pack_that_is_a_link_stays(directory, tmp_path):
    outside = tmp_path / "outside"
    (directory.checkpoints / "aa").rename(outside)
    (directory.checkpoints / "aa").symlink_to(outside, target_is_directory=True)
    before = sorted(str(path) for path in outside.rglob("*"))
    forgetting.forget(directory, ["a0", "a1"])
    assert sorted(str(path) for path in outside.rglob("*")) == before


@pytest.mark.parametrize(
    "lanes", [None, [], {"../x": {"a0": 0}}, {"aa": {"../a0": 0}}, {"aa": {"a0": "0"}}, {"aa": {"a0": -1}}]
)
def test_a_list_of_runs_that_this_program_does_not_write_is_set_aside(directory, lanes):
    lines = []
    again = Directory(directory.path, lines.append)
    again.write_sealed(directory.path / forgetting.FILE, {"lanes": lanes})
    before = held(directory)
    forgetting.finish(again)
    assert held(directory) == before
    assert "nothing is forgotten" in lines[0]
