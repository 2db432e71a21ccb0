"""A folder outside a sweep's directory that nothing may touch, and what each command makes of a directory."""

import contextlib
import hashlib
import io
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import injuries
import pandas as pd

import lanes
from lanes.cli import main
from lanes.errors import RequestError

ACTIONS = ("load", "report", "restore", "evaluate", "resume")
SECONDS = 120  # more counts as hanging


def make_outside(folder: Path, sweep: Path) -> None:
    """Make the folder: files, code that leaves a trace when it runs, a pack with a checkpoint, and a damaged sweep."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "folder").mkdir(parents=True)
    (folder / "folder" / "mine.txt").write_text("kept")
    (folder / "keep.txt").write_text("kept")
    (folder / "array.npy").write_bytes(b"\x80\x04N.")
    (folder / "canary.py").write_text(f"open({str(folder / 'executed')!r}, 'w')\n")
    other = Path(shutil.copytree(sweep, folder / "sweep"))
    for path in (other / "runs.parquet", *(other / "results").iterdir()):
        path.write_bytes(path.read_bytes()[:-9])
    pack = next((sweep / "checkpoints").iterdir())
    shutil.copytree(pack, folder / "pack")
    shutil.copytree(next(pack.iterdir()), folder / "checkpoint")
    for path in (other / "checkpoints").glob("*/*/checksums.json"):
        path.write_text("{}")


def seen(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """Kind, identity, time and content of everything in a folder."""
    out = {}
    for path in sorted(folder.rglob("*")):
        found, is_file = path.lstat(), path.is_file() and not path.is_symlink()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
        out[str(path.relative_to(folder))] = (found.st_mode, found.st_ino, found.st_mtime_ns, content)
    return out


def outcome(action: str, out: Path, run_id: str) -> tuple[int, list[str]]:
    """The exit status of a command, and the lines on standard error; from Python, the error's line is the last.

    Any error but a RequestError (2), an OSError and a MemoryError (3) is raised, and so is a TimeoutError.
    """
    lines, output = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(lines), contextlib.redirect_stdout(output), limited(SECONDS):
        try:
            status = run(action, out, run_id)
        except RequestError as error:
            status = 2
            print(f"error: {error}", file=sys.stderr)
        except TimeoutError:
            raise
        except (OSError, MemoryError) as error:
            status = 3
            print(f"error: {error}", file=sys.stderr)
    return status, [line for line in lines.getvalue().splitlines() if line.strip()]


def run(action: str, out: Path, run_id: str) -> int:
    """Load, report on, restore from, evaluate or resume a directory."""
    if action == "load":
        lanes.load(out)
        lanes.load_curves(out)
        return 0
    if action == "restore":
        lanes.restore(out, run_id)
        return 0
    if action == "report":
        return main.run(["report", str(out)])
    if action == "evaluate":
        return main.run(["evaluate", str(out), "--run", run_id])
    return injuries.resume(out, warn=lambda line: print(line, file=sys.stderr))


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in what takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it hangs, or takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(
    change: Callable[[Path, Path], None],
    reference: injuries.Reference,
    folder: Path,
    expected: str | None = None,
    actions: tuple[str, ...] = ACTIONS,
) -> dict[str, tuple[int, list[str]]]:
    """Change a copy of the small sweep, run each command on a fresh copy, and check that nothing outside is touched.

    Args:
        change: of the copy, given also the folder outside.
        reference: the small sweep.
        folder: for the copies.
        expected: the exit status of each of `ACTIONS`, as digits; None is any.
        actions: those to run.
    """
    outside, out, results = folder / "outside", folder / "sweep", {}
    make_outside(outside, reference.path)
    changed = injuries.copy(reference.path, folder / "changed")
    change(changed, outside)
    before = seen(outside)
    for action in actions:
        shutil.rmtree(out, ignore_errors=True)
        changed.rename(out)
        results[action] = status, lines = outcome(action, out, reference.table["run_id"][0])
        assert seen(outside) == before, action
        assert not (outside / "executed").exists()
        assert not any("Traceback" in line for line in lines), lines
        assert sum(line.startswith("error: ") for line in lines) == (1 if status else 0), (action, status, lines)
        if expected is not None:
            assert status == int(expected[ACTIONS.index(action)]), (action, status, lines)
        if action != actions[-1]:
            changed = injuries.copy(reference.path, folder / "changed")
            change(changed, outside)
            before = seen(outside)
    return results


def lines_of(results: dict[str, tuple[int, list[str]]]) -> pd.Series:
    """All lines of all commands."""
    return pd.Series([line for _, lines in results.values() for line in lines], dtype=str)
