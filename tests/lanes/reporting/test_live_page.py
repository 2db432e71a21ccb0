"""The page while a sweep runs: rewritten when results change, until nobody is at work; on a signal it stays as it is."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from made_directories import with_three_runs, without_runs

from lanes.cli import report
from lanes.errors import ExitStatus, RequestError
from lanes.reporting import live_page
from lanes.storage import life

ROOT = Path(__file__).parents[3]
FAST = 0.02
EXPERIMENT = """
from lanes import Blobs, Run, grid
from nets import MLP

def sweep():
    return grid(Run(data=Blobs(n=120), batch_size=16, epochs=3), net=[MLP(widths=(n,)) for n in (4, 5, 6)], seed=range(2))
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A directory with one run of three done; pages are counted instead of made."""
    made = with_three_runs(tmp_path / "run")
    monkeypatch.setattr(live_page, "write_report", write)
    return made


def write(directories, metric=None, out=None, **_):
    target = out or directories[0] / "report.html"
    ended = len(list((directories[0] / "results").glob("*.parquet")))
    target.write_text(f"<main>\n{ended} {metric}</main>", encoding="utf-8")


def at_work(monkeypatch, rounds, then=lambda _: None):
    """A worker that is at work for so many rounds; `then` is called with the number of each."""
    count = iter(range(rounds))

    def is_at_work(_):
        at = next(count, None)
        if at is not None:
            then(at)
        return at is not None

    monkeypatch.setattr(live_page, "_at_work", is_at_work)


def watch(made, **options):
    said = []
    options = {"seconds": FAST, "patience": 5 * FAST, **options}
    status = live_page.watch([made.path], {"metric": "valid_loss"}, said.append, **options)
    return status, said


def test_the_page_is_rewritten_when_results_change(directory, monkeypatch):
    pages = []

    def then(at):
        page = directory.path / "report.html"
        pages.append(page.read_text(encoding="utf-8") if page.exists() else "")
        if at == 10:
            rows = [{"run_id": "a0", "status": "done"}, {"run_id": "a1", "status": "failed", "error": "x"}]
            directory.write_part(directory.results, "aa", rows)

    monkeypatch.setattr(live_page, "SHARE", 1.0)
    at_work(monkeypatch, 30, then)
    status, said = watch(directory)
    assert status == ExitStatus.FAILED
    assert len(said) == 2
    assert said[0].endswith(f"1 of 3 runs have ended: {directory.path / 'report.html'}")
    assert "3 of 3 runs have ended" in said[1]
    assert 'id="live"' in pages[9]
    assert "1 valid_loss" in pages[9]
    assert "2 valid_loss" in pages[29]
    assert (
        directory.path / "report.html"
    ).read_text() == "<main>\n2 valid_loss</main>"  # of the end: it does not reload
    assert not list(directory.path.glob("*.tmp"))
    assert not list(directory.path.glob(".report*"))


def test_pages_take_a_small_part_of_the_time(directory, monkeypatch):
    """A page that takes long is written less often than results change."""

    def slow(*arguments, **options):
        time.sleep(0.05)
        write(*arguments, **options)

    monkeypatch.setattr(live_page, "write_report", slow)
    at_work(
        monkeypatch, 40, lambda at: directory.write_part(directory.curves, "aa", [{"run_id": "a0", "epoch": at + 1}])
    )
    _, said = watch(directory)
    assert 1 <= len(said) <= 2  # 40 changes in 0.8 s, and a page at most every 20 x 0.05 s


def test_a_sweep_that_ended_has_its_page_at_once(directory):
    directory.write_part(directory.results, "aa", [{"run_id": name, "status": "done"} for name in ("a0", "a1")])
    status, said = watch(directory, patience=60.0)
    assert (status, said) == (ExitStatus.DONE, [])
    assert 'id="live"' not in (directory.path / "report.html").read_text()


def test_a_sweep_that_stopped_with_runs_left(directory, monkeypatch):
    at_work(monkeypatch, 3)
    assert watch(directory)[0] == ExitStatus.STOPPED


def test_a_stop_leaves_a_page_that_says_so(directory, monkeypatch):
    stop = threading.Event()
    at_work(monkeypatch, 1000, lambda at: stop.set() if at == 5 else None)
    assert watch(directory, stop=stop)[0] == ExitStatus.STOPPED
    text = (directory.path / "report.html").read_text()
    assert "Watching ended at" in text
    assert "<script>" not in text
    assert "<!-- live -->" not in text


def test_a_sweep_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(live_page, "write_report", write)
    path = tmp_path / "run"
    timer = threading.Timer(0.2, lambda: with_three_runs(path))
    timer.start()
    said = []
    live_page.watch([path], {}, said.append, seconds=FAST, patience=1.0)
    timer.join()
    assert said[0].startswith("waiting 1 s for a sweep to begin")
    with pytest.raises(RequestError, match="holds no sweep"):
        live_page.watch([tmp_path / "absent"], {}, said.append, seconds=FAST, patience=2 * FAST)


def test_workers_count_by_their_signs_of_life(tmp_path):
    made = without_runs(tmp_path / "run")
    assert not live_page._at_work([made])
    life.write(made, "20260131-235959123456-0123abcd-89abcdef", {"doing": "training"})
    assert live_page._at_work([made])


def test_the_page_says_its_age_and_reloads_itself():
    text = live_page.live(time.time() - 30, 10)
    assert re.search(r"As of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)
    assert "location.reload()" in text
    assert "10000" in text


@pytest.mark.parametrize("more", [["--json"], ["--table", "csv"]], ids=" ".join)
def test_what_watching_does_not_print(tmp_path, capsys, more):
    assert report.run([str(tmp_path), "--watch", *more]) == 2
    assert capsys.readouterr().err.startswith("error: --watch ")


@pytest.mark.slow
def test_beside_a_sweep_and_interrupted(tmp_path):
    """In another process while a sweep trains: status 0 with its end; 75 on Ctrl-C."""
    (tmp_path / "e.py").write_text(EXPERIMENT)
    words = [sys.executable, "-m", "lanes.cli.main"]
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "text": True}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    watching = subprocess.Popen([*words, "report", "run", "--watch"], **options, **pipes)
    swept = subprocess.run([*words, "sweep", "e.py", "--out", "run", "--no-report"], **options, capture_output=True)
    assert swept.returncode == 0, swept.stderr
    out, err = watching.communicate(timeout=120)
    assert watching.returncode == 0, err
    assert "Best 3 of 3 combinations" in out
    assert 'id="live"' not in (tmp_path / "run" / "report.html").read_text()

    (tmp_path / "other").mkdir()
    waiting = subprocess.Popen([*words, "report", "other", "--watch"], **options, **pipes)
    assert "waiting" in waiting.stdout.readline()
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 75
    assert err == "stopped: the page is of its last change; repeat the command to go on watching\n"
