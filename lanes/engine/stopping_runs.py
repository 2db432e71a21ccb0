"""Which runs end before their time because someone asked: `lanes stop DIR RUN`, or a callback."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lanes.plan.packs import Pack
from lanes.program.lane import Status
from lanes.storage import stops
from lanes.storage.directory import Directory
from lanes.storage.stops import Stop


class StoppingRuns:
    """The requests of a directory, as training threads ask for them at chunk boundaries.

    Args:
        directory: the sweep's; None for one without requests.
    """

    def __init__(self, directory: Directory | None = None):
        self._directory = directory
        self._stops: dict[str, Stop] = {}
        self._guard = threading.Lock()

    def refresh(self) -> None:
        """Read the requests that have been written since the last time."""
        if self._directory is None:
            return
        with self._guard:
            new = stops.names(self._directory) - self._stops.keys()
            found = {run_id: stops.read(self._directory, run_id) for run_id in sorted(new)}
            self._stops |= {run_id: stop for run_id, stop in found.items() if stop is not None}

    def ask(self, run_ids: Iterable[str], by: str) -> None:
        """End runs at this chunk boundary, for a callback."""
        with self._guard:
            for run_id in run_ids:
                self._stops.setdefault(run_id, Stop(run_id, by))

    def cut(self, pack: Pack, epoch: int, status: np.ndarray) -> np.ndarray:
        """Which lanes [P] of a pack at this epoch are still running (`status` [P]) though they are asked to end."""
        return np.array([self._is_due(member, epoch) for member in pack.lanes]) & (status == Status.RUNNING)

    def applied(self, pack: Pack, epoch: int, cut: np.ndarray) -> list[Stop]:
        """Note that the lanes `cut` [P] end at this epoch; returns the requests to write down."""
        new = []
        with self._guard:
            for lane in np.flatnonzero(cut):
                member = pack.lanes[lane]
                assert member is not None
                before = self._stops[member.run_id]
                if before.epoch is None:
                    self._stops[member.run_id] = Stop(before.run_id, before.by, epoch)
                    new.append(self._stops[member.run_id])
        return new

    def next_epoch(self, pack: Pack, epoch: int, until: int) -> int:
        """The epoch up to which a pack may be trained in one go, at most `until`."""
        with self._guard:
            found = [self._stops[member.run_id] for member in pack.members if member.run_id in self._stops]
        ends = [stop.epoch or 1 for stop in found]
        return min([until, *(end for end in ends if end > epoch)])

    def by(self, row: Mapping[str, Any]) -> str | None:
        """Who asked that the run of a row of results end; None if it ended by itself."""
        stop = self._stops.get(row["run_id"])
        asked = stop is not None and row["status"] == Status.STOPPED_EARLY.label and stop.epoch == row["epochs"]
        return stop.by if stop is not None and asked else None

    def too_late(self, run_ids: Iterable[str]) -> list[str]:
        """Those of ended runs whose request came when they had ended: it would end them early if they were trained again."""
        with self._guard:
            late = [run_id for run_id in run_ids if run_id in self._stops and self._stops[run_id].epoch is None]
            for run_id in late:
                del self._stops[run_id]
            return late

    def _is_due(self, member: Any, epoch: int) -> bool:
        stop = None if member is None else self._stops.get(member.run_id)
        return stop is not None and epoch >= (stop.epoch or 1)
