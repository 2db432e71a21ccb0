"""Compiling the next training program while the present one trains."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from lanes.planning import Pack
from lanes.training import Trainer, training_key

POLL_SECONDS = 0.2


class Ahead:
    """A thread that compiles, for every place, the program that will be wanted next: one ahead, not more.

    Args:
        trainers: one for each place; they only compile.
        waiting: the packs that nobody has taken yet, in their order.
    """

    def __init__(self, trainers: Sequence[Trainer], waiting: Callable[[], Sequence[Pack]]):
        self._trainers, self._waiting = trainers, waiting
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lanes-ahead", daemon=True)
        self._made: tuple[tuple[Any, ...], int] | None = None  # the last program, and how many packs waited for it then

    def __enter__(self) -> "Ahead":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _work(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            if (pack := self._next()) is not None:
                self._compile(pack)

    def _compile(self, pack: Pack) -> None:
        for trainer in self._trainers:
            if not self._ended.is_set():
                with contextlib.suppress(Exception):  # whoever trains the pack meets the error, and tells it
                    trainer.compile(pack)

    def _next(self) -> Pack | None:
        """A pack whose program nobody has asked for, if the one before is in use."""
        waiting = list(self._waiting())
        if self._made is not None:
            key, count = self._made
            if count and sum(training_key(pack) == key for pack in waiting) == count:
                return None
        compiled = self._trainers[0].compiled
        pack = next((pack for pack in waiting if not compiled.is_begun(training_key(pack))), None)
        if pack is not None:
            key = training_key(pack)
            self._made = key, sum(training_key(other) == key for other in waiting)
        return pack
