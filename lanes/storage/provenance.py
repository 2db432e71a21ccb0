"""Provenance of a directory's numbers: command, versions, revision, devices."""

import dataclasses
import datetime
import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lanes.program.places import Place
from lanes.storage import conditions
from lanes.storage.asked import Asking

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")

FACTS = (
    "command",
    "begun",
    "versions",
    "git_revision",
    "git_dirty",
    "devices",
    "mapping",
    "machine",
    "xla_flags",
    "conditions",
)

REVISION = "# branch.oid "  # before the revision in git's status


def short(signature: str) -> str:
    """A static signature as 12 hexadecimal digits."""
    return hashlib.sha256(signature.encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Call:
    """What one call of a sweep was.

    Attributes:
        places: where packs are trained.
        command: the command line; empty from Python.
        experiment: the file that the runs come from.
        asking: what the file asks for with these and other settings; None where it is not asked as a whole.
        conditions: what the numbers depend on besides the runs, where other processes train; None for this process's.
    """

    places: Sequence[Place]
    command: Sequence[str] = ()
    experiment: Path | None = None
    asking: Asking | None = None
    conditions: Mapping[str, str] | None = None


def facts(call: Call) -> dict[str, Any]:
    """Command, time, versions, git revision and whether the tree was clean, devices, mapping, flags and settings."""
    revision, dirty = _git()
    return {
        "command": list(call.command),
        "begun": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "git_revision": revision,
        "git_dirty": dirty,
        "devices": [
            f"{device.platform}:{device.id} {device.device_kind}" for place in call.places for device in place.devices
        ],
        "mapping": call.places[0].mapping,
        "machine": f"{platform.node()} {platform.machine()} {os.cpu_count()} cores",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "conditions": conditions.conditions(call.places) if call.conditions is None else dict(call.conditions),
    }


@functools.cache
def _git() -> tuple[str | None, bool | None]:
    """Revision, and whether tracked files differ from it; None outside a checkout."""
    status = ["git", "-C", str(Path(__file__).parent), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        text = subprocess.run(status, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None, None
    lines = text.splitlines()
    revision = next((line.removeprefix(REVISION) for line in lines if line.startswith(REVISION)), "(initial)")
    return (None, None) if revision == "(initial)" else (revision, any(not line.startswith("#") for line in lines))
