"""Parquet tables with a checksum over every byte of the file and the name it was written under.

The checksum is in the file's own footer: SHA-256 of the name and of the file with 64 zeros in place of the checksum.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lanes.errors import DamagedFileError
from lanes.files import write_bytes

CHECKSUM = b"lanes.sha256"
BLANK = b"0" * 64


def write_table(path: Path, table: pa.Table, name: str) -> None:
    """Write a table with its checksum, whole or not at all.

    Args:
        path: the file.
        table: rows.
        name: identifies the table; reading it under another name fails.
    """
    table = table.replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({CHECKSUM: BLANK})
    content = bytearray(sink.getvalue().to_pybytes())
    at = _checksum_offset(content)
    content[at : at + 64] = _digest(content, name).encode()
    write_bytes(path, bytes(content))


def read_table(path: Path, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The table at `path`, written under `name`: all columns, or those of `columns` that it has.

    Raises:
        DamagedFileError: the file is torn, foreign, or was written under another name.
        FileNotFoundError: there is no such file.
    """
    content = verified(path, name)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        present = set(file.schema_arrow.names)
        table = file.read(columns=None if columns is None else [column for column in columns if column in present])
        return table.replace_schema_metadata(None)
    except Exception as error:  # pyarrow raises many kinds
        raise DamagedFileError(f"cannot be read ({type(error).__name__})") from error


def verified(path: Path, name: str) -> bytes:
    """The bytes of a table's file, checked against the checksum. Raises like `read_table`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFileError(f"cannot be read ({error.strerror})") from error
    at = _checksum_offset(content)
    if at < 0:
        raise DamagedFileError("is not a table of a sweep" if content else "is empty")
    expected = bytes(content[at : at + 64]).decode(errors="replace")
    if _digest(content, name) != expected:
        raise DamagedFileError("does not match its checksum")
    return content


def _checksum_offset(content: bytes | bytearray) -> int:
    """Offset of the checksum's 64 digits, or -1."""
    key = content.rfind(CHECKSUM)
    match = re.compile(rb"[0-9a-f]{64}").search(content, key + len(CHECKSUM), key + len(CHECKSUM) + 72)
    return match.start() if key >= 0 and match is not None else -1


def _digest(content: bytes | bytearray, name: str) -> str:
    at = _checksum_offset(content)
    digest = hashlib.sha256(name.encode() + b"\0")
    view = memoryview(content)
    digest.update(view[:at])
    digest.update(BLANK)
    digest.update(view[at + 64 :])
    return digest.hexdigest()
