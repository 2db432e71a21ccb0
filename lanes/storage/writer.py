"""A background thread that writes files in order, so that no device waits for a disk."""

import os
import queue
import re
import threading
from collections.abc import Callable
from typing import Any

WAITING = 4  # jobs in the queue: bounds the memory that waiting checkpoints hold


class Writer:
    """Runs submitted jobs one after the other in its own thread.

    After a job fails, later jobs are dropped, and `submit` and `close` raise the failure as an OSError: a resumed sweep
    makes again what was not written.
    """

    def __init__(self) -> None:
        self._jobs: queue.Queue[tuple[Callable[..., None], tuple[Any, ...]] | None] = queue.Queue(WAITING)
        self._failure: OSError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="lanes-writer", daemon=True)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether a job has failed or the writer is closed: nothing more will be written."""
        return self._closed or self._failure is not None

    def submit(self, job: Callable[..., None], *args: Any) -> None:
        """Queue a job; waits while the queue is full."""
        if self._closed:
            raise OSError("the sweep has stopped")  # submitted by a thread that outlived the sweep
        if self._failure is not None:
            raise self._failure
        self._jobs.put((job, args))

    def close(self, timeout: float | None = None) -> None:
        """Wait for all jobs, at most `timeout` seconds; raise the first failure, or OSError on timeout."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join(timeout)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise OSError(f"writing has not finished after {timeout:.0f} s")

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, args = item
            if self._failure is None:
                try:
                    job(*args)
                except BaseException as error:
                    self._failure = error if isinstance(error, OSError) else _as_os_error(error)


def _as_os_error(error: BaseException) -> OSError:
    """A library's error in one line; TensorStore gives the system's error number, for instance for a full disk."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number is not None:
        return OSError(int(number[1]), os.strerror(int(number[1])))
    line = (str(error).strip().splitlines() or [""])[0]
    found = OSError(f"{type(error).__name__}: {line[:200]}")
    found.__cause__ = error
    return found
