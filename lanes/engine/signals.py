"""Signals that stop a sweep after the running chunk, which is saved."""

import contextlib
import os
import signal
import threading
from typing import Any

# SIGUSR1, SIGUSR2 and SIGXCPU are warnings of batch systems before a limit; SIGHUP is a closed terminal.
STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")


def stopping_signals() -> list[signal.Signals]:
    """The signals of this system that stop a command, except SIGHUP where it is ignored (`nohup`)."""
    found = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    return [number for number in found if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN]


class StopOnSignal:
    """Sets `stop` on a signal, which ends the sweep after the running chunk.

    Only a second SIGINT ends it at once: batch systems send SIGTERM more than once.
    """

    def __init__(self, stop: threading.Event):
        self.stop = stop
        self._interrupted = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in stopping_signals():
            self._previous[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: Any) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                _show_cursor()
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            self._interrupted = True
        self.stop.set()


def _show_cursor() -> None:
    """Show the terminal's cursor, which a live progress bar hides."""
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\x1b[?25h\n")
