"""Compiling training programs before they are asked for: the present one while its lanes are made, the next while it trains."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from lanes.engine.resident_epochs import training_key
from lanes.engine.trainer import Trainer
from lanes.plan.packs import Pack

POLL_SECONDS = 0.05


class Ahead:
    """A thread that compiles, for every place, the programs of the packs that are being begun; then the one that will be
    wanted next: one ahead, not more.

    Args:
        trainers: one for each place; they only compile.
        begun: the packs that a place has taken.
        waiting: the packs that nobody has taken yet, in their order.
        poll_seconds: between looks at them.
    """

    def __init__(
        self,
        trainers: Sequence[Trainer],
        begun: Callable[[], Sequence[Pack]],
        waiting: Callable[[], Sequence[Pack]],
        poll_seconds: float = POLL_SECONDS,
    ):
        self._trainers, self._begun, self._waiting, self._poll_seconds = trainers, begun, waiting, poll_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lanes-ahead", daemon=True)
        self._tried: set[tuple[Any, ...]] = set()  # of packs begun; a streamed one has no such program
        self._made: tuple[tuple[Any, ...], int] | None = None  # the last program, and how many packs waited for it then

    def __enter__(self) -> "Ahead":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _work(self) -> None:
        while not self._ended.wait(self._poll_seconds):
            if (pack := self._next()) is not None:
                self._compile(pack)

    def _compile(self, pack: Pack) -> None:
        for trainer in self._trainers:
            if not self._ended.is_set():
                with contextlib.suppress(Exception):  # whoever trains the pack meets the error, and tells it
                    trainer.compile(pack)

    def _next(self) -> Pack | None:
        """A pack whose program nobody has asked for: of those begun, or, if the one made before is in use, of those waiting."""
        is_begun = self._trainers[0].context.compiled.is_begun
        for wanted in self._begun():
            key = training_key(wanted)
            if key not in self._tried and not is_begun(key):
                self._tried.add(key)
                return wanted
        waiting = list(self._waiting())
        if self._made is not None:
            key, count = self._made
            if count and sum(training_key(pack) == key for pack in waiting) == count:
                return None
        pack = next((pack for pack in waiting if not is_begun(training_key(pack))), None)
        if pack is not None:
            key = training_key(pack)
            self._made = key, sum(training_key(other) == key for other in waiting)
        return pack
