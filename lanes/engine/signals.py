"""SIGINT and SIGTERM stop a sweep after the running chunk, which is saved."""

import signal
import threading
from typing import Any


class StopOnSignal:
    """Sets `stop` on SIGINT or SIGTERM, which ends the sweep after the running chunk; a second signal ends it at once."""

    def __init__(self, stop: threading.Event):
        self.stop = stop
        self._received = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self._received:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._received = True
        self.stop.set()
