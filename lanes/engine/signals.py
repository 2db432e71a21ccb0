"""SIGINT and SIGTERM ask a sweep to stop; what is under way is saved."""

import signal
import threading
from typing import Any


class StopOnSignal:
    """SIGINT and SIGTERM ask the sweep to stop after the running chunk; a second one ends the process at once."""

    def __init__(self, stop: threading.Event):
        self.stop = stop
        self._asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self._asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._asked = True
        self.stop.set()
