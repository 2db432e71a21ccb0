"""The columns of a sweep's tables: name, type, whether null is allowed, and meaning (`docs/tables.md` has the same tables).

All parts of a table have the same columns of the same types, whatever their runs measure and however they ended, so that
any reader of Parquet takes them as one table.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lanes.describe import descriptions, runs
from lanes.describe.directions import SPLITS
from lanes.storage import pandas_when_used as pd
from lanes.storage.typed import (
    BOOLEAN,
    DOUBLE,
    INTEGER,
    SHORT,
    SINGLE,
    TEXT,
    array_of,
    array_or_text,
    common,
    from_pandas,
    type_of,
)

PACK = "part"  # column of every part: the pack that the row comes from
MEASURED = "measured"  # column of planned runs: the metric columns of their results
PROGRAM = "program"  # column of planned runs: what the runs of its training program may differ in


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        type: its Arrow type.
        nullable: whether it may be null.
        meaning: in a sentence; empty for the fields of a run, which `Run` explains.
    """

    type: pa.DataType
    nullable: bool
    meaning: str = ""


Columns = dict[str, Column]

PLACES: Columns = {
    "pack": Column(TEXT, False, "the pack that the run is trained in"),
    "lane": Column(INTEGER, False, "its lane in the pack"),
    "pack_shape": Column(TEXT, False, "width, lanes, seeds and signature of the pack"),
    PROGRAM: Column(
        TEXT, True, "what the runs of its training program differ in besides numbers; `separate` if in nothing"
    ),
    "experiment": Column(TEXT, True, "the copy of the experiment file in the directory"),
    "experiment_sha256": Column(TEXT, True, "SHA-256 of that copy"),
    "experiment_modules": Column(TEXT, True, "the modules beside it that it imports, with their SHA-256, as JSON"),
    "data_id": Column(TEXT, True, "identity of the run's data set and of its split"),
    "data_fingerprint": Column(TEXT, True, "what the arrays of each split are, as a hash"),
    MEASURED: Column(TEXT, True, "the metric columns of the run's results, separated by spaces"),
    "combination_id": Column(TEXT, True, "equal for runs that differ only in their seed and in what follows it"),
    "description": Column(TEXT, False, "the run as JSON, from which it is restored"),
    "asked_by": Column(TEXT, True, "the commands that asked for the run, as JSON"),
    "earlier_version_of": Column(TEXT, True, "the experiment file whose present version does not ask for the run"),
}
RUN_ID: Columns = {"run_id": Column(TEXT, False, "identity of the run")}
PART: Columns = {PACK: Column(TEXT, False, "the pack whose part the row comes from")}
RESULTS: Columns = {
    **RUN_ID,
    **PART,
    "status": Column(TEXT, False, "done, stopped_early, pruned, diverged or failed"),
    "epochs": Column(INTEGER, True, "epochs trained; `epochs_done` in `lanes.load`"),
    "best_epoch": Column(INTEGER, True, "epoch that the metrics are of; null if diverged or failed"),
    "penalty": Column(DOUBLE, True, "sum of the penalties at the best epoch"),
}
ENDS: Columns = {
    "stopped_by": Column(TEXT, True, "who asked the run to end: `user`, or the name of a callback; null if nobody did"),
    "diverged_step": Column(INTEGER, True, "first step whose loss or update is not finite; null unless diverged"),
    "seconds": Column(DOUBLE, True, "training time of the pack, divided by its runs"),
    "width": Column(INTEGER, True, "lanes computed at once"),
    "mapping": Column(TEXT, True, "local, shard_map, pmap or data"),
    "device": Column(TEXT, True, "kind of the device"),
    "calls": Column(TEXT, True, "the calls that trained the pack, in order, separated by spaces: `calls/CALL.json`"),
    "error": Column(TEXT, True, "why the run failed; null otherwise"),
}
CURVES: Columns = {
    **RUN_ID,
    **PART,
    "epoch": Column(SHORT, False, "from 1"),
    "batch_loss": Column(SINGLE, True, "mean loss of the epoch's batches, without penalties"),
    "penalty": Column(SINGLE, True, "sum of the penalties"),
}
STANDINGS: Columns = {
    **RUN_ID,
    **PART,
    "status": Column(TEXT, False, "running, or how the run ended before the rung"),
    "value": Column(DOUBLE, True, "best value of the metric up to the rung"),
}


# ---- planned runs ------------------------------------------------------------------------------------------------


def field_columns() -> Columns:
    """The columns of `Run`'s fields: numbers as annotated, anything else as text."""
    hints = descriptions.type_hints(runs.Run)
    out = {}
    for name in runs.FIELDS:
        members = typing.get_args(hints[name]) or (hints[name],)
        nullable = type(None) in members or hints[name] is Any
        out[name] = Column(annotated(hints[name]) or TEXT, nullable)
    return out


def value_types(path: str, value: Any, columns: Mapping[str, Any]) -> dict[str, pa.DataType | None]:
    """The types of the columns of one field's value: by annotation, widened to what the value is; None if it is unknown.

    Args:
        path: the field.
        value: its value.
        columns: the value's columns, as `runs.columns_of` makes them.
    """
    stated = _annotations(path, value)
    return {name: common(stated.get(name), type_of(cell)) for name, cell in columns.items()}


def _annotations(path: str, value: Any) -> dict[str, pa.DataType | None]:
    """The types that the fields of a description are annotated with, by dotted path."""
    if not descriptions.is_description(value):
        return {}
    hints = descriptions.type_hints(value.__class__)
    out: dict[str, pa.DataType | None] = {}
    for name in descriptions.fields_of(value):
        out[f"{path}.{name}"] = annotated(hints.get(name, Any))
        out |= _annotations(f"{path}.{name}", getattr(value, name))
    return out


def annotated(annotation: Any) -> pa.DataType | None:
    """The type of a column for values of an annotation; None if it says nothing (`Any`)."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        kinds = [annotated(member) for member in typing.get_args(annotation) if member is not type(None)]
        return None if None in kinds else common(*kinds)
    if origin is typing.Literal:
        return common(*(type_of(value) for value in typing.get_args(annotation)))
    if annotation in (Any, object, type(None)) or isinstance(annotation, typing.TypeVar):
        return None
    if not isinstance(annotation, type) or origin is not None:
        return TEXT
    if issubclass(annotation, (bool, np.bool_)):
        return BOOLEAN
    if issubclass(annotation, (int, np.integer)):
        return INTEGER
    return DOUBLE if issubclass(annotation, (float, np.floating)) else TEXT


def runs_table(rows: Sequence[Mapping[str, Any]], found: Mapping[str, pa.DataType | None]) -> pa.Table:
    """Planned runs as a table; `found` holds the types of the dotted columns."""
    fixed = {**RUN_ID, **field_columns(), **PLACES}
    names = dict.fromkeys(name for row in rows for name in row)
    arrays, fields = [], []
    for name in names:
        column = fixed.get(name) or Column(found.get(name) or TEXT, True)
        arrays.append(array_or_text([row.get(name) for row in rows], column.type))
        fields.append(pa.field(name, arrays[-1].type, column.nullable))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def conformed(table: pd.DataFrame) -> pa.Table:
    """The table of planned runs with the types of the fixed columns; other columns keep theirs."""
    found = from_pandas(table)
    fixed = {**RUN_ID, **field_columns(), **PLACES}
    fields, arrays = [], []
    for field in found.schema:
        column = fixed.get(field.name, Column(field.type, True))
        arrays.append(array_of(table[field.name], column.type) if field.type != column.type else found[field.name])
        fields.append(pa.field(field.name, column.type, column.nullable))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


# ---- parts -------------------------------------------------------------------------------------------------------


def part_columns(base: Columns, metrics: Iterable[str]) -> Columns:
    """The columns of a table's parts: the fixed ones and those of the metrics, in an order that the set of metrics fixes."""
    kind = SINGLE if base is CURVES else DOUBLE
    end = ENDS if base is RESULTS else {}
    names = set(metrics) - base.keys() - end.keys()
    return {**base, **{name: Column(kind, True) for name in sorted(names, key=_metric_order)}, **end}


def _metric_order(name: str) -> tuple[int, bool, str]:
    split = next((at for at, prefix in enumerate(SPLITS) if name.startswith(prefix)), len(SPLITS))
    return split, not name.endswith("_loss"), name


def by_column(rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> dict[str, Any]:
    """The values of rows by column; those that a row lacks are None."""
    if isinstance(rows, pd.DataFrame):
        return {str(name): rows[name] for name in rows.columns}
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def part_table(values: Mapping[str, Any], columns: Columns, pack: str) -> pa.Table:
    """The rows of a pack's part, given by column; columns without values are null."""
    count = len(values["run_id"])
    values = {PACK: [pack] * count, **values}
    arrays = [array_of(values.get(name, [None] * count), column.type) for name, column in columns.items()]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(columns))


def arrow_schema(columns: Columns) -> pa.Schema:
    """The Arrow schema of columns."""
    return pa.schema([pa.field(name, column.type, column.nullable) for name, column in columns.items()])


def widened(table: pa.Table, columns: Columns) -> pa.Table:
    """A part with these columns, in their order; those that it lacks are null."""
    arrays = [
        table[name] if name in table.column_names else pa.nulls(len(table), column.type)
        for name, column in columns.items()
    ]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(columns))
