"""An estimate of the time that a session still takes, from the chunks that it has trained.

Compiling is counted apart, and so is what a pack takes besides its chunks: making its lanes, and evaluating them at the end.
"""

import time
from collections.abc import Hashable, Sequence

from lanes.plan.packs import Pack
from lanes.program.compiled import Compiled

LONG_SECONDS = 3.0  # of a first chunk that tells how long others take


class _Speed:
    """Seconds that lanes of one program took for epochs: of the first chunk at each place, which begins slowly, and of others."""

    def __init__(self) -> None:
        self.first = self.others = (0.0, 0.0)  # seconds, epochs of a lane
        self._seen: set[Hashable] = set()

    def add(self, by: Hashable, seconds: float, lane_epochs: float) -> None:
        """Count a chunk."""
        if by in self._seen:
            self.others = (self.others[0] + seconds, self.others[1] + lane_epochs)
        else:
            self.first = (self.first[0] + seconds, self.first[1] + lane_epochs)
            self._seen.add(by)

    @property
    def per_epoch(self) -> float | None:
        """Seconds for an epoch of a lane; None before there is a chunk that tells."""
        seconds, count = self.others if self.others[1] else self.first
        tells = bool(self.others[1]) or seconds > LONG_SECONDS
        return seconds / count if count and tells else None


class TimeLeft:
    """Estimates the time that packs still take.

    Args:
        packs: those to train.
        places: how many are trained at the same time.
        until: the epoch of the next rung; None for the end.
        compiled: the programs, which know how long threads waited for them.
    """

    def __init__(self, packs: Sequence[Pack], places: int, until: int | None = None, compiled: Compiled | None = None):
        self._places, self._compiled = places, compiled
        self._until = until
        self._at = {pack.pack_id: (pack, 0.0) for pack in packs}  # the epoch that each has reached
        self._speeds: dict[str, _Speed] = {}
        self._begun: set[str] = set()  # packs
        self._besides = 0.0  # seconds for packs begun, apart from their chunks
        self._marks: dict[Hashable, tuple[float, float]] = {}  # the time, and how long one had waited for programs

    def last(self, pack: Pack) -> int:
        """The epoch up to which a pack is trained."""
        return min(pack.epochs, self._until or pack.epochs)

    def take(self, by: Hashable) -> None:
        """Note that someone, a thread or another process, takes a pack."""
        self._seconds(by)

    def begin(self, pack: Pack, epoch: float, by: Hashable) -> None:
        """Note that the one who took a pack begins to train it, from an epoch on."""
        self._at[pack.pack_id] = pack, epoch
        self._begun.add(pack.pack_id)
        self._besides += self._seconds(by)

    def chunk(self, pack: Pack, before: float, epoch: float, by: Hashable) -> None:
        """Note that someone has trained a pack from one epoch to another."""
        self._at[pack.pack_id] = pack, epoch
        speed = self._speeds.setdefault(pack.signature, _Speed())
        speed.add(by, self._seconds(by), pack.size * (epoch - before))

    def done(self, pack: Pack, by: Hashable | None) -> None:
        """Note that a pack has ended, trained by someone here, or by another worker (None)."""
        self._at[pack.pack_id] = pack, float(self.last(pack))
        if by is not None:
            self._besides += self._seconds(by)

    def trained(self) -> float:
        """Runs that are trained, a part of a run counting as that part."""
        return sum(len(pack.members) * min(1.0, epoch / max(pack.epochs, 1)) for pack, epoch in self._at.values())

    def runs(self) -> float:
        """Runs that are left to train up to the rung or the end, counted likewise."""
        return sum(len(pack.members) * epochs / max(pack.epochs, 1) for pack, epochs in self._epochs())

    def seconds(self) -> float | None:
        """The estimate; None before the first chunk."""
        known = {name: speed.per_epoch for name, speed in self._speeds.items() if speed.per_epoch is not None}
        if not known:
            return None
        mean = sum(known.values()) / len(known)
        besides = self._besides / max(len(self._begun), 1)
        each = [
            pack.size * epochs * known.get(pack.signature, mean) + besides * (pack.pack_id not in self._begun)
            for pack, epochs in self._epochs()
            if epochs
        ]
        return max(sum(each) / self._places, max(each, default=0.0)) + self._compiling()

    def _epochs(self) -> list[tuple[Pack, float]]:
        """The epochs left of each pack."""
        return [(pack, max(0.0, self.last(pack) - epoch)) for pack, epoch in self._at.values()]

    def _compiling(self) -> float:
        """What is left to compile: as long for each program as for those compiled so far."""
        if self._compiled is None:
            return 0.0
        spent = [seconds for key, seconds in list(self._compiled.seconds.items()) if key[0] == "train"]
        begun = {key[1] for key in list(self._compiled.seconds) if key[0] == "train"}
        new = {pack.signature for pack, epochs in self._epochs() if epochs} - begun - set(self._speeds)
        return len(new) * sum(spent) / max(len(spent), 1)

    def _seconds(self, by: Hashable) -> float:
        """Seconds since `by` was last asked for, without those in which this thread waited for programs."""
        now, waited = time.monotonic(), self._waited()
        began, waited_before = self._marks.get(by, (now, waited))
        self._marks[by] = now, waited
        return max(0.0, now - began - (waited - waited_before))

    def _waited(self) -> float:
        return 0.0 if self._compiled is None else self._compiled.waited()
