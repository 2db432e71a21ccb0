"""JSON files that carry their own checksum: SHA-256 of the content, under the key `sha256`."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lanes.files import write_bytes

SEAL = "sha256"


def seal(content: dict[str, Any]) -> str:
    """SHA-256 of a content without its seal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file with its checksum, whole or not at all; values that JSON lacks become text."""
    content = json.loads(json.dumps(content, default=str))
    write_bytes(path, json.dumps({**content, SEAL: seal(content)}, indent=1).encode())


def read_sealed(path: Path) -> dict[str, Any] | None:
    """The content of a sealed file without its seal; None if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
        return content if content.pop(SEAL) == seal(content) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
