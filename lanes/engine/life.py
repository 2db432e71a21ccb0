"""The thread that keeps a call's sign of life, and looks for requests that it, or one of its runs, stop."""

import contextlib
import dataclasses
import threading
import time
from typing import Any, Self

from lanes.engine.progress import Progress, Standing
from lanes.engine.stopping_runs import StoppingRuns
from lanes.storage import life
from lanes.storage.directory import Directory

POLL_SECONDS = 1.0  # interval between looks for requests
CHANGED_SECONDS = 5.0  # least time between signs of life
BEAT_SECONDS = 15.0  # most time between them


class Life:
    """Keeps the sign of life of a call while the block lasts.

    Args:
        directory: that the call works in.
        call: its name.
        shard: (I, N), if it trains a part of the packs.

    Attributes:
        doing: what it says that it does while it follows no session.
        asked: set once the call is asked to save and stop.
        stops: the runs that are asked to end.
    """

    def __init__(self, directory: Directory, call: str, shard: tuple[int, int] | None = None):
        self.directory, self.call, self.shard = directory, call, shard
        self.asked, self.stops = threading.Event(), StoppingRuns(directory)
        self.doing = "starting"
        self._progress: Progress | None = None
        self._ended = threading.Event()
        self._said: dict[str, Any] = {}
        self._said_at = 0.0
        self._thread = threading.Thread(target=self._work, name="lanes-life", daemon=True)

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            life.remove_gone(self.directory)
        self.stops.refresh()
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=1.0)  # a disk that hangs
        life.remove(self.directory, self.call)

    def follow(self, progress: Progress | None) -> None:
        """Say how far a session is; None when there is none."""
        self._progress = progress

    def standing(self) -> Standing | None:
        """How far the session is; None when there is none."""
        progress = self._progress
        return None if progress is None else progress.standing()

    def _work(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            if not self.asked.is_set() and life.is_asked_to_stop(self.directory, self.call):
                self.asked.set()
            self.stops.refresh()
            self._look()

    def _look(self) -> None:
        """Say what there is to say, if it is new or the last time was long ago; a full disk changes nothing."""
        age = time.monotonic() - self._said_at
        if age < CHANGED_SECONDS and self._said:
            return
        content = self._content()
        if content != self._said or age > BEAT_SECONDS:
            with contextlib.suppress(OSError):
                life.write(self.directory, self.call, content)
            self._said, self._said_at = content, time.monotonic()

    def _content(self) -> dict[str, Any]:
        shard = None if self.shard is None else f"{self.shard[0]}/{self.shard[1]}"
        content: dict[str, Any] = {
            "doing": "stopping" if self.asked.is_set() else self.doing,
            "packs": [],
            "shard": shard,
        }
        if self._progress is None:
            return content
        at = self._progress.standing()
        packs = [life.Working(pack.pack_id, epoch, last, len(pack.members)) for pack, epoch, last in at.under_way]
        doing = "waiting" if not packs else "training" if any(one.epoch for one in packs) else "compiling"
        return content | {
            "doing": "stopping" if self.asked.is_set() else doing,
            "packs": [dataclasses.asdict(one) for one in packs],
            "runs_per_second": at.runs_per_second,
            "seconds_left": at.seconds_left,
        }
