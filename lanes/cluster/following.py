"""How far the workers of a cluster are, as they say when asked from time to time."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lanes.cluster.ray_crew import Crew
from lanes.engine.progress import Progress
from lanes.plan.packs import Pack

SECONDS = 3.0  # interval between two questions to a worker
EACH_SECOND = 50  # workers asked, at most


@dataclasses.dataclass
class _Worker:
    """What a worker has said.

    Attributes:
        asked: what will hold its answer; None if it is not asked.
        asked_at: when.
        epochs: that its packs have reached, by pack, in the order in which they were begun.
    """

    asked: Any = None
    asked_at: float = 0.0
    epochs: dict[str, float] = dataclasses.field(default_factory=dict)


class Following:
    """Passes on to a progress what workers say.

    Attributes:
        has_progressed: whether any pack has been trained for an epoch.
    """

    def __init__(self, crew: Crew, progress: Progress):
        self._crew, self._progress = crew, progress
        self._workers: dict[int, _Worker] = {}
        self._packs: dict[str, Pack] = {}
        self.has_progressed = False

    def look(self, tasks: Mapping[int, Sequence[Pack]]) -> None:
        """Take in answers, and ask workers again whose last is old."""
        now = time.monotonic()
        interval = max(SECONDS, len(tasks) / EACH_SECOND)
        for number, packs in tasks.items():
            worker = self._workers.setdefault(number, _Worker(asked_at=now))
            self._packs |= {pack.pack_id: pack for pack in packs}
            if worker.asked is None and now > worker.asked_at + interval and number in self._crew.members:
                worker.asked, worker.asked_at = self._crew.members[number].handle.standing.remote(), now
        asked = {one.asked: number for number, one in self._workers.items() if one.asked is not None}
        if not asked:
            return
        ready, _ = self._crew.ray.wait(list(asked), num_returns=len(asked), timeout=0)
        for reference in ready:
            number = asked[reference]
            self._workers[number].asked = None
            try:
                self._take(number, self._crew.ray.get(reference), [pack.pack_id for pack in tasks.get(number, ())])
            except self._crew.ray.exceptions.RayError:
                continue  # its task tells

    def _take(self, number: int, standing: Sequence[tuple[str, float]], names: Sequence[str]) -> None:
        worker = self._workers[number]
        for name, epoch in standing:
            if name not in names:
                continue
            pack, by = self._packs[name], (number, name)
            if name not in worker.epochs:
                self._progress.take(pack, by)
                self._progress.begin(pack, 0.0, by)
                worker.epochs[name] = 0.0
            if epoch > worker.epochs[name]:
                self._progress.epoch(pack, worker.epochs[name], epoch, by)
                worker.epochs[name] = epoch
                self.has_progressed = True

    def done(self, number: int, packs: Sequence[Pack]) -> None:
        """Note that a worker's packs have ended."""
        worker = self._workers.setdefault(number, _Worker(asked_at=time.monotonic()))
        for pack in packs:
            epoch, by = worker.epochs.pop(pack.pack_id, None), (number, pack.pack_id)
            if epoch is not None:
                self._progress.epoch(pack, epoch, pack.epochs, by)
            self._progress.pack_done(pack, by)
            self._packs.pop(pack.pack_id, None)

    def lost(self, number: int) -> None:
        """Note that a worker is gone; its packs are no longer under way."""
        for name in self._workers.pop(number, _Worker()).epochs:
            if name in self._packs:
                self._progress.give_back(self._packs[name])
