"""One background thread that writes files in order, so that no device waits for a disk."""

import queue
import threading
from collections.abc import Callable
from typing import Any

WAITING = 4  # jobs that may wait: bounds the memory held by checkpoints in line


class Writer:
    """Runs the jobs that are submitted, one after the other, in a thread of its own.

    After a job has failed, later ones are dropped and `submit` and `close` raise the failure: what could not be written
    is made again when the sweep is resumed.
    """

    def __init__(self) -> None:
        self._jobs: queue.Queue[tuple[Callable[..., None], tuple[Any, ...]] | None] = queue.Queue(WAITING)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="lanes-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[..., None], *args: Any) -> None:
        """Put a job in line; waits while the line is full."""
        if self._failure is not None:
            raise self._failure
        self._jobs.put((job, args))

    def close(self) -> None:
        """Wait for all jobs; raise the first failure."""
        self._jobs.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, args = item
            if self._failure is None:
                try:
                    job(*args)
                except BaseException as error:
                    self._failure = error
