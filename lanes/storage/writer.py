"""A background thread that writes files in order, so that no device waits for a disk."""

import collections
import os
import re
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from lanes.program.call_frames import with_room

WAITING = 4  # jobs that wait: bounds the memory that waiting checkpoints hold


class _Job(NamedTuple):
    """A job, and what it replaces."""

    function: Callable[..., None]
    arguments: tuple[Any, ...]
    latest_of: object


class Writer:
    """Runs submitted jobs one after the other in its own thread.

    After a job fails, later jobs are dropped, and `submit` and `close` raise the failure as an OSError: a resumed sweep
    makes again what was not written.
    """

    def __init__(self) -> None:
        self._jobs: collections.deque[_Job] = collections.deque()
        self._changed = threading.Condition()
        self._failure: OSError | None = None
        self._closed = False
        self._thread = threading.Thread(target=with_room, args=(self._work,), name="lanes-writer", daemon=True)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether a job has failed or the writer is closed: nothing more will be written."""
        return self._closed or self._failure is not None

    def submit(self, job: Callable[..., None], *args: Any, latest_of: object = None) -> None:
        """Queue a job; waits while the queue is full.

        A waiting job with the same `latest_of` is dropped: of a pack's checkpoints only the last matters, so a slow disk
        falls behind by one, and a stop has one to write.
        """
        with self._changed:
            self._raise_what_prevents()
            if latest_of is not None:
                self._jobs = collections.deque(waiting for waiting in self._jobs if waiting.latest_of != latest_of)
            while len(self._jobs) >= WAITING:
                self._changed.wait()
                self._raise_what_prevents()
            self._jobs.append(_Job(job, args, latest_of))
            self._changed.notify_all()

    def _raise_what_prevents(self) -> None:
        if self._closed:
            raise OSError("the sweep has stopped")  # submitted by a thread that outlived the sweep
        if self._failure is not None:
            raise self._failure

    def close(self, timeout: float | None = None) -> bool:
        """Wait for all jobs, at most `timeout` seconds; return whether all have ended, or raise the first failure."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)
        if self._failure is not None:
            raise self._failure
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if self._failure is None:
                try:
                    job.function(*job.arguments)
                except BaseException as error:
                    self._failure = error if isinstance(error, OSError) else _as_os_error(error)

    def _next(self) -> _Job | None:
        """The next job; None once the writer is closed and has none left."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            found = self._jobs.popleft() if self._jobs else None
            self._changed.notify_all()
            return found


def _as_os_error(error: BaseException) -> OSError:
    """A library's error in one line; TensorStore gives the system's error number, for instance for a full disk."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number is not None:
        return OSError(int(number[1]), os.strerror(int(number[1])))
    line = (str(error).strip().splitlines() or [""])[0]
    found = OSError(f"{type(error).__name__}: {line[:200]}")
    found.__cause__ = error
    return found
