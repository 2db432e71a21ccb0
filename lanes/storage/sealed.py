"""JSON files that carry their own checksum, under the key `sha256`: SHA-256 of the file's name and content.

The name is in it, so that an intact file under another file's name counts as damaged; so does one of another sweep, whose
identity is under the key `sweep`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from lanes.files import read_regular, write_bytes

SEAL = "sha256"
SWEEP = "sweep"
MOST_BYTES = 1 << 28  # of a file: a larger one is none of ours, and is not read


def seal(content: dict[str, Any], name: str) -> str:
    """SHA-256 of a file's name and of its content without the seal."""
    return hashlib.sha256(f"{name}\0{json.dumps(content, sort_keys=True)}".encode()).hexdigest()


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file with its checksum, whole or not at all; values that JSON lacks become text."""
    content = json.loads(json.dumps(content, default=str))
    write_bytes(path, json.dumps({**content, SEAL: seal(content, path.name)}, indent=1).encode())


def read_sealed(path: Path) -> dict[str, Any] | None:
    """The content of a sealed file without its seal; None if it is missing, damaged or no regular file.

    Raises OSError if it cannot be read: that is no damage.
    """
    try:
        content = json.loads(read_regular(path, MOST_BYTES))
        return content if content.pop(SEAL) == seal(content, path.name) else None
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
