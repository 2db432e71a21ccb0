"""Signs of life: each call that works in a directory keeps a small sealed file there, `workers/CALL.json`, until it ends.

The file says which process it is, where, what it is doing and when it said so. It is written often and read by `lanes status`,
so it is not flushed to the disk: after a power cut it says less, and nothing depends on it. A call that was killed leaves it.
A request that a call stop is a file beside it, `workers/CALL.stop`, for that call alone, so a later one is not stopped by it.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lanes.files import make_folder, temporary_beside
from lanes.storage import calls, sealed
from lanes.storage.directory import Directory

SILENT_SECONDS = 60.0  # without a sign of life from another host, or from a process that is there
ENDED_DAYS = 7.0  # after which the record of a silent call of another host is deleted
STOP = ".stop"
MOST_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Working:
    """A pack that a worker trains.

    Attributes:
        pack: its name.
        epoch: the epoch that it has reached.
        epochs: its last one, or that of the next rung.
        runs: how many runs are in it.
    """

    pack: str
    epoch: int
    epochs: int
    runs: int


@dataclasses.dataclass(frozen=True)
class Worker:
    """A call as its sign of life has it.

    Attributes:
        call: its name.
        host, process: where it runs.
        state: alive, silent, or killed.
        silent_seconds: time since its last sign of life.
        doing: what it said that it does: starting, compiling, training, or waiting.
        packs: those that it trains.
        shard: `I/N`, if it trains a part of the packs.
        runs_per_second: that it trains, without compiling; None before it knows.
        seconds_left: its own estimate for its packs; None before it knows.
    """

    call: str
    host: str
    process: int
    state: str
    silent_seconds: float
    doing: str
    packs: tuple[Working, ...] = ()
    shard: str | None = None
    runs_per_second: float | None = None
    seconds_left: float | None = None

    @property
    def is_gone(self) -> bool:
        """Whether its process is known to have ended."""
        return self.state == KILLED


ALIVE, SILENT, KILLED = "alive", "silent", "killed"


def folder(directory: Directory) -> Path:
    """Where the signs of life are."""
    return directory.path / "workers"


def write(directory: Directory, call: str, content: Mapping[str, Any]) -> None:
    """Write the sign of life of this process, with the time. Raises OSError if it cannot be written."""
    make_folder(folder(directory), directory.path)
    path = folder(directory) / f"{call}.json"
    own = {"host": platform.node(), "space": process_space(), "process": os.getpid(), "began": began(os.getpid())}
    stated = {**content, **own, "call": call, "at": _now().timestamp(), sealed.SWEEP: directory.sweep}
    stated = json.loads(json.dumps(stated, default=str))
    temporary = temporary_beside(path)
    try:
        temporary.write_text(json.dumps({**stated, sealed.SEAL: sealed.seal(stated, path.name)}))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def remove(directory: Directory, call: str) -> None:
    """Remove the sign of life of a call that ends, and the request that it stop."""
    for path in (folder(directory) / f"{call}.json", folder(directory) / f"{call}{STOP}"):
        _unlink(path)


def remove_gone(directory: Directory) -> None:
    """Remove the signs of life of calls whose process has ended, or that have been silent for `ENDED_DAYS`."""
    for worker in workers(directory):
        if worker.is_gone or worker.silent_seconds > ENDED_DAYS * 86400:
            remove(directory, worker.call)


def workers(directory: Directory) -> list[Worker]:
    """The calls that have not ended, earliest first; nothing is written, and no lock is touched."""
    found = []
    for name in _names(directory, ".json"):
        content = _read(directory, name)
        if content is not None:
            found.append(_worker(content))
    return found


def ask_to_stop(directory: Directory, call: str) -> None:
    """Ask a call to save and stop. Raises OSError if the request cannot be written."""
    make_folder(folder(directory), directory.path)
    sealed.write_sealed(
        folder(directory) / f"{call}{STOP}",
        {"call": call, "host": platform.node(), "process": os.getpid(), sealed.SWEEP: directory.sweep},
    )


def is_asked_to_stop(directory: Directory, call: str) -> bool:
    """Whether a call has been asked to save and stop."""
    path = folder(directory) / f"{call}{STOP}"
    if not os.path.lexists(path):
        return False
    with contextlib.suppress(OSError):
        content = sealed.read_sealed(path)
        return content is not None and (content.get("call"), content.get(sealed.SWEEP)) == (call, directory.sweep)
    return False


# ---- processes ---------------------------------------------------------------------------------------------------


def process_space() -> str:
    """What tells the process numbers of containers on one host apart, where the system says so."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def began(process: int) -> str:
    """When a process began, in clock ticks since the machine started, where the system says so; "" otherwise.

    A number that was given to another process since then is told apart by it.
    """
    with contextlib.suppress(OSError, IndexError):
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
        return text.rpartition(")")[2].split()[19]
    return ""


def _is_running(process: int, at: str) -> bool:
    """Whether a process of this host, which began at `at`, is still there; one that has ended but is not collected is not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # another user's
    with contextlib.suppress(OSError, IndexError):
        if Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX":
            return False
    return not at or not (now := began(process)) or now == at


# ---- reading -----------------------------------------------------------------------------------------------------


def _names(directory: Directory, ending: str) -> list[str]:
    """The calls that have a file with this ending, earliest first."""
    if folder(directory).is_symlink():
        return []
    with contextlib.suppress(OSError):
        entries = os.listdir(folder(directory))
        found = [entry.removesuffix(ending) for entry in entries if entry.endswith(ending)]
        return sorted(name for name in found if calls.NAME.fullmatch(name))
    return []


def _read(directory: Directory, call: str) -> dict[str, Any] | None:
    """What a call said last; None for a file that this program does not write, or that belongs elsewhere."""
    path = folder(directory) / f"{call}.json"
    with contextlib.suppress(OSError):
        if path.is_symlink() or path.stat().st_size > MOST_BYTES:
            return None
        content = sealed.read_sealed(path)
        if content is None or content.get(sealed.SWEEP) != directory.sweep or content.get("call") != call:
            return None
        return content if _is_plausible(content) else None
    return None


def _is_plausible(content: Mapping[str, Any]) -> bool:
    texts = ("host", "space", "began", "doing")
    numbers = ("runs_per_second", "seconds_left")
    packs = content.get("packs", [])
    return (
        all(isinstance(content.get(name), str) for name in texts)
        and type(content.get("process")) is int
        and 0 < content["process"] < 1 << 31
        and type(content.get("at")) in (int, float)
        and all(content.get(name) is None or type(content[name]) in (int, float) for name in numbers)
        and isinstance(content.get("shard"), str | None)
        and isinstance(packs, list)
        and all(_is_working(one) for one in packs)
    )


def _is_working(one: Any) -> bool:
    if not isinstance(one, dict) or one.keys() != {field.name for field in dataclasses.fields(Working)}:
        return False
    return isinstance(one["pack"], str) and all(type(one[name]) is int for name in ("epoch", "epochs", "runs"))


def _worker(content: Mapping[str, Any]) -> Worker:
    silent = max(0.0, _now().timestamp() - content["at"])
    is_here = (content["host"], content["space"]) == (platform.node(), process_space())
    state = SILENT if silent > SILENT_SECONDS else ALIVE
    if is_here and sys.platform != "win32" and not _is_running(content["process"], content["began"]):
        state = KILLED
    return Worker(
        call=content["call"],
        host=content["host"],
        process=content["process"],
        state=state,
        silent_seconds=silent,
        doing=content["doing"],
        packs=tuple(Working(**one) for one in content.get("packs", [])),
        shard=content.get("shard"),
        runs_per_second=content.get("runs_per_second"),
        seconds_left=content.get("seconds_left"),
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _unlink(path: Path) -> None:
    """Remove a file below a folder that is no link."""
    if not path.parent.is_symlink():
        with contextlib.suppress(OSError):
            path.unlink()
