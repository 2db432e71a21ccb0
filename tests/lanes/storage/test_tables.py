import numpy as np
import pandas as pd
import pytest

from lanes.errors import DamagedFileError
from lanes.storage.seals import Seal
from lanes.storage.tables import read_table, write_table
from lanes.storage.typed import from_pandas, to_pandas

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
TABLE = from_pandas(FRAME)


def test_tables_are_read_as_written(tmp_path):
    write_table(tmp_path / "t.parquet", TABLE, Seal("results/t"))
    seen = to_pandas(read_table(tmp_path / "t.parquet", "results/t"))
    for name in ("run_id", "epoch", "best", "single", "loss"):
        pd.testing.assert_series_equal(seen[name], FRAME[name], check_dtype=name != "run_id", check_exact=True)
    assert seen["nothing"].isna().all()
    assert list(seen["mixed"][:2]) == ["1", "two"]
    assert read_table(tmp_path / "t.parquet", "results/t", ["epoch"]).column_names == ["epoch"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_flipped_bits_and_truncations_are_detected(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, TABLE[:1], Seal("t"))
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


def test_a_table_under_another_name_is_refused(tmp_path):
    write_table(tmp_path / "t.parquet", TABLE, Seal("results/t"))
    with pytest.raises(DamagedFileError):
        read_table(tmp_path / "t.parquet", "results/u")


def test_tables_of_other_programs_are_refused(tmp_path):
    FRAME.drop(columns="mixed").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DamagedFileError, match="is not a table of a sweep"):
        read_table(tmp_path / "t.parquet", "t")
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "nothing.parquet", "t")
