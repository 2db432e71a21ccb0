"""What a directory records of its data, and directories whose record is missing or damaged."""

import pandas as pd
import pytest

from lanes import RequestError
from lanes.plan.datasets import DataRecord
from lanes.storage import data_records
from lanes.storage.directory import Directory

DIGITS = "0123456789abcdef"


def fingerprint(**changed):
    parts = {"train": DIGITS, "valid": DIGITS[::-1], "test": DIGITS, "form": DIGITS} | changed
    return " ".join(f"{name}:{digits}" for name, digits in parts.items())


def table(*records):
    return pd.DataFrame([{"run_id": f"{n:016x}", **data_records.columns(one)} for n, one in enumerate(records)])


def record(identity="aaaaaaaaaaaa", name="data function f", **changed):
    return DataRecord(identity, fingerprint(**changed), name)


@pytest.fixture
def directory(tmp_path):
    lines = []
    opened = Directory(tmp_path, lines.append)
    opened.lines = lines
    return opened


def test_only_data_that_are_new_to_the_directory_are_returned(directory):
    known = table(record(), record("bbbbbbbbbbbb"))
    new = record("cccccccccccc")
    assert data_records.compare(directory, known, [record(), new, new]) == [new]
    assert data_records.compare(directory, pd.DataFrame(), [new]) == [new]


@pytest.mark.parametrize(
    ("identity", "changed", "differs"),
    [
        ("aaaaaaaaaaaa", {"train": "f" * 16}, "train ffffffff, before 01234567"),
        ("aaaaaaaaaaaa", {"test": "f" * 16, "form": "e" * 16}, "test ffffffff, before 01234567; also form"),
        ("aaaaaaaaaaaa/0.25", {"test": "f" * 16}, "test ffffffff, before 01234567"),
        ("aaaaaaaaaaaa/0.25", {"train": "f" * 16}, ""),
        ("bbbbbbbbbbbb", {"test": "f" * 16}, ""),
    ],
)
def test_data_of_the_same_description_must_have_the_recorded_arrays(directory, identity, changed, differs):
    now = record(identity, **changed)
    if not differs:
        assert data_records.compare(directory, table(record()), [now]) == [now]
        return
    with pytest.raises(RequestError) as caught:
        data_records.compare(directory, table(record()), [now])
    line = str(caught.value)
    assert line.startswith(f"data function f gives other arrays than {directory.path} was trained on")
    assert f"(fingerprint of {differs})" in line
    assert "bring back those data" in line


@pytest.mark.parametrize("damage", ["no columns", "null", "text", "number"])
def test_runs_without_a_record_are_named_once_and_completed(directory, damage):
    known = table(record(), record("bbbbbbbbbbbb"))
    if damage == "no columns":
        known = known[["run_id"]]
    else:
        known["data_fingerprint"] = [{"null": None, "text": "train:12", "number": 3}[damage], fingerprint()]
    directory.write_runs(known.assign(pack="a1"))
    records = {run_id: record() for run_id in known["run_id"]}
    count = 2 if damage == "no columns" else 1
    assert data_records.check(directory, [record()]) == [record()]
    assert len(directory.lines) == 1
    assert f"does not say which arrays {count} of its 2 runs were trained on" in directory.lines[0]
    assert data_records.can_complete(known, records)
    completed = data_records.completed(known, records)
    assert not data_records.can_complete(completed, records)
    assert completed["data_fingerprint"].tolist() == [fingerprint()] * 2
    assert completed["data_id"].tolist() == ["aaaaaaaaaaaa", "aaaaaaaaaaaa" if count == 2 else "bbbbbbbbbbbb"]
    assert data_records.compare(directory, completed, [record()]) == []


def test_nothing_is_completed_of_runs_whose_data_are_not_at_hand():
    known = table(record())[["run_id"]]
    assert not data_records.can_complete(known, {})
    assert data_records.completed(known, {})["data_fingerprint"].isna().all()
    assert data_records.completed(pd.DataFrame(), {}).empty


@pytest.mark.parametrize("damage", [None, 3, ["a"], {"aaaaaaaaaaaa": 3}, {"aaaaaaaaaaaa": {"fingerprint": "train:1"}}])
def test_a_list_of_data_that_is_none_is_ignored(directory, damage):
    directory.write_sweep({"data": damage})
    assert data_records.compare(directory, pd.DataFrame(), [record()]) == [record()]
    assert data_records.in_sweep({"data": damage}, []) == {}


def test_the_list_in_the_sweep_file_stands_in_for_a_lost_table(directory):
    directory.write_sweep({"data": data_records.in_sweep({}, [record()])})
    assert data_records.compare(directory, pd.DataFrame(), [record()]) == []
    assert data_records.compare(directory, pd.DataFrame(), [record("bbbbbbbbbbbb")]) == [record("bbbbbbbbbbbb")]
    with pytest.raises(RequestError, match="fingerprint of form ffffffff, before 01234567"):
        data_records.compare(directory, pd.DataFrame(), [record(form="f" * 16)])
    assert [*data_records.in_sweep(directory.read_sweep(), [record("bbbbbbbbbbbb")])] == [
        "aaaaaaaaaaaa",
        "bbbbbbbbbbbb",
    ]


def test_a_directory_that_does_not_exist_knows_nothing(tmp_path):
    assert data_records.check(Directory(tmp_path / "none"), [record(), record()]) == [record()]
