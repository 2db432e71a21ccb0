"""The compiled programs of a sweep: each traced once, compiled once for each place, and counted."""

import threading
import time
from collections.abc import Callable
from typing import Any

from lanes.program import memory
from lanes.program.places import Place


class Compiled:
    """Compiled programs by key: each is traced once, compiled once for each place, whoever asks first, and counted.

    Args:
        sharers: places whose programs run at the same time; host devices share the machine's memory.

    Attributes:
        keys: of the programs, in the order in which they were compiled.
        seconds: spent on tracing and compiling, by key.
    """

    def __init__(self, sharers: int = 1) -> None:
        self.sharers = sharers
        self.keys: list[tuple[Any, ...]] = []
        self.seconds: dict[tuple[Any, ...], float] = {}
        self._programs: dict[Any, Callable] = {}
        self._jitted: dict[Any, Callable] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(
        self, key: tuple[Any, ...], place: Place, function: Callable, split: int, args: tuple[Any, ...], **options: Any
    ) -> Callable:
        """The program of `key` for a place; see `Place.jitted` for `split`, and XLA for the compiler's `options`.

        Arguments must lie on the place's devices: they decide where it runs. One place compiles a program at a time:
        the next finds it traced, and its compilation in the persistent cache.

        Raises NotEnoughMemoryError for a program that does not fit on the place's devices.
        """
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if (key, place) not in self._programs:
                began = time.perf_counter()
                jitted = self._jitted.setdefault((key, place.mapping), place.jitted(function, split, len(args)))
                # pmap compiles at its first call.
                ready = jitted.lower(*args).compile(options or None) if hasattr(jitted, "lower") else jitted
                memory.check(ready, place.devices[0], self.sharers)
                self._programs[key, place] = ready
                self.seconds[key] = self.seconds.get(key, 0.0) + time.perf_counter() - began
                if key not in self.keys:
                    self.keys.append(key)
            return self._programs[key, place]

    def is_begun(self, key: tuple[Any, ...]) -> bool:
        """Whether anybody has asked for a program."""
        with self._guard:
            return key in self._locks
