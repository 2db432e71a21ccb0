"""Flipped bits, torn, deleted and foreign files: no wrong number is accepted, and the same command restores what was lost."""

import json
import random
import shutil
import time

import pandas as pd
import pytest
from injuries import (
    Reference,
    assert_no_wrong_numbers,
    assert_same,
    copy,
    damage,
    finish,
    kill,
    killed_at,
    resume,
    start,
    wait_for_training,
)

import lanes
from lanes.errors import RequestError
from lanes.storage.directory import FORMAT, Directory
from lanes.storage.sealed import read_sealed, write_sealed


@pytest.mark.slow
def test_damage_to_a_finished_sweep(reference, tmp_path, many):
    chance = random.Random(11)
    for _ in range(many(8, 150)):
        out = copy(reference.path, tmp_path / "sweep")
        done = damage(out, chance)
        try:
            assert_no_wrong_numbers(out, reference)
            assert resume(out) == 0
            assert_same(out, reference)
        except Exception as error:
            raise AssertionError(f"after: {done}") from error


@pytest.mark.slow
def test_damage_to_a_killed_sweep(reference, tmp_path, many):
    chance = random.Random(13)
    killed = tmp_path / "killed"
    for number in range(many(3, 50)):
        if number % 10 == 0:
            shutil.rmtree(killed, ignore_errors=True)
            killed_at(killed, chance.uniform(0.5, 2.5), "slow=0.05")
        out = copy(killed, tmp_path / "sweep")
        done = [damage(out, chance) for _ in range(chance.choice([1, 2]))]
        try:
            assert_no_wrong_numbers(out, reference)
            assert resume(out) == 0
            assert_same(out, reference)
        except Exception as error:
            raise AssertionError(f"after: {done}") from error


@pytest.mark.slow
def test_both_tables_of_planned_runs_lost(reference, tmp_path):
    out = copy(reference.path, tmp_path / "sweep")
    (out / "runs.parquet").unlink()
    (out / "runs.copy.parquet").write_bytes(b"PAR1")
    assert resume(out) == 0
    assert_same(out, reference)


def test_a_lost_sweep_json_keeps_the_width(reference, tmp_path):
    from lanes.storage import records

    out = copy(reference.path, tmp_path / "sweep")
    before = json.loads((out / "sweep.json").read_bytes())["widths"]
    (out / "sweep.json").write_bytes(b'{"widths": {}}')
    lines = []
    directory = Directory(out, lines.append)
    assert records.bound_widths(directory, records.known_runs(directory)) == before
    assert len(lines) == 1
    assert "sweep.json" in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.slow
def test_foreign_files_are_set_aside_with_a_line_each(reference, tmp_path):
    out = copy(reference.path, tmp_path / "sweep")
    mine = next((out / "results").glob("*.parquet"))
    foreign = pd.DataFrame({"run_id": reference.table["run_id"], "status": "done", "test_accuracy": 1.0})
    foreign.to_parquet(out / "results" / "foreign.parquet")
    (out / "results" / "text.parquet").write_text("no table")
    (out / "results" / "empty.parquet").touch()
    shutil.copy(mine, out / "results" / "renamed.parquet")
    shutil.copy(mine, out / "curves" / mine.name)
    (out / "checkpoints" / mine.stem / "99").mkdir()
    (out / "checkpoints" / "stray").mkdir()
    (out / "results" / ".half.parquet.host-1-00000000.tmp").write_bytes(b"half")
    lines = []
    assert resume(out, lines.append) == 0
    assert_same(out, reference)
    for name in ("foreign.parquet", "text.parquet", "empty.parquet", "renamed.parquet", f"curves/{mine.name}"):
        assert sum(name in line for line in lines) >= 1, name
    assert all("\n" not in line for line in lines)


def test_every_reader_refuses_a_directory_of_another_format(reference, tmp_path):
    out = copy(reference.path, tmp_path / "sweep")
    write_sealed(out / "sweep.json", {**read_sealed(out / "sweep.json"), "format": FORMAT + 1})
    before = sorted(p.name for p in out.rglob("*"))
    for read in (lanes.load, lanes.load_curves, resume, lambda at: lanes.restore(at, reference.table["run_id"][0])):
        with pytest.raises(RequestError, match=f"has format {FORMAT + 1}: this version reads {FORMAT}"):
            read(out)
    assert sorted(p.name for p in out.rglob("*")) == before


@pytest.mark.slow
def test_a_reader_does_not_disturb_a_running_sweep(reference, tmp_path):
    out = tmp_path / "sweep"
    process = start(out, "slow=0.02")
    wait_for_training(process)
    try:
        while process.poll() is None:
            assert_no_wrong_numbers(out, reference)
            time.sleep(0.05)
    except BaseException:
        kill(process)
        raise
    status, text = finish(process)
    assert status == 0, text
    assert "set aside" not in text
    assert_same(out, reference)


@pytest.mark.slow
def test_a_sweep_resumes_with_another_number_of_devices(reference, tmp_path):
    out = tmp_path / "sweep"
    killed_at(out, 1.5, "slow=0.05", "devices=2")
    eight = copy(out, tmp_path / "eight")
    assert resume(out, devices=1) == 0
    assert resume(eight, devices=8) == 0
    assert_same(out, reference)
    assert_same(eight, Reference(out))
