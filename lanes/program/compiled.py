"""Compiled programs: each is traced once and compiled once per place; a sweep counts those it uses."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from lanes.program import memory, stored_programs, xla_flags
from lanes.program.places import Place


class Programs:
    """A cache of compiled programs; sweeps that share it compile the programs they have in common once.

    A program is identified by its key, the shapes and types of its arguments, and its compiler options, so sweeps that
    share a cache must train on the same data sets.

    Args:
        compiler_options: XLA options for every program at a place with mapping "local"; other mappings take none.
    """

    def __init__(self, **compiler_options: Any) -> None:
        self.compiler_options = compiler_options
        self._programs: dict[Any, Callable] = {}
        self._jitted: dict[Any, Callable] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(
        self,
        key: tuple[Any, ...],
        place: Place,
        function: Callable,
        split: int,
        args: tuple[Any, ...],
        stored: bool = False,
        traced: Callable[[], None] | None = None,
        **options: Any,
    ) -> Callable:
        """The program of `key` for a place; `split` is as in `Place.jitted`, `options` are XLA compiler options.

        `traced` is called once the program has been traced, before XLA compiles it, or found on disk, before it is loaded.

        A program that is `stored` is the same in every process that asks for this key and function: it is loaded if an
        earlier one left it on disk (`lanes.program.stored_programs`).

        Options that the place's compiler does not know are left out. Arguments must be on the place's devices: they decide
        where it runs. Places compile the same program one at a time: the next finds it already traced, and its compilation
        in the persistent cache. What is on disk they load at the same time.
        """
        if place.mapping == "local":
            options = self.compiler_options | options
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(args))
        full = (key, shapes, tuple(sorted(options.items())))
        path = None
        if (full, place) not in self._programs and stored and place.mapping == "local":
            path = stored_programs.file_of(key, place.devices[0], function, args, sorted(options.items()))
        is_found = path is not None and path.exists()
        with self._guard:
            lock = self._locks.setdefault((full, place if is_found else None), threading.Lock())
        with lock:
            if (full, place) not in self._programs:
                jitted = self._jitted.setdefault((full, place.mapping), place.jitted(function, split, len(args)))
                compile_ = functools.partial(_compiled, jitted, place, args, options, traced)
                if traced and is_found:
                    traced()
                ready = compile_() if path is None else stored_programs.stored(path, place.devices[0], compile_)
                self._programs[full, place] = ready
            return self._programs[full, place]

    def clear(self) -> None:
        """Forget every program."""
        self.forget(lambda _: True)

    def forget(self, is_spent: Callable[[tuple[Any, ...]], bool]) -> None:
        """Forget the programs whose key is spent."""
        with self._guard:
            for cache in (self._programs, self._jitted, self._locks):
                for found in [found for found in cache if is_spent(found[0][0])]:
                    del cache[found]


def _compiled(
    jitted: Callable, place: Place, args: tuple[Any, ...], options: dict[str, Any], traced: Callable[[], None] | None
) -> Callable:
    """A program, ready to be called, compiled with those of the options that the place's compiler knows."""
    if not hasattr(jitted, "lower"):
        return jitted  # pmap compiles at its first call
    lowered = jitted.lower(*args)
    if traced:
        traced()
    return lowered.compile(xla_flags.known_options(place.devices[0], options) or None)


class Compiled:
    """The programs of one sweep, by key.

    Args:
        sharers: how many places run programs at the same time; host devices share the machine's memory.
        programs: the cache the programs come from; by default the sweep's own.

    Attributes:
        keys: of the programs, in the order they first became ready.
        seconds: time in which a program was traced, compiled or loaded, for one place or several at once, by key.
    """

    def __init__(self, sharers: int = 1, programs: Programs | None = None) -> None:
        self.sharers = sharers
        self._owns_programs = programs is None
        self.programs = Programs() if programs is None else programs
        self.keys: list[tuple[Any, ...]] = []
        self.seconds: dict[tuple[Any, ...], float] = {}
        self._begun: set[tuple[Any, ...]] = set()
        self._making: dict[tuple[Any, ...], int] = {}  # for how many places, by key
        self._since: dict[tuple[Any, ...], float] = {}
        self._ready: dict[Any, Callable] = {}
        self._taken: dict[Any, int] = {}  # bytes of a call, by key
        self._locks: dict[Any, threading.Lock] = {}
        self._guard = threading.Lock()
        self._by_thread = threading.local()

    def get(
        self,
        key: tuple[Any, ...],
        place: Place,
        function: Callable,
        split: int,
        args: tuple[Any, ...],
        traced: Callable[[], None] | None = None,
        **options: Any,
    ) -> Callable:
        """The program of `key` for a place, as in `Programs.get`; within a sweep the key alone identifies a program.

        Raises NotEnoughMemoryError for a program that does not fit on the place's devices.
        """
        with self._guard:
            self._begun.add(key)
            lock = self._locks.setdefault((key, place), threading.Lock())
        asked = time.perf_counter()
        with lock:
            if (key, place) not in self._ready:
                with self._timed(key):
                    ready = self.programs.get(key, place, function, split, args, traced=traced, **options)
                    if key not in self._taken:
                        self._taken[key] = memory.taken(ready)
                    memory.check(self._taken[key], place.first.devices[0], self.sharers)
                with self._guard:
                    self._ready[key, place] = ready
                    if key not in self.keys:
                        self.keys.append(key)
            self._by_thread.waited = self.waited() + time.perf_counter() - asked
            return self._ready[key, place]

    @contextlib.contextmanager
    def _timed(self, key: tuple[Any, ...]) -> Iterator[None]:
        """Count the time in which at least one thread makes a program."""
        with self._guard:
            self._making[key] = self._making.get(key, 0) + 1
            if self._making[key] == 1:
                self._since[key] = time.perf_counter()
        try:
            yield
        finally:
            with self._guard:
                self._making[key] -= 1
                if not self._making[key]:
                    self.seconds[key] = self.seconds.get(key, 0.0) + time.perf_counter() - self._since[key]

    def forget(self, is_spent: Callable[[tuple[Any, ...]], bool]) -> None:
        """Give the memory of the programs back whose key is spent; those of a shared cache stay there.

        A program that is asked for all the same is compiled again.
        """
        with self._guard:
            for found in [found for found in self._ready if is_spent(found[0])]:
                del self._ready[found]
        if self._owns_programs:
            self.programs.forget(is_spent)
        memory.give_back()

    def waited(self) -> float:
        """Seconds that the calling thread has waited for programs, compiled by it or by another."""
        return getattr(self._by_thread, "waited", 0.0)

    def is_begun(self, key: tuple[Any, ...]) -> bool:
        """Whether a program has been requested."""
        with self._guard:
            return key in self._begun
