"""Compiling ahead of time: a pack's training program while its lanes are made, the next one while it trains.

Programs that evaluate are compiled while the program that trains is compiled or runs.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from lanes.engine.final_evaluation import evaluation_key
from lanes.engine.fresh_lanes import start_key
from lanes.engine.resident_epochs import training_key
from lanes.engine.trainer import Trainer
from lanes.plan.packs import Pack

POLL_SECONDS = 0.05


class Ahead:
    """Compiles in the background, for every place: packs just started, then at most the next in the queue.

    Args:
        trainers: one per place; they only compile.
        begun: returns the packs that places have taken.
        waiting: returns the packs not yet taken, in order.
        poll_seconds: interval between looks at them.
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
        self._tried: set[tuple[Any, ...]] = set()  # keys of packs begun; a streamed pack has no such program
        self._made: tuple[tuple[Any, ...], int] | None = None  # the last program, and how many packs then waited for it

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
                with contextlib.suppress(Exception):  # training the pack meets the same error and reports it
                    trainer.compile(pack)

    def _next(self) -> Pack | None:
        """A pack whose program is not requested yet: one begun or, if the last program made ahead is in use, one waiting."""
        is_begun = self._trainers[0].context.compiled.is_begun
        for begun in self._begun():
            key = training_key(begun)
            if key not in self._tried and not is_begun(key):
                self._tried.add(key)
                return begun
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


class EvaluationAhead:
    """Compiles the programs that evaluate the packs begun, in the background and for every place.

    A pack's turn comes when its lanes are made: before that, tracing would hold up the tracing of its training program. The
    program of a resumed pack, whose lanes are read, is compiled when it is wanted.

    Args:
        trainers, begun, poll_seconds: as of `Ahead`.
    """

    def __init__(
        self, trainers: Sequence[Trainer], begun: Callable[[], Sequence[Pack]], poll_seconds: float = POLL_SECONDS
    ):
        self._trainers, self._begun, self._poll_seconds = trainers, begun, poll_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lanes-ahead-evaluation", daemon=True)

    def __enter__(self) -> "EvaluationAhead":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _work(self) -> None:
        is_begun = self._trainers[0].context.compiled.is_begun
        tried: set[tuple[Any, ...]] = set()
        while not self._ended.wait(self._poll_seconds):
            for pack in self._begun():
                key = evaluation_key(pack)
                if key in tried or not is_begun(start_key(pack)):
                    continue
                tried.add(key)
                for trainer in self._trainers:
                    if not self._ended.is_set():
                        with contextlib.suppress(Exception):  # evaluating the pack meets the same error and reports it
                            trainer.compile_evaluation(pack)
