"""Callbacks: the user's functions that are called after each chunk of a pack, and may end runs."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lanes.data.loading import Dataset
from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.plan.packs import Pack
from lanes.program.lane import Status
from lanes.storage import pandas_when_used as pd
from lanes.storage.rows import curve_rows

History = Mapping[str, np.ndarray]
Variables = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Reached:
    """What a callback is given: a pack of runs after a chunk of whole epochs.

    Attributes:
        directory: the sweep's.
        pack: name of the pack.
        epoch: that the pack has reached, from 1.
        runs: its runs by run_id.
        status: by run_id: running, done, stopped_early, pruned or diverged.
        history: metrics [runs, epoch] by name, as in `lanes.load_curves`; NaN in epochs without an evaluation.
        epochs: the number of epochs that each run has completed [runs].
        data: the data set of its runs.
        fetch: returns `variables`.
    """

    directory: Path
    pack: str
    epoch: int
    runs: Mapping[str, Run]
    status: Mapping[str, str]
    history: History
    epochs: np.ndarray
    data: Dataset | None = None
    fetch: Callable[[], Variables] = dict

    @functools.cached_property
    def variables(self) -> Variables:
        """The runs' variables as they are evaluated, `params` and others by name, [runs, …]; fetched when first read.

        Where the directory records that perceptrons of several widths share a program, zeros follow a narrower net's numbers.
        """
        return self.fetch()

    @property
    def running(self) -> list[str]:
        """run_ids of the runs that go on."""
        return [run_id for run_id, status in self.status.items() if status == Status.RUNNING.label]

    @functools.cached_property
    def curves(self) -> pd.DataFrame:
        """A row per run and completed epoch from the first one on: `run_id`, `epoch` from 1, and the metrics."""
        return curve_rows(list(self.runs), self.history, self.epochs)


Callback = Callable[[Reached], Iterable[str] | None]


class CallbackError(Exception):
    """A callback raised, or returned what it may not: the sweep saves and stops."""


def checked(callbacks: Iterable[Callback]) -> tuple[Callback, ...]:
    """The callbacks. Raises RequestError for what cannot be called with what was reached."""
    if not isinstance(callbacks, Iterable) or isinstance(callbacks, (str, bytes, Mapping)):
        raise RequestError(f"callbacks is {callbacks!r}: it must be a list of functions of what was reached")
    found = tuple(callbacks)
    for callback in found:
        if isinstance(callback, type):
            raise RequestError(f"callbacks has the class {callback.__name__}: write {callback.__name__}()")
        if not callable(callback):
            raise RequestError(f"callbacks has {callback!r}: it must be a function of what was reached")
        try:
            inspect.signature(callback).bind(object())
        except TypeError:
            raise RequestError(
                f"the callback {name_of(callback)} does not take one argument, what was reached: write def f(reached)"
            ) from None
        except ValueError:
            pass  # written in C
    return found


def name_of(callback: Callback) -> str:
    """The name of a callback, for messages and records."""
    return str(getattr(callback, "__qualname__", type(callback).__qualname__))


class Callbacks:
    """Calls callbacks one at a time, whatever the number of places."""

    def __init__(self, callbacks: Sequence[Callback], directory: Path):
        self.callbacks, self._directory = callbacks, directory
        self._guard = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self.callbacks)

    def next_epoch(self, epoch: int, until: int) -> int:
        """The epoch, at most `until`, up to which a pack may be trained in one go: a callback's `called_every` says how many."""
        steps = [step for callback in self.callbacks if isinstance(step := getattr(callback, "called_every", 0), int)]
        return min([until, *((epoch // step + 1) * step for step in steps if step >= 1)])

    def after(
        self,
        pack: Pack,
        epoch: int,
        status: np.ndarray,
        history: History,
        epochs: np.ndarray,
        data: Dataset | None = None,
        fetch: Callable[[], Variables] = dict,
    ) -> dict[str, list[str]]:
        """Call every callback; returns the runs to end, by callback.

        Args:
            pack: the pack of P members.
            epoch: that it has reached.
            status, epochs: of its members [P].
            history: curves [P, E].
            data: of its runs.
            fetch: returns the variables of its members.

        Raises CallbackError with one line.
        """
        run_ids = [member.run_id for member in pack.members]
        reached = Reached(
            directory=self._directory,
            pack=pack.pack_id,
            epoch=epoch,
            runs={member.run_id: member.run for member in pack.members},
            status={run_id: Status(value).label for run_id, value in zip(run_ids, status, strict=True)},
            history={name: _read_only(values) for name, values in history.items()},
            epochs=_read_only(epochs),
            data=data,
            fetch=fetch,
        )
        found: dict[str, list[str]] = {}
        with self._guard:
            for callback in self.callbacks:
                found[name_of(callback)] = self._call(callback, reached)
        return {name: ended for name, ended in found.items() if ended}

    def _call(self, callback: Callback, reached: Reached) -> list[str]:
        try:
            returned = callback(reached)
        except (Exception, SystemExit) as error:
            line = (str(error).strip().splitlines() or [""])[0]
            raise CallbackError(f"{name_of(callback)}: {type(error).__name__}: {line}") from error
        if returned is None:
            return []
        if isinstance(returned, (str, bytes)) or not isinstance(returned, Iterable):
            raise CallbackError(f"{name_of(callback)} returned {returned!r}: it must return a list of run_ids, or None")
        ended = list(returned)
        if unknown := [one for one in ended if not isinstance(one, str) or one not in reached.status]:
            raise CallbackError(f"{name_of(callback)} returned {unknown[0]!r}, which is no run_id of reached.runs")
        return [run_id for run_id in dict.fromkeys(ended) if reached.status[run_id] == Status.RUNNING.label]


def _read_only(values: Any) -> np.ndarray:
    """A view that a callback cannot write through: what it is given is saved."""
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view
