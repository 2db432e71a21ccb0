"""JAX's traces of functions that have changed.

JAX traces a function that is wrapped by `jax.jit` or `jax.checkpoint` once, and then uses that trace as long as the process
lives, also after a constant that the function reads has got another value, as in a notebook.
"""

import weakref
from collections.abc import Iterable
from typing import Any

import jax

# What each function was when it was last described. It lives as long as JAX's traces do: as long as the process.
LAST: "weakref.WeakKeyDictionary[Any, Any]" = weakref.WeakKeyDictionary()


def forget_traces(stamps: Iterable[tuple[Any, Any]]) -> None:
    """Clear JAX's caches if a function, or something that it names, is not what it was when it was last described.

    Args:
        stamps: functions and classes, each with what differs once it has changed.
    """
    changed = False
    for thing, stamp in stamps:
        changed = changed or LAST.get(thing, stamp) != stamp
        LAST[thing] = stamp
    if changed:
        jax.clear_caches()
