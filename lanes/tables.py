"""Parquet tables that prove themselves: each file carries the checksum of its rows, verified when it is read.

Files are written whole: under a temporary name, synced to disk, then renamed; a reader sees the old file or the new one.
"""

import contextlib
import hashlib
import os
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lanes.errors import DamagedFileError

CHECKSUM = b"lanes.sha256"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or nothing: temporary name in the same folder, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def checksum(frame: pd.DataFrame) -> str:
    """SHA-256 over column names and rows: equal for equal tables, whatever the file's layout."""
    digest = hashlib.sha256("\0".join(map(str, frame.columns)).encode())
    plain = frame.astype({name: object for name in frame.columns if frame[name].dtype.kind not in "biuf"})
    rows = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    digest.update(np.ascontiguousarray(rows).tobytes())
    return digest.hexdigest()


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table with its checksum, whole or not at all."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    as_read = table.to_pandas()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), CHECKSUM: checksum(as_read).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def read_table(path: Path) -> pd.DataFrame:
    """The table at `path`.

    Raises:
        DamagedFileError: the file is torn, foreign, or its rows do not have the checksum that they were written with.
    """
    try:
        table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read()
        frame = table.to_pandas()
        expected = (table.schema.metadata or {}).get(CHECKSUM, b"").decode(errors="replace")
        right = bool(expected) and checksum(frame) == expected
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever the reader of a damaged file stumbles over
        raise DamagedFileError(f"{path} cannot be read ({type(error).__name__})") from error
    if not right:
        raise DamagedFileError(f"{path} does not have the checksum that it was written with")
    return frame
