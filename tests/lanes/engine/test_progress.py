"""Progress is a bar in a notebook's cell and on a terminal, plain lines elsewhere, and leaves nothing behind."""

import io
import sys
import types

import pytest

from lanes.engine import progress
from lanes.engine.progress import Progress


class Pack:
    """What of a pack progress reads."""

    pack_id, signature, size, epochs = "1", "a", 4, 4
    members = (None,) * 4


@pytest.fixture
def notebook(monkeypatch):
    """IPython as in a notebook's kernel; returns the pages that the cell shows, one after the other."""
    pages: list[dict[str, str]] = []

    class Handle:
        def update(self, page, raw):
            assert raw
            pages.append(page)

    def display(page, raw, display_id):
        assert raw
        assert display_id is True
        pages.append(page)
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return pages


def trained(quiet=False):
    with Progress([Pack()], 1, quiet) as shown:
        shown.take(Pack())
        shown.begin(Pack(), 0)
        for epoch in range(3):
            shown.epoch(Pack(), epoch, epoch + 1)


def test_a_notebook_shows_one_bar(notebook, capfd):
    trained()
    assert "compiling" in notebook[0]["text/plain"]
    assert notebook[-2]["text/plain"].startswith("3/4 runs · pack 0/1 · ")
    assert notebook[-1]["text/plain"] == "3/4 runs · pack 0/1"
    assert '<progress value="3.00" max="4"' in notebook[-1]["text/html"]
    assert capfd.readouterr() == ("", "")


def test_quiet_shows_nothing(notebook, capfd):
    trained(quiet=True)
    assert not notebook
    assert capfd.readouterr() == ("", "")


def test_ipython_on_a_terminal_is_no_notebook(notebook, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace()))
    trained()
    assert not notebook


def test_a_terminal_is_left_as_it_was(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    trained()
    text = terminal.getvalue()
    assert "3/4 runs" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is shown again"
    assert text.endswith("\x1b[2K"), "the bar is erased"


def test_plain_lines_elsewhere(monkeypatch, capfd):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    with Progress([Pack()], 1, quiet=False) as shown:
        shown.take(Pack())
        shown.begin(Pack(), 0)
        shown.epoch(Pack(), 0, 2)
        shown.pack_done(Pack())
    lines = capfd.readouterr().err.splitlines()
    assert lines == ["2/4 runs · pack 0/1", "4/4 runs · pack 1/1"]
