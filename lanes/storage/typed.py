"""Columns of fixed types: from Python's values to Arrow's, between types, and to pandas."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lanes.storage import pandas_when_used as pd

INTEGER, SHORT, BOOLEAN, TEXT = pa.int64(), pa.int32(), pa.bool_(), pa.string()
DOUBLE, SINGLE = pa.float64(), pa.float32()
PLAIN = {INTEGER: np.dtype("int64"), SHORT: np.dtype("int32"), BOOLEAN: np.dtype("bool")}
FLOATS = {DOUBLE: np.dtype("float64"), SINGLE: np.dtype("float32")}


def type_of(value: Any) -> pa.DataType | None:
    """The type of a column for one value; None for None."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        return BOOLEAN
    if isinstance(value, (int, np.integer)):
        return INTEGER if -(2**63) <= value < 2**63 else TEXT
    return DOUBLE if isinstance(value, (float, np.floating)) else TEXT


def common(*kinds: pa.DataType | None) -> pa.DataType | None:
    """One type for columns of several: a double for integers and doubles, otherwise text where they differ."""
    known = set(kinds) - {None}
    if len(known) < 2:
        return next(iter(known), None)
    return DOUBLE if known == {INTEGER, DOUBLE} else TEXT


def array_of(values: Sequence[Any] | pd.Series, kind: pa.DataType) -> pa.Array:
    """Values as an array; None and NaN are null.

    Raises pyarrow's errors for a value that is not of the type.
    """
    try:
        if kind in (INTEGER, SHORT):
            return pa.array(values, from_pandas=True).cast(kind)  # asked for directly, pyarrow makes 1 of 1.5
        return pa.array(values, kind, from_pandas=True)
    except pa.ArrowTypeError:
        if kind != TEXT:
            raise
        return pa.array([None if _is_missing(value) else str(value) for value in values], kind)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def array_or_text(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as an array; as text if one is not of the type, such as an integer that no double equals."""
    try:
        return array_of(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return array_of(values, TEXT)


def stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables below each other; a column that one lacks is null there.

    Where the types of a column differ it is a double for numbers, otherwise text. Columns without a value have no say.
    """
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    columns, fields = [], []
    for name in names:
        having = [table for table in tables if name in table.column_names]
        kind = common(*(table[name].type for table in having if table[name].null_count < len(table)))
        kind = kind or having[0].schema.field(name).type
        parts = [
            _cast(table[name], kind) if name in table.column_names else pa.chunked_array([pa.nulls(len(table), kind)])
            for table in tables
        ]
        if any(part.type != kind for part in parts):
            parts = [_cast(part, TEXT) for part in parts]
        column = pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)
        nullable = len(having) < len(tables) or any(table.schema.field(name).nullable for table in having)
        columns.append(column)
        fields.append(pa.field(name, column.type, nullable))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column in another type; as text if a value has no equal in it."""
    if column.type == kind:
        return column
    if kind != TEXT:
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            pass
    return pa.chunked_array([array_of(column.to_pylist(), TEXT)], TEXT)


# ---- pandas ------------------------------------------------------------------------------------------------------


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A table for pandas, in types that depend only on the schema.

    Integers and booleans that may be null are `Int64` and `boolean`, others `int64` and `bool`; a null number is NaN.
    """
    return pd.DataFrame({field.name: _series(table[field.name], field) for field in table.schema})


def _series(column: pa.ChunkedArray, field: pa.Field) -> pd.Series:
    nullable = _nullable()
    if field.nullable and field.type in nullable:
        return column.to_pandas(types_mapper=nullable.get)
    if field.type == TEXT:
        return column.to_pandas().astype(_text())
    return column.to_pandas().astype(PLAIN.get(field.type) or FLOATS[field.type])


@functools.cache
def _nullable() -> dict[pa.DataType, Any]:
    """pandas' types of what may be null."""
    return {INTEGER: pd.Int64Dtype(), SHORT: pd.Int32Dtype(), BOOLEAN: pd.BooleanDtype()}


@functools.cache
def _text() -> Any:
    """pandas' type of text: `str`, or `object` before pandas 3."""
    return pd.Series(["text"]).dtype


def from_pandas(frame: pd.DataFrame) -> pa.Table:
    """The inverse of `to_pandas`; columns of other types get that of their values."""
    arrays, fields = [], []
    for name in frame.columns:
        column = frame[name]
        kind = _kind(column)
        arrays.append(array_or_text(column, kind))
        nullable = column.dtype not in PLAIN.values()
        fields.append(pa.field(str(name), arrays[-1].type, nullable))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def stacked_frames(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """`stacked` for tables of pandas."""
    return to_pandas(stacked([from_pandas(table) for table in tables]))


def _kind(column: pd.Series) -> pa.DataType:
    """The Arrow type of a column by its dtype, or by its values."""
    for table in (_nullable(), PLAIN, FLOATS):
        for kind, dtype in table.items():
            if column.dtype == dtype:
                return kind
    if column.dtype != object:
        return TEXT
    values = [None if _is_missing(value) else value for value in column]
    return common(*map(type_of, values)) or TEXT
