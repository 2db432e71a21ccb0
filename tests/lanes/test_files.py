import os

import pytest

from lanes import files
from lanes.errors import RequestError


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    files.write_bytes(path, b"old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


def test_temporary_files_of_dead_processes_are_removed(tmp_path):
    host = files._host()
    names = {
        "dead": f".t.{host}-999999999-0123abcd.tmp",
        "alive": f".t.{host}-{os.getpid()}-0123abcd.tmp",
        "elsewhere": ".t.another_machine-1-0123abcd.tmp",
        "elsewhere and old": ".u.another_machine-1-0123abcd.tmp",
        "foreign": ".notes.tmp",
    }
    for name in names.values():
        (tmp_path / name).touch()
    os.utime(tmp_path / names["elsewhere and old"], (0, 0))
    files.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {names["alive"], names["elsewhere"], names["foreign"]}


def test_a_user_without_a_home_has_a_cache_that_cannot_be_written(monkeypatch):
    for name in ("LANES_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def missing():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(files.Path, "home", missing)
    with pytest.raises(OSError, match="Not a directory"):
        files.cache_dir().mkdir(parents=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table.xlsx", "must end in .csv or .parquet"),
        ("nowhere/table.csv", "there is no folder"),
        ("folder.csv", "which is a folder"),
        ("file/table.csv", "there is no folder"),
    ],
)
def test_a_result_that_cannot_be_written_is_told_before_the_work(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=message):
        files.check_writable(tmp_path / name, "--out", (".csv", ".parquet"))


def test_asking_whether_a_result_can_be_written_leaves_nothing(tmp_path):
    files.check_writable(tmp_path / "table.csv", "--out", (".csv",))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "table.csv").write_text("old")
    files.check_writable(tmp_path / "table.csv", "--out", (".csv",))
    assert (tmp_path / "table.csv").read_text() == "old"
