"""Compiling ahead of time: a pack's training program while its lanes are made, the next one while it trains.

What a sweep needs first is begun before (`lanes.engine.first_programs`). Programs that evaluate are compiled while the program
that trains is compiled or runs. A program that one pack needs is compiled for one place, others for all.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from lanes.engine.final_evaluation import evaluation_key
from lanes.engine.fresh_lanes import start_key
from lanes.engine.pack_programs import PackPrograms
from lanes.engine.resident_epochs import training_key
from lanes.plan.packs import Pack
from lanes.program.call_frames import with_room
from lanes.program.places import Place

POLL_SECONDS = 0.05


class _Background:
    """A thread that looks for something to compile every `poll_seconds`, until the block ends.

    Args:
        programs: one per place.
        begun: returns the pack that each place has taken.
        waiting: returns the packs not yet taken, in order.
        poll_seconds: interval between looks at them.
    """

    name: ClassVar[str]  # the thread's

    def __init__(
        self,
        programs: Sequence[PackPrograms],
        begun: Callable[[], Mapping[Place, Pack]],
        waiting: Callable[[], Sequence[Pack]],
        poll_seconds: float = POLL_SECONDS,
    ):
        self._programs, self._poll_seconds = programs, poll_seconds
        self._begun, self._waiting = begun, waiting
        self._compiled = programs[0].context.compiled
        self._ended = threading.Event()
        self._thread = threading.Thread(target=with_room, args=(self._work,), name=self.name, daemon=True)
        self._tried: set[tuple[Any, ...]] = set()  # keys of packs begun; a streamed pack has no such program

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _work(self) -> None:
        while not self._ended.wait(self._poll_seconds):
            self._look()

    def _look(self) -> None:
        """Compile what there is to compile."""
        raise NotImplementedError

    def _compile(self, pack: Pack, compile_at: Callable[[PackPrograms], None]) -> None:
        begun = self._begun()
        others = sum(training_key(other) == training_key(pack) for other in (*begun.values(), *self._waiting())) > 1
        taken = [programs for programs in self._programs if begun.get(programs.place) is pack]
        for programs in self._programs if others else taken or self._programs[:1]:
            if not self._ended.is_set():
                with contextlib.suppress(Exception):  # the pack's own turn meets the same error and reports it
                    compile_at(programs)

    def _is_begun(self, key: tuple[Any, ...]) -> bool:
        return self._compiled.is_begun(key)


class Ahead(_Background):
    """Compiles in the background: programs of packs just begun, then at most the next in the queue."""

    name = "lanes-ahead"
    _made: tuple[tuple[Any, ...], int] | None = None  # the last program, and how many packs then waited for it

    def _look(self) -> None:
        if (pack := self._next()) is not None:
            self._compile(pack, lambda programs: programs.train(pack))

    def _next(self) -> Pack | None:
        """A pack whose program is not requested yet: one begun or, if the last program made ahead is in use, one waiting."""
        for begun in self._begun().values():
            key = training_key(begun)
            if key not in self._tried and not self._is_begun(key):
                self._tried.add(key)
                return begun
        waiting = list(self._waiting())
        if self._made is not None:
            key, count = self._made
            if count and sum(training_key(pack) == key for pack in waiting) == count:
                return None
        pack = next((pack for pack in waiting if not self._is_begun(training_key(pack))), None)
        if pack is not None:
            key = training_key(pack)
            self._made = key, sum(training_key(other) == key for other in waiting)
        return pack


class EvaluationAhead(_Background):
    """Compiles the programs that evaluate the packs begun, in the background.

    A pack's turn comes when its lanes are made: before that, tracing would hold up the tracing of its training program. The
    program of a resumed pack, whose lanes are read, is compiled when it is wanted.
    """

    name = "lanes-ahead-evaluation"

    def _look(self) -> None:
        for pack in self._begun().values():
            key = evaluation_key(pack)
            if key not in self._tried and self._is_begun(start_key(pack)):
                self._tried.add(key)
                self._compile(pack, lambda programs, pack=pack: programs.evaluate(pack))  # type: ignore[misc]
