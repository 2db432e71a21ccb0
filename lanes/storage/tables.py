"""Parquet tables with a seal, which carries a checksum over every byte of the file.

The seal is JSON in the file's own footer; its checksum is SHA-256 of the file with 64 zeros in place of the checksum.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lanes.errors import DamagedFileError
from lanes.files import open_regular, write_bytes
from lanes.program.memory import free_on_host, megabytes
from lanes.storage.seals import Seal

KEY = b"lanes.seal"
CHECKSUM = b'{"sha256": "'  # what a seal begins with
BLANK = b"0" * 64
MAGIC = b"PAR1"  # what a Parquet file ends with
SMALL = 2**26  # bytes that are read without asking how much memory is free


def write_table(path: Path, table: pa.Table, seal: Seal) -> None:
    """Write a table with its seal, whole or not at all. Reading it under another name, or for another sweep, fails."""
    table = table.replace_schema_metadata(None)
    text = json.dumps({"sha256": BLANK.decode(), **dataclasses.asdict(seal)}).encode()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: text})
    content = bytearray(sink.getvalue().to_pybytes())
    at = _checksum_offset(content)
    content[at : at + 64] = _digest(content, at).encode()
    write_bytes(path, bytes(content))


def read_table(path: Path, name: str, columns: Sequence[str] | None = None, sweep: str = "") -> pa.Table:
    """The table at `path`, written under `name` for `sweep` ("": any): all columns, or those of `columns` that it has.

    Raises:
        DamagedFileError: the file is torn, foreign, or was written under another name or for another sweep.
        FileNotFoundError: there is no such file.
        OSError: it cannot be read now, which is no damage.
        MemoryError: nor is a table larger than the free memory.
    """
    content, seal = verified(path)
    check_place(seal, name, sweep)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        present = file.schema_arrow.names if columns is None else [n for n in columns if n in file.schema_arrow.names]
        _check_memory(path, file.metadata.num_rows * sum(_cell(file.schema_arrow.field(name).type) for name in present))
        return file.read(columns=present).replace_schema_metadata(None)
    except MemoryError:
        raise
    except Exception as error:  # pyarrow raises many kinds
        raise DamagedFileError(f"cannot be read ({type(error).__name__})") from error


def verified(path: Path) -> tuple[bytes, Seal]:
    """The bytes of a table's file, checked against the checksum, and its seal, which tells where it belongs.

    Raises like `read_table`.
    """
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(MAGIC)))
        if file.read() != MAGIC:  # such as a sparse file, whatever its size
            raise DamagedFileError("is not a table of a sweep" if size else "is empty")
        _check_memory(path, size)
        file.seek(0)
        content = file.read()
    at = _checksum_offset(content)
    if at < 0:
        raise DamagedFileError("is not a table of a sweep")
    if _digest(content, at) != content[at : at + 64].decode(errors="replace"):
        raise DamagedFileError("does not match its checksum")
    text = content[at - len(CHECKSUM) :].decode(errors="replace")
    try:
        return content, Seal.of(json.JSONDecoder().raw_decode(text)[0])
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise DamagedFileError("has a seal of another kind") from error


def check_place(seal: Seal, name: str, sweep: str) -> None:
    """Raise DamagedFileError if an intact table belongs elsewhere; a `sweep` of "" is any."""
    if sweep and seal.sweep != sweep:
        raise DamagedFileError("belongs to another sweep")
    if seal.name != name:
        raise DamagedFileError(f"was written as {seal.name}")


def _cell(kind: pa.DataType) -> int:
    """Bytes that a value takes in memory, about."""
    return 8 if pa.types.is_primitive(kind) else 40


def _check_memory(path: Path, needed: int) -> None:
    """Raise MemoryError if what a file holds, which may be far more than the file, does not fit."""
    free = free_on_host() if needed > SMALL else None
    if free is not None and needed > free:
        raise MemoryError(f"{path} takes {megabytes(needed)} of memory, and {megabytes(free)} are free")


def _checksum_offset(content: bytes | bytearray) -> int:
    """Offset of the checksum's 64 digits, or -1."""
    key = content.rfind(KEY)
    at = content.find(CHECKSUM, key + len(KEY), key + len(KEY) + len(CHECKSUM) + 8) if key >= 0 else -1
    return at + len(CHECKSUM) if at >= 0 else -1


def _digest(content: bytes | bytearray, at: int) -> str:
    """SHA-256 of a file whose checksum is at an offset."""
    view = memoryview(content)
    digest = hashlib.sha256(view[:at])
    digest.update(BLANK)
    digest.update(view[at + 64 :])
    return digest.hexdigest()
