"""The calls of a directory: each command, worker, shard or resume leaves a sealed file of its own, `calls/CALL.json`.

A call is named by its time, a random part, and a hash of what its numbers depend on (`lanes.storage.conditions`):
`20260131-235959123456-0123abcd-89abcdef`. So calls of equal conditions are told apart from others by their names alone.
"""

import datetime
import itertools
import os
import platform
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lanes.storage import conditions
from lanes.storage.directory import Directory
from lanes.storage.provenance import FACTS, Call, facts

NAME = re.compile(r"\d{8}-\d{12}-[0-9a-f]{8}-(?P<conditions>[0-9a-f]{8})")
CONDITIONS = "conditions"  # key of what the numbers of a call depend on


def begin(directory: Directory, call: Call, **further: Any) -> str:
    """Record a call, and say in a line if its numbers may differ from those of the directory's first call.

    Args:
        directory: that it writes into.
        call: what it is.
        further: facts beside those of `provenance.facts`.

    Returns:
        Its name.

    Raises OSError if the file cannot be written.
    """
    found = facts(call)
    now = datetime.datetime.now(datetime.UTC)
    name = f"{now:%Y%m%d-%H%M%S%f}-{secrets.token_hex(4)}-{conditions.digest(found[CONDITIONS])}"
    about = {"call": name, "host": platform.node(), "process": os.getpid(), **further}
    directory.write_call(name, {**about, **found})
    differ = conditions.differences(first(directory).get(CONDITIONS, found[CONDITIONS]), found[CONDITIONS])
    if differ:
        directory.warn(
            f"note: numbers may differ from those of {directory.path}'s first call: {conditions.text(differ)}"
        )
    return name


def end(directory: Directory, name: str, **further: Any) -> None:
    """Add to a call's file when it ended and how; a killed call lacks this.

    Raises OSError if the file cannot be written.
    """
    found = directory.read_call(name)
    if found is not None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        directory.write_call(name, {**found, "ended": now, **further})


def names(directory: Directory) -> list[str]:
    """The names of a directory's calls, earliest first."""
    try:
        found = [Path(entry).stem for entry in os.listdir(directory.calls) if entry.endswith(".json")]
    except OSError:
        return []
    return sorted(name for name in found if NAME.fullmatch(name))


def read_all(directory: Directory, most: int | None = None) -> list[dict[str, Any]]:
    """What the intact files of calls hold, earliest first: of the first `most`, or of all."""
    return list(_intact(directory, names(directory)[:most]))


def first(directory: Directory) -> dict[str, Any]:
    """The facts of a directory's first call, from sweep.json, or else from the first intact file of a call; {} without."""
    recorded = directory.read_sweep() if directory.path.is_dir() else {}
    for content in itertools.chain([recorded], _intact(directory, names(directory))):
        if isinstance(content.get(CONDITIONS), dict):
            return {name: content[name] for name in FACTS if name in content}
    return {}


def differing(directory: Directory) -> dict[str, str]:
    """How the conditions of later calls differ from the first one's, in a line each, by call; empty if none does."""
    expected = first(directory).get(CONDITIONS)
    if expected is None:
        return {}
    same = conditions.digest(expected)
    others: dict[str, list[str]] = {}
    for name in names(directory):
        if (key := name[-len(same) :]) != same:
            others.setdefault(key, []).append(name)
    out: dict[str, str] = {}
    for alike in others.values():
        found = next(_intact(directory, alike), {}).get(CONDITIONS)
        if isinstance(found, dict) and (differ := conditions.differences(expected, found)):
            out |= dict.fromkeys(alike, conditions.text(differ))
    return dict(sorted(out.items()))


def _intact(directory: Directory, wanted: Iterable[str]) -> Iterator[dict[str, Any]]:
    for name in wanted:
        if (found := directory.read_call(name)) is not None:
            yield found
