"""Requests that single runs end: `stops/RUN.json`, a sealed file for each, written by `lanes stop DIR RUN` or for a callback.

A run ends at the first chunk boundary after the request, at its first epoch at the earliest. The epoch is then added to the
file, so that a pack which must be trained again ends the run at the same epoch.
"""

import contextlib
import dataclasses
import datetime
import os
from pathlib import Path
from typing import Any

from lanes.files import make_folder
from lanes.storage.directory import Directory
from lanes.storage.plausible import RUN_ID

USER = "user"  # who asked, as opposed to a callback


@dataclasses.dataclass(frozen=True)
class Stop:
    """A request that a run end.

    Attributes:
        run_id: the run.
        by: who asked: `user`, or the name of a callback.
        epoch: the epoch after which it ended; None until it has.
    """

    run_id: str
    by: str = USER
    epoch: int | None = None


def folder(directory: Directory) -> Path:
    """Where the requests are."""
    return directory.path / "stops"


def write(directory: Directory, stop: Stop) -> None:
    """Write a request. Raises OSError if it cannot be written."""
    make_folder(folder(directory), directory.path)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    directory.write_sealed(_path(directory, stop.run_id), {**dataclasses.asdict(stop), "at": now})


def remove(directory: Directory, run_id: str) -> None:
    """Remove the request for a run, if there is one."""
    if not folder(directory).is_symlink():
        with contextlib.suppress(FileNotFoundError):
            _path(directory, run_id).unlink()


def names(directory: Directory) -> set[str]:
    """The run_ids that there are requests for."""
    if folder(directory).is_symlink():
        return set()
    with contextlib.suppress(OSError):
        entries = [name.removesuffix(".json") for name in os.listdir(folder(directory)) if name.endswith(".json")]
        return {name for name in entries if RUN_ID.fullmatch(name)}
    return set()


def read(directory: Directory, run_id: str) -> Stop | None:
    """The request for a run; None for a file that is missing, damaged, or not what it should be where it is."""
    content = directory.read_sealed(_path(directory, run_id))
    if content is None:
        return None
    if (why := _wrong(content, run_id)) is not None:
        directory.set_aside(_path(directory, run_id), why, lambda _: False, "the request is lost")
        return None
    return Stop(run_id, content["by"], content["epoch"])


def _wrong(content: dict[str, Any], run_id: str) -> str | None:
    epoch = content.get("epoch")
    if content.get("run_id") != run_id or not isinstance(content.get("by"), str):
        return "asks for another run to stop"
    if epoch is not None and (type(epoch) is not int or epoch < 1):
        return "names an epoch that there is not"
    return None


def _path(directory: Directory, run_id: str) -> Path:
    return folder(directory) / f"{run_id}.json"
