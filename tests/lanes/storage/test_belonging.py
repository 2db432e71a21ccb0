"""A file belongs to one sweep, one name and one state of its pack; anywhere else it counts as damaged."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest

from lanes.errors import DamagedFileError
from lanes.files import create_bytes, temporary_beside
from lanes.storage import checkpoints, compaction, seals
from lanes.storage.directory import Directory, existing
from lanes.storage.seals import Mark

ROWS = pd.DataFrame({"run_id": ["1"], "status": "done", "train_loss": 0.5})
CURVE = pd.DataFrame({"run_id": ["1"], "epoch": np.array([1], np.int32)})


def ended(path, loss=0.5, warn=print):
    """A sweep of one ended pack."""
    directory = Directory(path, warn)
    directory.create()
    directory.write_runs(pd.DataFrame({"run_id": ["1"], "pack": "aa", "lane": 0, "measured": "train_loss"}))
    directory.write_sweep({"widths": {"a": 4}})
    leaves = {"x": np.full(3, loss), "epochs": np.array([1, 1, 0]), seals.SPENT: np.array(2.5)}
    mark = seals.mark_of(6, leaves)
    directory.write_part(directory.curves, "aa", CURVE, {"aa": mark})
    directory.save_checkpoint("aa", mark, 1, leaves)
    directory.write_part(directory.results, "aa", ROWS.assign(train_loss=loss), {"aa": mark})
    return directory


@pytest.fixture
def lines():
    return []


@pytest.fixture
def mine(tmp_path, lines):
    return ended(tmp_path / "mine", warn=lines.append)


@pytest.fixture
def theirs(tmp_path):
    return ended(tmp_path / "theirs", 0.25)


def again(directory):
    return Directory(directory.path, directory.warn)


def take(source, target):
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


# ---- another sweep's files ---------------------------------------------------------------------------------------


def test_the_identity_is_made_once_and_moves_with_the_directory(mine, tmp_path):
    identity = mine.sweep
    mine.write_runs(mine.read_runs())
    assert again(mine).sweep == identity
    moved = Directory(shutil.copytree(mine.path, tmp_path / "moved"), mine.warn)
    assert moved.sweep == identity
    assert len(moved.read_parts(moved.results)) == 1
    assert moved.checkpoint("aa")[0] == 6
    assert moved.has_ended("aa")
    assert not mine.lacking(["aa"])


@pytest.mark.parametrize(
    "name", ["runs.parquet", "runs.copy.parquet", "sweep.json", "results", "curves", "checkpoints"]
)
def test_a_file_of_another_sweep_is_not_believed(mine, theirs, lines, name):
    identity = mine.sweep
    take(theirs.path / name, mine.path / name)
    reader = again(mine)
    assert reader.sweep == identity
    if name == "checkpoints":
        with pytest.raises(DamagedFileError, match="belongs to another sweep"):
            reader.checkpoint("aa")
        return
    reader.read_sweep()
    results, curves = reader.read_parts(reader.results), reader.read_parts(reader.curves)
    assert (len(results), len(curves)) == (name != "results", name != "curves")
    assert set(results["train_loss"]) <= {0.5}
    assert list(reader.read_runs()["run_id"]) == ["1"]
    reader.mend_runs()
    assert len(lines) == 1
    assert "another sweep" in lines[0]


def test_both_tables_of_another_sweep_are_outvoted(mine, theirs):
    identity = mine.sweep
    for name in ("runs.parquet", "runs.copy.parquet"):
        shutil.copy(theirs.path / name, mine.path / name)
    assert again(mine).sweep == identity
    assert again(mine).read_runs().empty


@pytest.mark.parametrize(
    "lost", [["sweep.json"], ["runs.parquet", "sweep.json"], ["runs.parquet", "runs.copy.parquet", "sweep.json"]]
)
def test_the_identity_survives_lost_files(mine, lost):
    identity = mine.sweep
    for name in lost:
        (mine.path / name).unlink()
    assert again(mine).sweep == identity
    assert len(again(mine).read_parts(mine.results)) == 1


def test_workers_that_begin_together_agree(tmp_path):
    workers = [Directory(tmp_path) for _ in range(4)]
    assert len({worker.identify() for worker in workers}) == 1
    (tmp_path / ".identity").write_text("torn")
    assert len({Directory(tmp_path).identify() for _ in range(2)}) == 1


@pytest.mark.parametrize("links", [True, False])
def test_the_first_writer_of_a_file_wins(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError()))
    create_bytes(tmp_path / "file", b"first")
    create_bytes(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


# ---- the plan and its copy ---------------------------------------------------------------------------------------


def test_an_older_table_of_runs_is_written_again_from_its_copy(mine, lines):
    old = mine.runs_file.read_bytes()
    mine.write_runs(pd.DataFrame({"run_id": ["1", "2"], "pack": "aa", "lane": [0, 1]}))
    mine.runs_file.write_bytes(old)
    assert list(again(mine).read_runs()["run_id"]) == ["1", "2"]
    again(mine).mend_runs()
    assert lines == [f"{mine.path}: runs.parquet is older than runs.copy.parquet: written again from it"]
    assert mine.runs_file.read_bytes() == mine.runs_copy.read_bytes()


@pytest.mark.parametrize("name", ["runs.parquet", "runs.copy.parquet"])
def test_a_damaged_table_of_runs_is_told_before_it_is_needed(mine, lines, name):
    content = (mine.path / name).read_bytes()
    (mine.path / name).write_bytes(content[:-9] + b"x" + content[-8:])
    again(mine).mend_runs()
    assert len(lines) == 1
    assert f"{name} " in lines[0]
    assert (mine.path / name).read_bytes() == content
    again(mine).mend_runs()
    assert len(lines) == 1


def test_a_reader_tells_of_a_damaged_copy_and_leaves_it(mine, capsys):
    mine.runs_copy.write_bytes(b"no table")
    existing([mine.path])
    assert "runs.copy.parquet is not a table of a sweep" in capsys.readouterr().err
    assert mine.runs_copy.read_bytes() == b"no table"


# ---- states ------------------------------------------------------------------------------------------------------


def test_an_older_checkpoint_is_not_what_the_results_are_of(mine, lines):
    leaves = {"x": np.zeros(3), "epochs": np.array([1, 1, 0])}
    shutil.rmtree(mine.checkpoints / "aa")
    mine.save_checkpoint("aa", seals.mark_of(3, leaves), 1, leaves)
    with pytest.raises(DamagedFileError, match="of another state than the results"):
        again(mine).checkpoint("aa")
    assert not again(mine).has_ended("aa")
    assert again(mine).lacking(["aa"]) == {"aa"}
    assert "its checkpoint is of another state" in lines[-1]


def test_a_checkpoint_of_other_leaves_under_the_right_number_is_noticed(mine):
    leaves = {"x": np.zeros(3), "epochs": np.array([1, 1, 0])}
    shutil.rmtree(mine.checkpoints / "aa")
    mine.save_checkpoint("aa", seals.mark_of(6, leaves), 1, leaves)
    with pytest.raises(DamagedFileError, match="of another state"):
        again(mine).checkpoint("aa")


def test_older_curves_are_not_those_of_the_results(mine):
    mine.write_part(mine.curves, "aa", CURVE, {"aa": Mark(3, "other")})
    assert not again(mine).has_ended("aa")
    assert again(mine).lacking(["aa"]) == {"aa"}


def test_a_state_does_not_depend_on_the_time_spent():
    leaves = {"x": np.arange(3), seals.SPENT: np.array(1.0)}
    assert seals.mark_of(1, leaves) == seals.mark_of(1, leaves | {seals.SPENT: np.array(2.0)})
    assert seals.mark_of(1, leaves) != seals.mark_of(1, leaves | {"x": np.arange(3) + 1})
    assert seals.mark_of(1, leaves) != seals.mark_of(1, leaves | {"x": np.arange(3).reshape(3, 1)})
    assert seals.mark_of(1, {"y": np.array(1, np.int32)}) != seals.mark_of(1, {"y": np.array(1, np.uint32)})


def test_lanes_beyond_the_epoch_of_a_checkpoint(mine):
    leaves = {"epochs": np.array([2, 0])}
    mine.save_checkpoint("bb", seals.mark_of(6, leaves), 1, leaves)
    with pytest.raises(DamagedFileError, match="lanes beyond its epoch 1"):
        checkpoints.read(mine.checkpoints / "bb")


def test_joined_and_widened_parts_keep_their_states(tmp_path):
    directory = Directory(tmp_path)
    directory.create()
    known = {f"{at:04x}": Mark(at, "content") for at in range(4)}
    for pack, mark in known.items():
        for folder, rows in ((directory.results, ROWS), (directory.curves, CURVE)):
            directory.write_part(folder, pack, rows.assign(run_id=pack), {pack: mark})
    compaction.join_parts(directory, packs=2)
    assert directory.marks(directory.results) == directory.marks(directory.curves) == known
    assert len(directory.listed(directory.curves)) == 2
    pack, mark = "0001", Mark(1, "trained again elsewhere")
    before = {name: (directory.results / f"{name}.parquet").exists() for name in known}
    directory.write_part(directory.results, pack, ROWS.assign(run_id=pack), {pack: mark})
    directory.write_part(
        directory.results, "0000", ROWS.assign(run_id="0000"), {"0000": known["0000"]}
    )  # a kill left it
    compaction.join_parts(directory, packs=2)
    known_now = known | {pack: mark}
    assert directory.marks(directory.results) == known_now
    after = {name: (directory.results / f"{name}.parquet").exists() for name in known}
    assert after == before | {pack: True}
    (directory.results / f"{pack}.parquet").unlink()
    planned = pd.DataFrame({"run_id": list(known), "pack": list(known), "lane": 0, "measured": "valid_further"})
    directory.write_runs(planned)
    compaction.widen_parts(directory)
    assert "valid_further" in directory.read_parts(directory.results)
    assert directory.marks(directory.results) == directory.marks(directory.curves) == known


# ---- what killed calls leave -------------------------------------------------------------------------------------


def test_temporary_files_of_killed_calls_are_removed_everywhere(mine):
    (mine.rungs / "2").mkdir(parents=True)
    places = [mine.path, mine.results, mine.curves, mine.rungs, mine.rungs / "2", mine.checkpoints / "aa"]
    dead = []
    for place in places:
        left = temporary_beside(place / "file")
        dead.append(left.with_name(left.name.replace(f"-{os.getpid()}-", "-999999999-")))
        dead[-1].write_bytes(b"half")
        left.write_bytes(b"of this process")
        (place / ".mine.tmp").write_bytes(b"not ours")
    again(mine).create()
    assert not any(path.exists() for path in dead)
    assert all((place / ".mine.tmp").exists() for place in places)
    assert sum(1 for _ in mine.path.rglob(f".*-{os.getpid()}-*.tmp")) == len(places)
