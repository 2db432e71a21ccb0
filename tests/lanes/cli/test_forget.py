"""`lanes forget` says what it removes; what it removes: tests/lanes/storage/test_forgetting.py."""

import pytest
from made_directories import with_three_runs

from lanes.cli import forget
from lanes.storage.directory import Directory


@pytest.fixture
def directory(tmp_path):
    return with_three_runs(tmp_path / "sweep")


def test_it_says_what_it_did(directory, capsys):
    assert forget.run([str(directory.path), "b", "a1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["forgot run b0 (done)", "forgot run a1 (not ended)"]
    assert lines[2].startswith(f"1 runs are left in {directory.path}")
    assert list(Directory(directory.path).read_runs()["run_id"]) == ["a0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "lanes forget DIR RUN"),
        (["a"], "matches 2 runs"),
        (["x"], "unknown run"),
        (["a0", "a1", "b0"], "all 3 runs"),
    ],
)
def test_wrong_requests(directory, capsys, words, message):
    assert forget.run([str(directory.path), *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert len(Directory(directory.path).read_runs()) == 3


def test_no_sweep_is_there(tmp_path, capsys):
    assert forget.run([str(tmp_path), "a0"]) == 2
    assert "holds no sweep" in capsys.readouterr().err
