"""Progress of a sweep: a live line on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from lanes.errors import warn
from lanes.plan.packs import Pack

PLAIN_SECONDS = 10.0  # least time between plain lines


class Progress:
    """Counts the epochs and packs of all places; shows runs done, packs, runs per second and time left."""

    def __init__(self, packs: Sequence[Pack], places: int, quiet: bool):
        self.packs, self.places, self.quiet = packs, places, quiet
        self.runs = sum(len(pack.members) for pack in packs)
        self.packs_done, self._runs_done = 0, 0
        self._current: dict[str, tuple[int, Pack]] = {}
        self._guard = threading.Lock()
        self._began = self._shown = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.completed:.0f}/{task.total} runs"),
                BarColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("compiling", total=self.runs)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def epoch(self, pack: Pack, epoch: int) -> None:
        """Note that a pack has reached an epoch."""
        with self._guard:
            self._current[pack.pack_id] = epoch, pack
            self._show(last=False)

    def pack_done(self, pack: Pack) -> None:
        """Note that a pack has ended."""
        with self._guard:
            self._current.pop(pack.pack_id, None)
            self.packs_done += 1
            self._runs_done += len(pack.members)
            self._show(last=self.packs_done == len(self.packs))

    def _show(self, last: bool) -> None:
        if self.quiet:
            return
        now = time.monotonic()
        partial = sum(
            len(pack.members) * min(1.0, epoch / pack.members[0].run.epochs) for epoch, pack in self._current.values()
        )
        done = self._runs_done + partial
        rate = done / max(now - self._began, 1e-9)
        left = (self.runs - done) / max(rate, 1e-9)
        text = f"pack {self.packs_done}/{len(self.packs)} · {rate:.1f} runs/s · {_clock(left)} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif last or now - self._shown >= PLAIN_SECONDS:
            self._shown = now
            warn(f"{done:.0f}/{self.runs} runs · {text}")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
