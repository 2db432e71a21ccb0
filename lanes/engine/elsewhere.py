"""What stands in for the session of this process where packs are trained by other processes, such as workers of a cluster."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from lanes.errors import ExitStatus
from lanes.program.places import Place


class Trains(Protocol):
    """Trains packs to the end or to a rung; the attributes are those of `lanes.engine.session.Session`."""

    failures: list[str]
    failed: set[str]
    trained: set[str]
    steps: int
    computed: int
    stop: threading.Event
    has_broken_callback: bool
    waits: bool

    def train(self) -> ExitStatus:
        """Train every pack and return the exit status."""
        ...


class Elsewhere(Protocol):
    """Other processes that train.

    Attributes:
        places: of one of them, with devices as they are there.
        count: places of all of them together.
        conditions: what the numbers depend on there besides the runs (`lanes.storage.conditions`).
        session: makes what trains packs there, from the arguments of `Session`.
    """

    @property
    def places(self) -> Sequence[Place]: ...

    @property
    def count(self) -> int: ...

    @property
    def conditions(self) -> Mapping[str, str]: ...

    @property
    def session(self) -> Callable[..., Trains]: ...
