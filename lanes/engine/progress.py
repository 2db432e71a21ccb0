"""Progress of a sweep: a live line on a terminal and in a notebook, plain lines elsewhere."""

import html
import sys
import threading
import time
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Protocol

from lanes.engine.time_left import TimeLeft
from lanes.errors import warn
from lanes.plan.packs import Pack
from lanes.program.compiled import Compiled

PLAIN_SECONDS = 10.0  # least time between plain lines


class Standing(NamedTuple):
    """How far a session is.

    Attributes:
        done: runs, a part of a run counting as that part.
        under_way: each pack in training, the epoch it has reached, and its last one.
        runs_per_second: that are trained from now on; None before the first chunk.
        seconds_left: None before the first chunk.
    """

    done: float
    under_way: list[tuple[Pack, int, int]]
    runs_per_second: float | None
    seconds_left: float | None


def _who(by: Hashable) -> Hashable:
    return threading.get_ident() if by is None else by


class _Shown(Protocol):
    """Where progress is shown."""

    def update(self, done: float, total: int, text: str, last: bool) -> None: ...

    def close(self) -> None: ...


class Progress:
    """Counts the epochs and packs of all places; shows runs done, packs, runs per second and time left.

    Args:
        packs: those to train.
        places: how many are trained at the same time.
        quiet: show nothing.
        until: the epoch of the next rung; None for the end.
        compiled: the programs, to tell compiling from training.
    """

    def __init__(
        self,
        packs: Sequence[Pack],
        places: int,
        quiet: bool,
        until: int | None = None,
        compiled: Compiled | None = None,
    ):
        self.packs, self.quiet = packs, quiet
        self.runs = sum(len(pack.members) for pack in packs)
        self.packs_done = 0
        self._left = TimeLeft(packs, places, until, compiled)
        self._current: dict[str, tuple[Pack, int]] = {}
        self._guard = threading.Lock()
        self._shown: _Shown | None = None

    def __enter__(self) -> "Progress":
        if not self.quiet:
            self._shown = _shown(self.runs)
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.close()

    def take(self, pack: Pack, by: Hashable = None) -> None:
        """Note that a pack is taken: by the calling thread, or by another process that `by` names."""
        with self._guard:
            self._current[pack.pack_id] = pack, 0
            self._left.take(_who(by))

    def begin(self, pack: Pack, epoch: float, by: Hashable = None) -> None:
        """Note that whoever took a pack trains it, from an epoch on."""
        with self._guard:
            self._current[pack.pack_id] = pack, int(epoch)
            self._left.begin(pack, epoch, _who(by))

    def epoch(self, pack: Pack, before: float, epoch: float, by: Hashable = None) -> None:
        """Note that a pack has been trained from one epoch to another; streaming takes parts of one."""
        with self._guard:
            self._current[pack.pack_id] = pack, int(epoch)
            self._left.chunk(pack, before, epoch, _who(by))
            self._show(last=False)

    def give_back(self, pack: Pack) -> None:
        """Note that whoever took a pack is gone."""
        with self._guard:
            self._current.pop(pack.pack_id, None)

    def pack_done(self, pack: Pack, by: Hashable = None) -> None:
        """Note that a pack has ended."""
        with self._guard:
            was_trained = self._current.pop(pack.pack_id, None) is not None
            self._left.done(pack, _who(by) if was_trained else None)
            self.packs_done += 1
            self._show(last=self.packs_done == len(self.packs))

    def standing(self) -> Standing:
        """How far the session is."""
        with self._guard:
            return self._standing()

    def _standing(self) -> Standing:
        under_way = [(pack, epoch, self._left.last(pack)) for pack, epoch in self._current.values()]
        runs, seconds = self._left.runs(), self._left.seconds()
        rate = None if seconds is None else runs / max(seconds, 1e-9)
        return Standing(self._left.trained(), under_way, rate, seconds)

    def _show(self, last: bool) -> None:
        if self._shown is None:
            return
        at = self._standing()
        text = f"pack {self.packs_done}/{len(self.packs)}"
        if at.seconds_left is not None and at.runs_per_second is not None and not last:
            text += f" · {at.runs_per_second:.3g} runs/s · {clock(at.seconds_left)} left"
        self._shown.update(at.done, self.runs, text, last)


def _shown(runs: int) -> _Shown:
    display = _notebook()
    if display is not None:
        return _InNotebook(display, runs)
    return _OnTerminal(runs) if sys.stderr.isatty() else _Plain()


class _Plain:
    """Lines on standard error, one in `PLAIN_SECONDS`."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def update(self, done: float, total: int, text: str, last: bool) -> None:
        now = time.monotonic()
        if last or now - self._said_at >= PLAIN_SECONDS:
            self._said_at = now
            warn(f"{done:.0f}/{total} runs · {text}")

    def close(self) -> None:
        """Nothing is left to tidy up."""


class _OnTerminal:
    """A bar on standard error, which disappears at the end."""

    def __init__(self, runs: int):
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
        self._task = self._bar.add_task("compiling", total=runs)

    def update(self, done: float, total: int, text: str, last: bool) -> None:
        del total, last
        self._bar.update(self._task, completed=done, description=text)

    def close(self) -> None:
        self._bar.stop()


class _InNotebook:
    """A bar in the output of the cell, which shows at the end how far the sweep came; needs no widgets.

    Args:
        display: IPython's `display`.
        runs: their number.
    """

    def __init__(self, display: Any, runs: int):
        self._now = (0.0, runs, "compiling")
        self._handle = display(self._page(), raw=True, display_id=True)

    def update(self, done: float, total: int, text: str, last: bool) -> None:
        del last
        self._now = (done, total, text)
        self._handle.update(self._page(), raw=True)

    def close(self) -> None:
        done, total, text = self._now
        self._now = (done, total, text.partition(" · ")[0])
        self._handle.update(self._page(), raw=True)

    def _page(self) -> dict[str, str]:
        done, total, text = self._now
        line = f"{done:.0f}/{total} runs · {text}"
        bar = f'<progress value="{done:.2f}" max="{total}" style="width: 16em"></progress>'
        return {"text/plain": line, "text/html": f"{bar} {html.escape(line)}"}


def _notebook() -> Any:
    """IPython's `display` where this is a notebook's kernel; None elsewhere, IPython on a terminal included."""
    ipython = sys.modules.get("IPython")
    get = getattr(ipython, "get_ipython", None)
    shell = None if get is None else get()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    return display


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
