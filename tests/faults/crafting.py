"""Changes files of a sweep's directory in place and gives them right checksums, as someone would who crafts a directory."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from injuries import ignore

from lanes.storage import checkpoints
from lanes.storage.directory import Directory
from lanes.storage.sealed import read_sealed, write_sealed
from lanes.storage.seals import Seal
from lanes.storage.tables import BLANK, KEY, read_table, verified, write_table


def reseal(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the content of a sealed JSON file in place, and seal it again."""
    content = read_sealed(path)
    assert content is not None
    change(content)
    write_sealed(path, content)


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a table again, changed, with a right checksum."""
    seal = verified(path)[1]
    write_table(path, change(read_table(path, seal.name)), seal)


def resum(checkpoint: Path) -> None:
    """Write a checkpoint's list of checksums for the files that it has now."""
    sums = {str(file.relative_to(checkpoint)): checkpoints.digest(file) for file in checkpoints.files(checkpoint)}
    sizes = {name: (checkpoint / name).stat().st_size for name in sums}
    reseal(checkpoint / checkpoints.CHECKSUMS, lambda content: content.update(files=sums, bytes=sizes))


def set_column(out: Path, name: str, value: Any) -> None:
    """Give every planned run this value in a column, in both copies of the table."""

    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(name)
        field = table.schema.field(name)
        return table.set_column(at, field, pa.array([value] * len(table), field.type))

    for path in (out / "runs.parquet", out / "runs.copy.parquet"):
        rewrite(path, change)


def describe(out: Path, **fields: Any) -> None:
    """Change these fields in the description of every planned run."""

    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index("description")
        texts = [json.dumps({**json.loads(text), **fields}) for text in table["description"].to_pylist()]
        return table.set_column(at, table.schema.field("description"), pa.array(texts, pa.string()))

    for path in (out / "runs.parquet", out / "runs.copy.parquet"):
        rewrite(path, change)


def in_sweep(out: Path, **entries: Any) -> None:
    """Change entries of sweep.json."""
    reseal(out / "sweep.json", lambda content: content.update(entries))


def repeat(path: Path, rows: int, groups: int) -> None:
    """Write a table again as `groups` equal groups of rows, each of which is its first row `rows` times."""
    seal = verified(path)[1]
    first = read_table(path, seal.name).slice(0, 1)
    at = pa.nulls(rows, pa.int32()).fill_null(0)
    columns = [
        pa.nulls(rows, column.type)
        if column.null_count
        else pa.DictionaryArray.from_arrays(at, column.combine_chunks())
        for column in first.columns
    ]
    table = pa.Table.from_arrays(columns, first.column_names)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        writer.write_table(table, row_group_size=rows)
        writer.add_key_value_metadata({KEY: blank(seal)})
    content = sink.getvalue().to_pybytes()
    footer = pq.read_metadata(pa.BufferReader(content))
    for _ in range(groups - 1):
        footer.append_row_groups(pq.read_metadata(pa.BufferReader(content)))
    written = pa.BufferOutputStream()
    footer.write_metadata_file(written)
    length = int.from_bytes(content[-8:-4], "little")
    sign(path, content[: -8 - length] + written.getvalue().to_pybytes()[4:])


def blank(seal: Seal) -> bytes:
    """A table's seal as its footer holds it, before the checksum is known."""
    return json.dumps({"sha256": BLANK.decode(), **dataclasses.asdict(seal)}).encode()


def sign(path: Path, content: bytes) -> None:
    """Write the bytes of a table, whose footer has a blank checksum, with the right one."""
    digest = hashlib.sha256(content).hexdigest()
    at = content.index(BLANK, content.rindex(KEY))
    path.write_bytes(content[:at] + digest.encode() + content[at + len(BLANK) :])


def checkpoint_of(out: Path) -> Path:
    """The checkpoint of the pack that the first run is in."""
    pack = Directory(out, ignore).read_runs(["pack"])["pack"][0]
    return next(path for path in (out / "checkpoints" / pack).iterdir() if path.name.isdecimal())
