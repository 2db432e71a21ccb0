"""Copies of the experiment file in a sweep's directory: `experiment.py`, and one more for each changed version."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from lanes.errors import RequestError
from lanes.files import checksum, write_bytes
from lanes.storage.directory import Directory

MOST = 999  # versions in one directory


def keep_copy(directory: Directory, source: Path | None, known: Mapping[str, str]) -> tuple[str, str] | None:
    """Copy an experiment file into the directory, unless it holds this version already.

    Args:
        directory: of the sweep.
        source: the experiment file; None for runs that come from no file.
        known: SHA-256 of earlier copies by name; a copy that has changed since is set aside.

    Returns:
        Name and SHA-256 of the copy, or None without a source.

    Raises RequestError if the directory already holds `MOST` other versions.
    """
    for name, expected in known.items():
        copy = directory.path / Path(name).name
        if copy.exists() and checksum(copy) != expected:
            directory.set_aside(copy, "is not the copy that was made", lambda path: checksum(path) == expected)  # noqa: B023
    if source is None:
        return None
    text = source.read_bytes()
    digest = hashlib.sha256(text).hexdigest()
    taken = {name for name, expected in known.items() if expected != digest}
    for number in range(1, MOST + 1):
        name = "experiment.py" if number == 1 else f"experiment_{number}.py"
        copy = directory.path / name
        if name in taken:
            continue
        if not copy.exists():
            write_bytes(copy, text)
            return name, digest
        if copy.read_bytes() == text:
            return name, digest
    raise RequestError(f"{directory.path} holds {MOST} versions of the experiment: use a new --out")
