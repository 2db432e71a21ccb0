"""Processes that run one program together: each calls the same programs in the same order, as the first one decides.

What depends on a clock, a signal or a file is decided by process 0 and told to the others by the key-value store of
`jax.distributed`, so that all take the same number of steps in each chunk and stop at the same one. The state of a pack is
read or drawn by process 0 and sent to the others' devices: replicas are equal bit for bit, whatever drew them.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

ASK_SECONDS = 2.0  # interval between looks at whether a value that another process owes is still to come
KEPT = 1000  # values that stay in the store
PREFIX = "lanes"
Tree = Any


class LeftBehindError(Exception):
    """Process 0 has given up what this process is still at."""


class Hosts:
    """The processes of a program, as one of them sees them; by default there is one.

    Args:
        index: number of this process; process 0 decides and writes.
        count: how many there are.
        client: the key-value store that they share.

    Attributes:
        asked: set once another process is asked to save and stop.
        lost: called with an error that may come of a process that is gone; does not return if one is.
    """

    def __init__(self, index: int = 0, count: int = 1, client: Any = None):
        self.index, self.count, self.client = index, count, client
        self.asked = threading.Event()
        self.lost: Callable[[BaseException], None] = lambda _: None
        self._turn, self._asked = 0, itertools.count()

    @property
    def leads(self) -> bool:
        """Whether this process decides and writes."""
        return self.index == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def begin(self, value: Any = None) -> Any:
        """Begin a turn, such as a pack: process 0's value, which is told to the others."""
        if not self.several:
            return value
        self._turn += 1
        self._asked = itertools.count()
        return self._told(f"{PREFIX}/turn/{self._turn}", value)

    def agreed(self, value: Any) -> Any:
        """Process 0's value: numbers, texts, and lists and dictionaries of them.

        Raises LeftBehindError if process 0 has begun another turn.
        """
        if not self.several:
            return value
        number = next(self._asked)
        if self.leads and number >= KEPT:
            self.client.key_value_delete(f"{PREFIX}/{self._turn}/{number - KEPT}")
        return self._told(f"{PREFIX}/{self._turn}/{number}", value, f"{PREFIX}/turn/{self._turn + 1}")

    def gathered(self, name: str, value: Any, seconds: float) -> list[Any]:
        """The value of each process, in order; None for one that does not say it within some seconds."""
        if not self.several:
            return [value]
        self.client.key_value_set(f"{PREFIX}/{name}/{self.index}", json.dumps(value))
        until = time.monotonic() + seconds
        found = []
        for index in range(self.count):
            text = None
            while text is None and time.monotonic() < until:
                text = self._get(f"{PREFIX}/{name}/{index}")
            found.append(None if text is None else json.loads(text))
        return found

    def shared(self, tree: Tree) -> Tree:
        """Process 0's arrays, on the host; the others give arrays of the same shapes and types."""
        if not self.several:
            return tree
        from jax.experimental import multihost_utils

        leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, tree))
        # As bytes, since the others add zeros to what process 0 sends, and -0.0 + 0.0 is 0.0.
        parts = [np.ascontiguousarray(leaf).reshape(-1).view(np.uint8) for leaf in leaves]
        sent = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
        found = np.asarray(multihost_utils.broadcast_one_to_all(sent))
        ends = np.cumsum([part.size for part in parts])
        pieces = np.split(found, ends[:-1]) if parts else []
        whole = [piece.copy().view(leaf.dtype).reshape(leaf.shape) for piece, leaf in zip(pieces, leaves, strict=True)]
        return jax.tree.unflatten(structure, whole)

    def _told(self, key: str, value: Any, instead: str | None = None) -> Any:
        """Process 0's value under a key; the others wait for it, unless the key `instead` appears."""
        if self.leads:
            self.client.key_value_set(key, json.dumps(value))
            return value
        while (text := self._get(key)) is None:
            if instead is not None and self._has(instead):
                raise LeftBehindError("process 0 has gone on")
        return json.loads(text)

    def _get(self, key: str) -> str | None:
        """The text under a key, for which it waits some time; None if there is none."""
        try:
            return str(self.client.blocking_key_value_get(key, int(1e3 * ASK_SECONDS)))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
            return None

    def _has(self, key: str) -> bool:
        try:
            self.client.key_value_try_get(key)
        except jax.errors.JaxRuntimeError:
            return False
        return True


ALONE = Hosts()
