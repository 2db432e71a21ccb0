"""Copies of the experiment in a sweep's directory: `experiment.py` and the modules beside it, and one more for each version.

A module is copied by its relative path, beside the copy of the experiment, so that the copy can be run too; another version
of a module, or one whose path the directory needs itself, goes to a folder `modules_N`.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lanes.describe.experiment_files import MOST_SOURCE, Copied, Origin, origin
from lanes.errors import RequestError
from lanes.files import is_file_of, make_folder, oddity, write_bytes
from lanes.storage.directory import Directory
from lanes.storage.plausible import TAKEN, modules_in

MOST = 999  # versions in one directory


@dataclasses.dataclass(frozen=True)
class Copy:
    """A copy of an experiment.

    Attributes:
        name: of the file in the directory.
        sha256: of its content.
        beside: the original's path and the copied modules, as JSON text; see `modules_of`.
    """

    name: str
    sha256: str
    beside: str


def keep_copy(directory: Directory, source: Path | None, known: Mapping[str, str], beside: Any = ()) -> Copy | None:
    """Copy an experiment and the modules beside it into the directory, unless it holds this version already.

    Args:
        directory: of the sweep.
        source: the experiment file; None for runs that come from no file.
        known: SHA-256 of earlier copies by name; a copy that has changed since is set aside.
        beside: `Copy.beside` of earlier copies, whose modules are treated alike.

    Returns:
        The copy, or None without a source.

    Raises RequestError if the directory already holds `MOST` other versions.
    """
    for name, expected in (*known.items(), *_known_modules(beside)):
        copy = directory.path / name
        if os.path.lexists(copy) and not _is_copy(copy, expected):
            why = oddity(copy) or "is not the copy that was made"
            directory.set_aside(copy, why, lambda path: _is_copy(path, expected))  # noqa: B023
    if source is None:
        return None
    loaded = origin(source)
    text = source.read_bytes() if loaded is None else loaded.content
    digest = hashlib.sha256(text).hexdigest()
    taken = {name for name, expected in known.items() if expected != digest}
    names = ("experiment.py" if number == 1 else f"experiment_{number}.py" for number in range(1, MOST + 1))
    for name in names:
        copy = directory.path / name
        if name in taken or (os.path.lexists(copy) and not _is_copy(copy, digest)):
            continue
        if not copy.exists():
            write_bytes(copy, text)
        return Copy(name, digest, _keep_modules(directory, source, loaded, beside))
    raise RequestError(f"{directory.path} holds {MOST} versions of the experiment: use a new --out")


def _keep_modules(directory: Directory, source: Path, loaded: Origin | None, beside: Any) -> str:
    """Copy the modules that the experiment has imported from beside it; where they come from and are, as JSON text."""
    contents = {} if loaded is None else loaded.neighbours.contents()
    file = str(Path(source).absolute()) if loaded is None else loaded.file
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(contents.items())}
    earlier = dict(_known_modules(beside))
    for number in range(MOST + 1):
        folder = f"modules_{number}" if number else ""
        inside = {path: f"{folder}/{path}" if folder else path for path in hashes}
        if not number and any(PurePosixPath(path).parts[0].startswith(TAKEN) for path in hashes):
            continue
        if any(earlier.get(inside[path], hashes[path]) != hashes[path] for path in hashes):
            continue
        copies = {path: directory.path / inside[path] for path in hashes}
        if all(not os.path.lexists(copy) or _is_copy(copy, hashes[path]) for path, copy in copies.items()):
            for path, copy in copies.items():
                make_folder(copy.parent, directory.path)
                if not copy.exists():
                    write_bytes(copy, contents[path])
            return json.dumps({"file": file, "folder": folder, "modules": hashes})
    raise RequestError(f"{directory.path} holds {MOST} versions of the experiment's modules: use a new --out")


def modules_of(directory: Directory, beside: Any) -> Copied | None:
    """The copied modules that `Copy.beside` names; None if it is no such text, or leads out of the directory."""
    found = modules_in(beside)
    if found is None:
        return None
    file, folder, modules = found
    return Copied(file, modules, directory.path / folder)


def _known_modules(beside: Any) -> Iterator[tuple[str, str]]:
    """Path in the directory and SHA-256 of each copied module."""
    for _, folder, modules in filter(None, map(modules_in, beside)):
        for path, sha256 in modules.items():
            yield (f"{folder}/{path}" if folder else path), sha256


def _is_copy(path: Path, sha256: str) -> bool:
    """Whether a path is a regular file with this content."""
    return is_file_of(path, sha256, MOST_SOURCE)
