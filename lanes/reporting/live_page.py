"""The report page while a sweep runs: rewritten when results change, until no worker is at work.

The page says how old it is and reloads itself, unless somebody is using it. It is rewritten at most once in `SECONDS`, and no
more often than that writing it takes a twentieth of the time. The last page, written when the sweep has ended, stays as it is.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lanes.engine.signals import StopOnSignal
from lanes.errors import ExitStatus, RequestError
from lanes.files import temporary_beside, write_bytes
from lanes.reporting.markup import Markup
from lanes.reporting.pages import write_report
from lanes.results.status import ENDED, Status, status
from lanes.storage import life
from lanes.storage.directory import Directory, existing

SECONDS = 10.0  # between two pages, at least
POLL_SECONDS = 2.0
SHARE = 0.05  # of the time that writing pages takes, at most
PATIENCE_SECONDS = 60.0  # for a sweep to begin
GONE_SECONDS = 600.0  # of silence, after which a worker of another host counts as gone
QUIET_SECONDS = 30  # after the last click or key, in which the page does not reload itself

Call = dict[str, Any]  # arguments of `write_report`


def watch(
    directories: Sequence[Path],
    call: Call,
    say: Callable[[str], None],
    stop: threading.Event | None = None,
    seconds: float = SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> ExitStatus:
    """Rewrite the page of directories whenever their results change, until their sweeps have ended.

    Args:
        directories: of sweeps, which may be about to begin.
        call: further arguments of `write_report`.
        say: takes lines on what was written.
        stop: ends it, as a signal does.
        seconds: the least time between two pages.
        patience: how long a sweep that is not there, or at which nobody is at work, is waited for.

    Returns as `lanes sweep` would: 0 if all runs have ended, 3 if some failed, 75 if the sweep ended with runs left, or a signal
    ended the watching.

    Raises RequestError as `write_report`, and for a directory where no sweep begins.
    """
    stop = stop or threading.Event()
    target = call.get("out") or directories[0] / "report.html"
    with StopOnSignal(stop):
        opened = _begun(directories, say, stop, patience)
        text, seen, due = "", None, 0.0
        has_worked, deadline = False, time.monotonic() + patience
        while not stop.is_set():
            at_work = _at_work(opened)
            has_worked |= at_work
            if not at_work and (has_worked or time.monotonic() >= deadline or _is_over(directories)):
                break
            if time.monotonic() >= due and (now := _state(opened)) != seen:
                begun = time.monotonic()
                if has_results(directories):
                    text = _write(directories, call, target, seconds)
                    say(f"{time.strftime('%H:%M:%S')} {_counts(directories)}: {target}")
                seen, due = now, time.monotonic() + max(seconds, (time.monotonic() - begun) / SHARE)
            stop.wait(min(POLL_SECONDS, seconds))
        if stop.is_set():
            if text:
                write_bytes(target, text.replace(_LIVE, _stopped(), 1).encode())
            return ExitStatus.STOPPED
    if has_results(directories):
        write_report(list(directories), **call)
    return _ended(directories)


def _begun(
    directories: Sequence[Path], say: Callable[[str], None], stop: threading.Event, patience: float
) -> list[Directory]:
    """The directories once each holds a sweep; [] if stopped. Raises RequestError for one that holds none in the end."""
    end, told = time.monotonic() + patience, False
    while True:
        try:
            return existing(directories, changes=False)
        except RequestError:
            if time.monotonic() >= end or any(path.exists() and not path.is_dir() for path in directories):
                raise
        if not told:
            say(f"waiting {patience:.0f} s for a sweep to begin in {' and '.join(map(str, directories))}")
            told = True
        if stop.wait(min(POLL_SECONDS, patience / 4)):
            return []


def _at_work(opened: Sequence[Directory]) -> bool:
    """Whether any worker is alive, or has not been silent for long."""
    found = [worker for directory in opened for worker in life.workers(directory)]
    return any(not worker.is_gone and worker.silent_seconds < GONE_SECONDS for worker in found)


def _state(opened: Sequence[Directory]) -> list[tuple[str, int, int]]:
    """Names, sizes and times of the files that hold runs, results and curves: what a page is made of."""
    out = []
    for directory in opened:
        for folder in (directory.path, directory.results, directory.curves):
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".parquet"):
                        about = entry.stat()
                        out.append((entry.path, about.st_size, about.st_mtime_ns))
    return sorted(out)


def _all(directories: Sequence[Path]) -> list[Status]:
    return [status(path) for path in directories]


def has_results(directories: Sequence[Path]) -> bool:
    """Whether any run has ended."""
    return any(found.runs.get(name) for found in _all(directories) for name in ENDED)


def _is_over(directories: Sequence[Path]) -> bool:
    """Whether no run is left to train."""
    return not any(found.unended for found in _all(directories))


def _counts(directories: Sequence[Path]) -> str:
    found = _all(directories)
    ended = sum(each.runs.get(name, 0) for each in found for name in ENDED)
    return f"{ended:,} of {sum(each.planned for each in found):,} runs have ended"


def _ended(directories: Sequence[Path]) -> ExitStatus:
    found = _all(directories)
    if any(each.unended > each.runs.get("failed", 0) for each in found):
        return ExitStatus.STOPPED
    return ExitStatus.FAILED if any(each.runs.get("failed") for each in found) else ExitStatus.DONE


# ---- the page ------------------------------------------------------------------------------------------------------

_LIVE = "<!-- live -->"


def _write(directories: Sequence[Path], call: Call, target: Path, seconds: float) -> str:
    """Write the page that reloads itself; the page with a mark in place of what does."""
    temporary = temporary_beside(target)
    try:
        write_report(list(directories), **{**call, "out": temporary})
        text = temporary.read_text(encoding="utf-8").replace("<main>", f"<main>\n{_LIVE}", 1)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    write_bytes(target, text.replace(_LIVE, live(time.time(), seconds), 1).encode())
    return text


def live(at: float, seconds: float) -> Markup:
    """The line that says how old the page is, and the script that reloads it.

    Args:
        at: when it was written, in seconds since 1970.
        seconds: between two reloads.
    """
    clock = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at))
    script = f"""(function () {{
  const note = document.getElementById("live"), age = document.createElement("span"), opened = Date.now();
  let used = 0;
  note.append(" ", age);
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart", "input"])
    addEventListener(kind, function () {{ used = Date.now(); }}, {{ capture: true, passive: true }});
  setInterval(function () {{
    const now = Date.now();
    age.textContent = Math.max(0, Math.round(now / 1000 - {at:.0f})) + " s ago.";
    if (now - opened > {1000 * seconds:.0f} && now - used > {1000 * QUIET_SECONDS} && !document.hidden) location.reload();
  }}, 1000);
}})();"""
    text = f"As of {clock}: the sweep is running, and the page reloads itself while nobody uses it. Written"
    return Markup(f'<p class="warn" id="live">{text}</p>\n<script>{script}</script>')


def _stopped() -> Markup:
    clock = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return Markup(f'<p class="warn">Watching ended at {clock}, while the sweep was running.</p>')
