import os

import numpy as np
import pandas as pd
import pytest

from lanes import files
from lanes.errors import DamagedFileError
from lanes.files import remove_leftovers, write_bytes
from lanes.storage.tables import read_table, write_table

FRAME = pd.DataFrame(
    {
        "run_id": ["a", "b", "c"],
        "loss": np.array([0.1, np.nan, np.inf]),
        "single": np.array([0.1, 0.2, 0.3], np.float32),
        "epoch": np.array([1, 2, 3], np.int32),
        "best": [True, False, True],
        "nothing": [None, None, None],
        "mixed": [1, "two", None],
    }
)


def test_what_is_written_is_read(tmp_path):
    write_table(tmp_path / "t.parquet", FRAME, "results/t")
    seen = read_table(tmp_path / "t.parquet", "results/t")
    for name in ("run_id", "epoch", "best", "single", "loss"):
        pd.testing.assert_series_equal(seen[name], FRAME[name], check_dtype=name != "run_id", check_exact=True)
    assert seen["nothing"].isna().all()
    assert list(seen["mixed"][:2]) == ["1", "two"]
    assert list(read_table(tmp_path / "t.parquet", "results/t", ["epoch"])) == ["epoch"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_any_flipped_bit_and_any_cut_is_seen(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, FRAME[:1], "t")
    content = path.read_bytes()
    for at in range(0, 8 * len(content), 23):
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        path.write_bytes(flipped)
        with pytest.raises(DamagedFileError):
            read_table(path, "t")
    for length in range(0, len(content), 53):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedFileError):
            read_table(path, "t")


def test_a_file_under_another_name_is_not_believed(tmp_path):
    write_table(tmp_path / "t.parquet", FRAME, "results/t")
    with pytest.raises(DamagedFileError):
        read_table(tmp_path / "t.parquet", "results/u")


def test_a_table_of_another_program_is_not_believed(tmp_path):
    FRAME.drop(columns="mixed").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DamagedFileError, match="is no table of a sweep"):
        read_table(tmp_path / "t.parquet", "t")
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "nothing.parquet", "t")


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_bytes(path, b"old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


def test_leftovers_of_the_dead_are_removed(tmp_path):
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
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {names["alive"], names["elsewhere"], names["foreign"]}
