"""One background thread that writes files in order, so that no device waits for a disk."""

import os
import queue
import re
import threading
from collections.abc import Callable
from typing import Any

WAITING = 4  # jobs that may wait: bounds the memory held by checkpoints in line


class Writer:
    """Runs the jobs that are submitted, one after the other, in a thread of its own.

    After a job has failed, later ones are dropped and `submit` and `close` raise the failure, as an OSError: what could
    not be written is made again when the sweep is resumed.
    """

    def __init__(self) -> None:
        self._jobs: queue.Queue[tuple[Callable[..., None], tuple[Any, ...]] | None] = queue.Queue(WAITING)
        self._failure: OSError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="lanes-writer", daemon=True)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether a job has failed, or the writer is closed: nothing more is written."""
        return self._closed or self._failure is not None

    def submit(self, job: Callable[..., None], *args: Any) -> None:
        """Put a job in line; waits while the line is full."""
        if self._closed:
            raise OSError("the sweep has stopped")  # a place that was not waited for
        if self._failure is not None:
            raise self._failure
        self._jobs.put((job, args))

    def close(self, timeout: float | None = None) -> None:
        """Wait for all jobs, at most so many seconds; raise the first failure."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join(timeout)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise OSError(f"writing has not ended after {timeout:.0f} s")

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, args = item
            if self._failure is None:
                try:
                    job(*args)
                except BaseException as error:
                    self._failure = error if isinstance(error, OSError) else _as_os_error(error)


def _as_os_error(error: BaseException) -> OSError:
    """What a library raised on a full disk, in one line; TensorStore names the system's error by its number."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number is not None:
        return OSError(int(number[1]), os.strerror(int(number[1])))
    line = (str(error).strip().splitlines() or [""])[0]
    found = OSError(f"{type(error).__name__}: {line[:200]}")
    found.__cause__ = error
    return found
