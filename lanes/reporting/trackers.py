"""Trackers: callbacks that pass the curves of a sweep on, to JSON lines, TensorBoard or Weights & Biases.

A tracker looks at what it has written before it writes: after a kill or a stop, repeating the sweep's command with it adds the
points that are missing, and none twice. It writes a pack at most every `seconds`, and once more when the pack ends.
"""

import json
import math
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lanes.describe import runs
from lanes.describe.runs import Run
from lanes.engine.callbacks import Reached
from lanes.errors import RequestError, unknown
from lanes.files import make_folder, oddity

SECONDS = 5.0
MOST_RECORD = 1 << 24  # bytes of an event: a longer one is torn


class _Tracker:
    """What trackers share: when to write, and which points are new.

    Args:
        folder: where to write; None is a folder of the tracker's name in the sweep's directory.
        seconds: the least time between two writes of a pack.
    """

    NAME = ""

    def __init__(self, folder: str | os.PathLike[str] | None = None, seconds: float = SECONDS):
        self.folder = None if folder is None else Path(folder)
        self.seconds = seconds
        self._due: dict[str, float] = {}
        self._written: dict[str, int] = {}  # the last epoch by run_id

    def __call__(self, reached: Reached) -> None:
        """Write the points that are new, if it is time."""
        now = time.monotonic()
        if reached.running and now < self._due.get(reached.pack, 0.0):
            return
        self._due[reached.pack] = now + self.seconds
        self._write(reached, self._folder(reached))

    def _folder(self, reached: Reached) -> Path:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            return self.folder
        make_folder(reached.directory / self.NAME, reached.directory)
        return reached.directory / self.NAME

    def _write(self, reached: Reached, folder: Path) -> None:
        raise NotImplementedError

    def _new(self, reached: Reached) -> Iterator[tuple[str, list[tuple[int, dict[str, float]]]]]:
        """Each run that has new points, with (epoch, values by metric) of each; notes them as written."""
        names = list(reached.history)
        for at, run_id in enumerate(reached.runs):
            last, upto = self._written.get(run_id, 0), int(reached.epochs[at])
            if upto > last:
                table = np.stack([reached.history[name][at, last:upto] for name in names], axis=1).tolist()
                yield run_id, [(last + 1 + i, dict(zip(names, row, strict=True))) for i, row in enumerate(table)]
                self._written[run_id] = upto


class JSONLines(_Tracker):
    """Writes `jsonl/PACK.jsonl`: a line for each run and epoch, `{"run_id": …, "epoch": 1, "valid_loss": 0.7, …}`.

    Metrics of an epoch without an evaluation, and values that are not finite, are null.

    Args:
        folder: where to write; None is `jsonl` in the sweep's directory.
        seconds: the least time between two writes of a pack.
    """

    NAME = "jsonl"

    def __init__(self, folder: str | os.PathLike[str] | None = None, seconds: float = SECONDS):
        super().__init__(folder, seconds)
        self._read: set[str] = set()

    def _write(self, reached: Reached, folder: Path) -> None:
        path = folder / f"{reached.pack}.jsonl"
        if reached.pack not in self._read:
            self._read.add(reached.pack)
            self._written |= _lines_written(path)
        with open(path, "a", encoding="utf-8") as file:
            for run_id, points in self._new(reached):
                for epoch, values in points:
                    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
                    file.write(json.dumps({"run_id": run_id, "epoch": epoch, **finite}) + "\n")


def _lines_written(path: Path) -> dict[str, int]:
    """The last epoch of each run in a file of JSON lines, whose last line is cut off if a kill has torn it."""
    _check_regular(path)
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    found: dict[str, int] = {}
    for line in whole.splitlines():
        point = json.loads(line)
        found[point["run_id"]] = max(found.get(point["run_id"], 0), point["epoch"])
    return found


class TensorBoard(_Tracker):
    """Writes `tensorboard/RUN_ID/events.out.tfevents.lanes`: a scalar for each metric, its step the epoch.

    Values that are not finite are left out. Needs the package tensorboardX (the extra `tensorboard`);
    `tensorboard --logdir DIR/tensorboard` shows the files.

    Args:
        folder: where to write; None is `tensorboard` in the sweep's directory.
        seconds: the least time between two writes of a pack.

    Raises RequestError without the package.
    """

    NAME = "tensorboard"
    FILE = "events.out.tfevents.lanes"

    def __init__(self, folder: str | os.PathLike[str] | None = None, seconds: float = SECONDS):
        super().__init__(folder, seconds)
        try:
            from tensorboardX.proto.event_pb2 import Event
            from tensorboardX.record_writer import masked_crc32c
        except ImportError:
            raise _missing("tensorboardX", "tensorboard") from None
        self._event: Callable[..., Any] = Event
        self._crc: Callable[[bytes], int] = masked_crc32c
        self._read: set[str] = set()
        self._made: set[str] = set()  # folders

    def _write(self, reached: Reached, folder: Path) -> None:
        for run_id in reached.runs:
            if run_id not in self._read:
                self._read.add(run_id)
                self._written[run_id] = self._steps_written(folder / run_id / self.FILE)
        now = time.time()
        for run_id, points in self._new(reached):
            path = folder / run_id / self.FILE
            if run_id not in self._made:
                self._made.add(run_id)
                path.parent.mkdir(exist_ok=True)
            with open(path, "ab") as file:
                if file.tell() == 0:
                    file.write(self._record(self._event(wall_time=now, file_version="brain.Event:2")))
                for epoch, values in points:
                    event = self._event(wall_time=now, step=epoch)
                    add = event.summary.value.add
                    for name, value in values.items():
                        if math.isfinite(value):
                            add(tag=name, simple_value=value)
                    file.write(self._record(event))

    def _record(self, event: Any) -> bytes:
        """An event as TensorBoard reads it: its length, the event, and a checksum of each."""
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        return b"".join((length, struct.pack("<I", self._crc(length)), content, struct.pack("<I", self._crc(content))))

    def _steps_written(self, path: Path) -> int:
        """The last step in a file of events, whose last event is cut off if a kill has torn it."""
        _check_regular(path)
        if not path.exists():
            return 0
        content, at, last = path.read_bytes(), 0, 0
        while at + 12 <= len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            if length > MOST_RECORD or at + 16 + length > len(content):
                break
            last = max(last, self._event.FromString(content[at + 12 : at + 12 + length]).step)  # type: ignore[attr-defined]
            at += 16 + length
        if at < len(content):
            os.truncate(path, at)
        return last


class WandB(_Tracker):
    """Logs each run to Weights & Biases when it ends: its fields as the configuration, a step for each epoch.

    By default offline, into `wandb/` of the sweep's directory; `wandb sync` uploads what is there. A run is logged once, under
    its run_id; if a kill comes while it is logged, it is logged again, with the same steps. Needs the package wandb (the
    extra `wandb`).

    Args:
        project: the project's name.
        mode: `offline` or `online`.
        folder: where to write; None is the sweep's directory.
        group: the group's name; None is that of the sweep's directory.

    Raises RequestError without the package, and for another mode.
    """

    NAME = "wandb"

    def __init__(
        self,
        project: str = "lanes",
        mode: str = "offline",
        folder: str | os.PathLike[str] | None = None,
        group: str | None = None,
    ):
        super().__init__(folder, 0.0)
        if mode not in ("offline", "online"):
            raise RequestError(f"mode of WandB is {mode!r}: it must be offline or online")
        try:
            import wandb
        except ImportError:
            raise _missing("wandb", "wandb") from None
        self._wandb, self.project, self.mode, self.group = wandb, project, mode, group

    def __call__(self, reached: Reached) -> None:
        """Log the runs that have ended, and have not been logged yet."""
        folder = self._folder(reached)
        for at, (run_id, run) in enumerate(reached.runs.items()):
            note = folder / f"logged-{run_id}"
            if run_id in reached.running or run_id in self._written or os.path.lexists(note):
                continue
            self._log(reached, at, run_id, run, folder)
            note.touch()
            self._written[run_id] = int(reached.epochs[at])

    def _log(self, reached: Reached, at: int, run_id: str, run: Run, folder: Path) -> None:
        logged = self._wandb.init(
            project=self.project,
            group=self.group or reached.directory.name,
            id=run_id,
            name=run_id,
            config=_fields(run),
            dir=str(folder),
            mode=self.mode,
            reinit="create_new",
            settings=self._wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        for epoch in range(int(reached.epochs[at])):
            values = {name: float(history[at, epoch]) for name, history in reached.history.items()}
            logged.log({name: value for name, value in values.items() if math.isfinite(value)}, step=epoch + 1)
        logged.summary["status"] = reached.status[run_id]
        logged.finish()


TRACKERS: dict[str, Callable[[], _Tracker]] = {"jsonl": JSONLines, "tensorboard": TensorBoard, "wandb": WandB}


def trackers(names: Sequence[str]) -> list[_Tracker]:
    """The trackers of these names. Raises RequestError for an unknown name, and for one whose package is missing."""
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
    return [TRACKERS[name]() for name in dict.fromkeys(names)]


def _fields(run: Run) -> dict[str, Any]:
    """The fields of a run as tables show them."""
    columns: dict[str, Any] = {}
    for name in runs.FIELDS:
        columns |= runs.columns_of(name, getattr(run, name))
    return {name: value for name, value in columns.items() if value is not None}


def _missing(package: str, extra: str) -> RequestError:
    return RequestError(f"the package {package} is missing: pip install {package}, or this repository's extra {extra}")


def _check_regular(path: Path) -> None:
    """Raise OSError where a link or anything but a file stands: nothing is written through links."""
    if path.is_symlink() or path.parent.is_symlink() or (odd := oddity(path)) is not None:
        raise OSError(f"{path} {'is a link' if path.is_symlink() or path.parent.is_symlink() else odd}")
