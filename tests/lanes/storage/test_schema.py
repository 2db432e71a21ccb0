"""Parts have one schema whatever their runs measure, and planned runs one type per column whatever their values."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lanes.describe import runs
from lanes.storage import compaction, schema
from lanes.storage.directory import Directory
from lanes.storage.typed import (
    BOOLEAN,
    DOUBLE,
    INTEGER,
    TEXT,
    array_of,
    from_pandas,
    stacked,
    stacked_frames,
    to_pandas,
)

polars = pytest.importorskip("polars", reason="Polars reads the tables; it is in the extra `test`")
duckdb = pytest.importorskip("duckdb", reason="DuckDB reads the tables; it is in the extra `test`")

STATUSES = ("done", "stopped_early", "pruned", "diverged", "failed")
METRICS = ("loss", "accuracy", "brier", "elbo")


def planned(directory: Directory, measured: list[str], name: str = "aa") -> None:
    """Plan one run for each list of metric columns."""
    rows = [{"run_id": f"{name}{at}", "pack": name, "lane": at, "measured": names} for at, names in enumerate(measured)]
    table = to_pandas(schema.runs_table(rows, {}))
    before = directory.read_runs()
    directory.write_runs(stacked_frames([before, table]) if len(before) else table)


def with_nulls(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The rows, sorted, with None for whatever stands for a missing value."""
    cells = frame.astype(object).where(frame.notna(), None)
    return sorted((tuple(row) for row in cells.itertuples(index=False)), key=str)


def seen_by_all(folder: Path) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """The schema and rows that pandas, polars and DuckDB agree on."""
    pattern = str(folder / "*.parquet")
    schemas = {str(pq.read_schema(path)) for path in folder.glob("*.parquet")}
    assert len(schemas) == 1
    frames = [
        pd.concat([to_pandas(pq.read_table(path)) for path in folder.glob("*.parquet")]),
        to_pandas(polars.scan_parquet(pattern).collect().to_arrow().cast(pq.read_schema(next(folder.glob("*"))))),
        duckdb.sql(f"SELECT * FROM read_parquet('{pattern}')").df(),
    ]
    assert list(frames[0].columns) == list(frames[1].columns) == list(frames[2].columns)
    first, *others = map(with_nulls, frames)
    assert all(other == first for other in others)
    return {name: str(dtype) for name, dtype in frames[0].dtypes.items()}, first


@st.composite
def a_row(draw: st.DrawFn, metrics: tuple[str, ...]) -> dict[str, Any]:
    status = draw(st.sampled_from(STATUSES))
    if status == "failed":
        return {"status": status, "error": "MemoryError: 3 GB"}
    value = st.none() if status == "diverged" else st.none() | st.floats(allow_nan=False, width=32)
    row = {name: draw(value) for name in metrics}
    step = draw(st.integers(1, 2**31)) if status == "diverged" else None
    best = None if status == "diverged" else draw(st.integers(1, 9))
    return {"status": status, "epochs": draw(st.integers(0, 9)), "best_epoch": best, "diverged_step": step, **row}


@st.composite
def packs(draw: st.DrawFn) -> list[tuple[str, list[dict[str, Any]]]]:
    """The metric columns and the result rows of each pack."""
    out = []
    for _ in range(draw(st.integers(1, 5))):
        names = draw(st.lists(st.sampled_from(METRICS), min_size=1, unique=True))
        splits = draw(st.sampled_from([("train",), ("train", "valid"), ("train", "valid", "test")]))
        metrics = tuple(f"{split}_{name}" for split in splits for name in names)
        out.append((" ".join(metrics), draw(st.lists(a_row(metrics), min_size=1, max_size=3))))
    return out


@settings(max_examples=10, deadline=None)
@given(packs=packs(), calls=st.integers(1, 2), join=st.booleans())
def test_parts_are_one_table_to_every_reader(tmp_path_factory, packs, calls, join):
    directory = Directory(tmp_path_factory.mktemp("sweep"))
    directory.create()
    named = [(f"{at:x}a", *pack) for at, pack in enumerate(packs)]
    empty = directory.read_parts(directory.results)
    for call in range(calls):
        group = named[call::calls]
        planned(directory, [names for _, names, _ in group], f"{call}f")
        compaction.widen_parts(directory)
        empty = directory.read_parts(directory.results)[:0]
        for pack, names, rows in group:
            rows = [{"run_id": f"{pack}{lane}", **row} for lane, row in enumerate(rows)]
            directory.write_part(directory.results, pack, rows)
            metrics = {name: np.float32([0.5, np.nan, np.inf]) for name in names.split() if name.startswith("valid_")}
            curve = pd.DataFrame({"run_id": f"{pack}0", "epoch": np.arange(1, 4, dtype=np.int32), **metrics})
            directory.write_part(directory.curves, pack, curve)
    if join:
        compaction.join_parts(directory, packs=2)
    types, rows = seen_by_all(directory.results)
    table = directory.read_parts(directory.results)
    assert {name: types[name] for name in table.columns} == {name: str(dtype) for name, dtype in table.dtypes.items()}
    assert list(empty.dtypes) == list(table.dtypes)
    assert len(rows) == len(table) == sum(len(rows) for _, rows in packs)
    assert set(" ".join(names for names, _ in packs).split()) <= set(table.columns)
    seen_by_all(directory.curves)


def test_a_damaged_part_is_no_longer_matched_by_readers(tmp_path):
    lines: list[str] = []
    directory = Directory(tmp_path, lines.append)
    directory.create()
    for name in ("aa", "bb"):
        directory.write_part(directory.results, name, [{"run_id": name, "status": "done", "train_loss": 0.5}])
    (directory.results / "bb.parquet").write_bytes(b"PAR1 torn")
    assert list(directory.read_parts(directory.results)["run_id"]) == ["aa"]
    assert "damaged-0-bb-parquet" in lines[0]
    _, rows = seen_by_all(directory.results)
    assert len(rows) == 1


def test_metrics_planned_while_a_pack_trains_are_in_its_next_part(tmp_path):
    worker, other = Directory(tmp_path), Directory(tmp_path)
    worker.create()
    planned(worker, ["train_loss"], "aa")
    worker.write_part(worker.results, "aa", [{"run_id": "1", "status": "done"}])
    planned(other, ["train_loss train_brier"], "bb")
    compaction.widen_parts(other)
    worker.write_part(worker.results, "bb", [{"run_id": "2", "status": "done"}])
    types, _ = seen_by_all(worker.results)
    assert "train_brier" in types


def test_a_part_that_is_being_trained_is_left_to_its_worker(tmp_path):
    from lanes.storage.claims import Claims

    directory, worker = Directory(tmp_path), Claims(tmp_path)
    directory.create()
    planned(directory, ["valid_loss"], "aa")
    directory.write_part(directory.curves, "aa", pd.DataFrame({"run_id": ["1"], "epoch": [1], "valid_loss": [0.5]}))
    content = (directory.curves / "aa.parquet").read_bytes()
    planned(directory, ["valid_brier"], "bb")
    assert worker.take("aa")
    compaction.widen_parts(directory)
    assert (directory.curves / "aa.parquet").read_bytes() == content
    worker.release("aa")
    compaction.widen_parts(directory)
    assert "valid_brier" in pq.read_schema(directory.curves / "aa.parquet").names


# ---- planned runs ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Inner:
    depth: int | None = None


@dataclasses.dataclass(frozen=True)
class Own:
    """A description with a field of every kind."""

    slope: float = 0.1
    depth: int = 2
    optional: int | None = None
    either: "int | float" = 1
    mixed: "float | str" = 0.5
    named: Literal["a", "b"] = "a"
    sized: Literal[8, 16] = 8
    flag: bool = True
    widths: tuple[int, ...] = (4, 4)
    free: Any = None
    inner: Inner = Inner()


def types_of(value: Own) -> dict[str, pa.DataType | None]:
    found = schema.value_types("net", value, runs.columns_of("net", value))
    return {name: kind for name, kind in found.items() if not name.endswith(".version")}


def test_a_parameter_has_the_type_that_it_is_annotated_with():
    expected = {
        "net": TEXT,
        "net.slope": DOUBLE,
        "net.depth": INTEGER,
        "net.optional": INTEGER,
        "net.either": DOUBLE,
        "net.mixed": TEXT,
        "net.named": TEXT,
        "net.sized": INTEGER,
        "net.flag": BOOLEAN,
        "net.widths": TEXT,
        "net.free": None,
        "net.inner": TEXT,
        "net.inner.depth": INTEGER,
    }
    assert types_of(Own()) == expected
    assert types_of(Own(free=2, depth=2.5, flag=None)) == {**expected, "net.free": INTEGER, "net.depth": DOUBLE}
    assert types_of(Own(free=True, slope="0.1"))["net.slope"] == TEXT


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2], [0.5], [1.0, 2.0, 0.5]),
        ([1, 2], ["two"], ["1", "2", "two"]),
        ([True], [1], ["True", "1"]),
        ([None, None], [3], [None, None, 3]),
        ([None], ["a"], [None, "a"]),
        ([0.1], ["a"], ["0.1", "a"]),
        ([2**60 + 1], [0.5], [str(2**60 + 1), "0.5"]),
        ([2**63], [1], [str(2**63), "1"]),
        ([1], [2**70], ["1", str(2**70)]),
        ([1.0], [None], [1.0, None]),
    ],
)
def test_kinds_that_disagree_are_text_whatever_the_call(first, second, expected):
    def table(*groups: list[Any]) -> pa.Table:
        values = [value for group in groups for value in group]
        rows = [{"run_id": str(at), "net.x": value} for at, value in enumerate(values)]
        return schema.runs_table(rows, {"net.x": schema.common(*map(schema.type_of, values))})

    together, apart = table(first, second), stacked([table(first), table(second)])
    assert together["net.x"].to_pylist() == apart["net.x"].to_pylist() == expected
    assert together.schema.field("net.x").type == apart.schema.field("net.x").type


def test_no_number_is_narrowed():
    for value in (1.5, 2**63):
        with pytest.raises((pa.ArrowInvalid, OverflowError)):
            array_of([value], INTEGER)


def test_tables_go_through_pandas_unchanged():
    table = schema.part_table(
        {"run_id": ["1", "2"], "status": ["done", "failed"], "epochs": [3, None], "train_loss": [0.5, None]},
        schema.part_columns(schema.RESULTS, ["train_loss"]),
        "aa",
    )
    frame = to_pandas(table)
    again = from_pandas(frame)
    assert [field.type for field in again.schema] == [field.type for field in table.schema]
    assert again.to_pylist() == table.to_pylist()
    assert str(frame["epochs"].dtype) == "Int64"


# ---- the documented schema ---------------------------------------------------------------------------------------


def test_the_documentation_has_the_columns_of_the_code():
    text = (Path(__file__).parents[3] / "docs" / "tables.md").read_text(encoding="utf-8")
    documented = [tuple(line.strip("| ").split(" | ")[:3]) for line in text.splitlines() if line.startswith("| `")]
    fixed = [schema.RESULTS, {"SPLIT_METRIC": schema.Column(DOUBLE, True)}, schema.ENDS, schema.CURVES]
    fixed += [{"valid_METRIC": schema.Column(pa.float32(), True)}, schema.RUN_ID, schema.PLACES]
    fixed += [schema.field_columns(), schema.STANDINGS]
    expected = [
        (f"`{name}`", str(column.type), "yes" if column.nullable else "no")
        for columns in fixed
        for name, column in columns.items()
    ]
    assert [(name, kind, null.strip(" |")) for name, kind, null in documented] == expected
