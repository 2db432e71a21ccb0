"""`lanes status` says what a sweep is doing, as text and as JSON; it writes nothing and runs no code."""

import json
import os
import platform

import numpy as np
import pandas as pd
import pytest
from made_directories import without_runs

from lanes.cli import status
from lanes.storage import life, seals

CALL = "20260131-235959123456-0123abcd-89abcdef"
OTHER = "20260131-235959123457-0123abcd-89abcdef"
# An ended pack, one in training, one that a kill left, one that has not begun, one that failed.
RUNS = {"a0": "aa", "a1": "aa", "b0": "bb", "b1": "bb", "c0": "cc", "d0": "dd", "e0": "ee", "e1": "ee"}


@pytest.fixture
def directory(tmp_path):
    made = without_runs(tmp_path / "sweep")
    command = json.dumps([{"file": "/home/me/my sweep.py", "set": ["epochs=5"], "seeds": 2}])
    lanes = [int(run_id[1]) for run_id in RUNS]
    made.write_runs(
        pd.DataFrame(
            {
                "run_id": list(RUNS),
                "pack": list(RUNS.values()),
                "lane": lanes,
                "pack_shape": "2,2,1,abc",
                "experiment": "experiment.py",
                "asked_by": command,
            }
        )
    )
    (made.path / "experiment.py").write_text("raise SystemExit('this is code')")
    ended = [{"run_id": "a0", "status": "done"}, {"run_id": "a1", "status": "diverged"}]
    made.write_part(made.results, "aa", ended)
    failed = [{"run_id": name, "status": "failed", "error": "TypeError: no \x1b[2J"} for name in ("e0", "e1")]
    made.write_part(made.results, "ee", failed)
    leaves = {"status": np.zeros(2, np.int32), "epochs": np.ones(2, np.int32)}
    made.save_checkpoint("cc", seals.mark_of(2, leaves), 1, leaves)
    return made


def written(directory):
    """Every file of a directory, and its time."""
    return {str(path): path.lstat().st_mtime_ns for path in directory.path.rglob("*")}


def shown(directory, capsys, *words):
    """What the command prints; nothing is written by it."""
    before = written(directory)
    assert status.run([str(directory.path), *words]) == 0
    assert written(directory) == before
    return capsys.readouterr()


def work(directory, call=CALL, **content):
    """A sign of life."""
    packs = [{"pack": "bb", "epoch": 3, "epochs": 10, "runs": 2}]
    content = {"doing": "training", "packs": packs, "runs_per_second": 0.1, "seconds_left": 75.2} | content
    life.write(directory, call, content)


def test_a_sweep_at_work(directory, capsys):
    work(directory)
    out, err = shown(directory, capsys)
    first, worker, failed, again = out.splitlines()
    counts = "8 runs: 1 done, 1 diverged, 2 failed, 2 training, 1 begun, 1 waiting"
    assert first == f"{directory.path}: {counts} · about 1:15 left"
    assert worker.startswith(f"  process {os.getpid()} on {platform.node()}: training, last sign of life 0:0")
    assert worker.endswith("; pack bb epoch 3/10 (2 runs)")
    assert failed == r"  failed: 2 runs (e0 e1): TypeError: no \x1b[2J"
    command = f"lanes sweep '/home/me/my sweep.py' --out {directory.path} --set epochs=5 --seeds 2"
    one = f"lanes train --run {directory.path}:e0 --out {directory.path}-e0"
    assert again == f"    to train them again: {command}; one alone: {one}"
    assert err == ""


def test_a_sweep_that_nobody_is_at(directory, capsys):
    out, _ = shown(directory, capsys)
    assert "4 waiting" not in out
    assert "1 begun, 3 waiting" in out
    assert "left" not in out.splitlines()[0]
    assert "no worker is at work; to go on: lanes sweep '/home/me/my sweep.py'" in out


def test_json_is_one_document(directory, capsys):
    work(directory, shard="1/2")
    out, _ = shown(directory, capsys, "--json")
    found = json.loads(out)
    assert found["runs"] == {"done": 1, "diverged": 1, "failed": 2, "training": 2, "begun": 1, "waiting": 1}
    assert found["planned"] == 8
    (worker,) = found["workers"]
    assert (worker["state"], worker["shard"], worker["process"]) == ("alive", "1/2", os.getpid())
    assert worker["packs"] == [{"pack": "bb", "epoch": 3, "epochs": 10, "runs": 2}]
    assert found["failed"][0]["run_ids"] == ["e0", "e1"]
    assert found["seconds_left"] == 75.2


def test_workers_share_what_is_left(directory, capsys):
    """Six runs are unended, 0.6 and 0.4 of two packs of two done; two workers train 0.2 runs in a second."""
    work(directory, packs=[{"pack": "bb", "epoch": 6, "epochs": 20, "runs": 2}])
    work(directory, OTHER, packs=[{"pack": "cc", "epoch": 4, "epochs": 20, "runs": 2}])
    found = json.loads(shown(directory, capsys, "--json")[0])
    assert found["seconds_left"] == pytest.approx((6 - 0.6 - 0.4) / 0.2)


def test_nothing_is_known_before_a_first_chunk(directory, capsys):
    work(directory, doing="compiling", runs_per_second=None, seconds_left=None)
    out, _ = shown(directory, capsys)
    assert "left" not in out.splitlines()[0]
    assert "compiling" in out


@pytest.mark.parametrize("words", [["nowhere"], ["results"], ["experiment.py"], []])
def test_no_sweep_is_there(directory, capsys, monkeypatch, words):
    monkeypatch.chdir(directory.path)
    assert status.run(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
