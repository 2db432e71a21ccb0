"""Which signals stop a sweep after the running chunk, and which end it at once."""

import signal
import subprocess
import sys
import threading

import pytest

from lanes.engine.signals import StopOnSignal, stopping_signals


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGXCPU"])
def test_a_batch_system_may_send_its_signal_twice(name):
    stop = threading.Event()
    before = signal.signal(getattr(signal, name), signal.SIG_DFL)  # under nohup SIGHUP is ignored, and stays so
    try:
        with StopOnSignal(stop):
            for _ in range(2):
                signal.raise_signal(getattr(signal, name))
    finally:
        signal.signal(getattr(signal, name), before)
    assert stop.is_set()


CHILD = """
import signal, threading
from lanes.engine.signals import StopOnSignal
with StopOnSignal(threading.Event()):
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    print("still here", flush=True)
    signal.raise_signal(signal.SIGINT)
"""


def test_only_a_second_interrupt_ends_the_process():
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False)
    assert (child.returncode, child.stdout) == (-signal.SIGINT, "still here\n"), child.stderr


def test_a_closed_terminal_is_ignored_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stopping_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
