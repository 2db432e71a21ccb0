import os

import pytest

from lanes import files


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
