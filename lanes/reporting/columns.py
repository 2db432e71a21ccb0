"""Columns of numbers as compressed bytes inside a page, which the page's script reads back without loss."""

import base64
import gzip
import json
from typing import Any

import numpy as np

INTEGERS = ("u1", "u2", "u4")  # the shortest that holds a column of whole numbers is used


class Columns:
    """The bytes of columns, one after the other; `add` returns what the page's description says in place of the numbers."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, values: Any) -> dict[str, Any]:
        """A column: whole numbers ≥ 0 in as few bytes as hold the largest, others as float32 if that is exact, or float64."""
        array = np.asarray(values)
        kind = _kind(array)
        raw = array.astype(f"<{kind}")
        # The first bytes of all numbers, then the second …: numbers of similar size compress to half.
        part = raw.view(np.uint8).reshape(raw.size, raw.itemsize).T.tobytes()
        found = {"kind": kind, "at": self.size, "length": int(raw.size)}
        self.parts.append(part)
        self.size += len(part)
        return found


def _kind(array: np.ndarray) -> str:
    if array.size == 0:
        return "u1"
    if array.dtype.kind in "iub" and array.min() >= 0:
        for kind in INTEGERS:
            if array.max() <= np.iinfo(kind).max:
                return kind
    numbers = array.astype(np.float64)
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32).astype(np.float64)
    return "f4" if np.array_equal(narrow, numbers, equal_nan=True) else "f8"


def packed(description: Any, columns: Columns) -> str:
    """The description as JSON and the columns' bytes, compressed, as base64: letters, digits, `+`, `/` and `=`."""
    text = json.dumps(description, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    head = len(text).to_bytes(4, "little")
    # level 6: the last three levels take three times as long for 1%
    return base64.b64encode(gzip.compress(head + text + b"".join(columns.parts), 6, mtime=0)).decode()


def unpacked(text: str) -> Any:
    """The description, with arrays in place of columns."""
    data = gzip.decompress(base64.b64decode(text))
    size = int.from_bytes(data[:4], "little")
    body = data[4 + size :]

    def with_arrays(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"kind", "at", "length"}:
            kind = np.dtype(f"<{value['kind']}")
            part = np.frombuffer(body, np.uint8, value["length"] * kind.itemsize, value["at"])
            return np.ascontiguousarray(part.reshape(kind.itemsize, -1).T).view(kind).reshape(-1)
        if isinstance(value, dict):
            return {key: with_arrays(item) for key, item in value.items()}
        return [with_arrays(item) for item in value] if isinstance(value, list) else value

    return with_arrays(json.loads(data[4 : 4 + size]))
