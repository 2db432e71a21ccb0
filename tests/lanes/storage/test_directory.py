import pandas as pd
import pytest

from lanes.errors import RequestError
from lanes.storage.directory import FORMAT, Directory, existing
from lanes.storage.experiment_copies import keep_copy
from lanes.storage.sealed import write_sealed


@pytest.fixture
def lines():
    return []


@pytest.fixture
def directory(tmp_path, lines):
    directory = Directory(tmp_path / "sweep", lines.append)
    directory.create()
    return directory


def rows(*ids: str, status: str = "done") -> pd.DataFrame:
    return pd.DataFrame({"run_id": list(ids), "status": status, "loss": 0.5})


def test_sweep_json_is_read_as_written(directory, lines):
    assert directory.read_sweep() == {}
    directory.write_sweep({"widths": {"a": 4}})
    assert directory.read_sweep() == {"widths": {"a": 4}, "format": FORMAT, "sweep": directory.sweep}
    content = directory.sweep_file.read_text()
    directory.sweep_file.write_text(content.replace("4", "5", 1))
    assert directory.read_sweep() == {}
    assert len(lines) == 1
    assert "sweep.json" in lines[0]


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b'{"sha256": 1}', b"\xff\xfe", b"[" * 5000])
def test_a_foreign_sweep_json_is_set_aside(directory, lines, content):
    directory.sweep_file.write_bytes(content)
    assert directory.read_sweep() == {}
    assert len(lines) == 1


def test_duplicate_rows_are_read_once(directory):
    directory.write_part(directory.results, "aa", rows("1", "2", status="failed"))
    directory.write_part(directory.results, "bb", rows("2", "3"))
    table = directory.read_parts(directory.results).set_index("run_id")
    assert sorted(table.index) == ["1", "2", "3"]
    assert table.loc["2", "status"] == "done"
    assert directory.ended() == {"2", "3"}


def test_a_damaged_table_of_runs_is_replaced_by_its_copy(directory, lines):
    directory.write_runs(rows("1").assign(pack="aa"))
    directory.runs_file.write_bytes(b"no table")
    assert list(directory.read_runs()["run_id"]) == ["1"]
    assert len(lines) == 1
    assert "its copy is used" in lines[0]
    directory.mend_runs()
    assert directory.runs_file.exists()


def test_a_damaged_part_is_set_aside_once(directory, lines):
    directory.write_part(directory.results, "aa", rows("1"))
    (directory.results / "bb.parquet").write_text("text")
    for _ in range(2):
        assert list(directory.read_parts(directory.results)["run_id"]) == ["1"]
    assert len(lines) == 1
    assert directory.parts(directory.results) == {"aa"}


def test_an_intact_replacement_is_not_set_aside(directory, lines):
    directory.write_part(directory.results, "aa", rows("1"))
    path = directory.results / "aa.parquet"
    directory.set_aside(path, "was damaged when it was read", lambda _: True)
    assert path.exists()
    assert not lines


def test_a_changed_experiment_gets_another_copy(directory, tmp_path, lines):
    source = tmp_path / "mine.py"
    source.write_text("A = 1")
    first = keep_copy(directory, source, {})
    assert first.name == "experiment.py"
    assert keep_copy(directory, source, {first.name: first.sha256}) == first
    source.write_text("A = 2")
    second = keep_copy(directory, source, {first.name: first.sha256})
    assert second.name == "experiment_2.py"
    (directory.path / "experiment.py").write_text("A = 3")
    assert keep_copy(directory, source, {copy.name: copy.sha256 for copy in (first, second)}) == second
    assert "experiment.py" in lines[0]
    source.write_text("A = 1")
    assert keep_copy(directory, source, {copy.name: copy.sha256 for copy in (first, second)}) == first


def test_a_directory_without_a_sweep_or_of_another_format(tmp_path, directory):
    with pytest.raises(RequestError, match="holds no sweep"):
        existing([tmp_path / "nothing"])
    directory.write_runs(rows("1"))
    directory.write_sweep({})
    existing([directory.path])
    write_sealed(directory.sweep_file, {"format": 7})
    with pytest.raises(RequestError, match=f"has format 7: this version reads {FORMAT}"):
        existing([directory.path])


def test_a_directory_that_cannot_be_created(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="cannot be written"):
        Directory(tmp_path / "file" / "sweep").create()
