"""Room for the frames of nested calls: CPython need not ask the system for memory again and again."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SLOTS = 2**16  # of 8 bytes, in the frame of `with_room`: CPython then takes 1 MB, and half is left to the calls within


def with_room(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """function(*args, **kwargs), whose calls find room for their frames: what a long-lived thread is begun by.

    CPython keeps a thread's frames in pieces of 16 kB, asks the system for the next piece as a call needs it, and gives it back
    as that call returns. Code that calls at such a boundary, as tracing does, asks ten thousand times (docs/performance.md). A
    piece is as large as its first frame needs, so one large frame makes one large piece. It is not touched, so costs nothing.
    """
    return function(*args, **kwargs)


with_room.__code__ = with_room.__code__.replace(co_stacksize=SLOTS)
