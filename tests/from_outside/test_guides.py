"""docs/guides and docs/nets.md: each page's blocks run in order, as a reader would run them.

A Python block with a `sweep()` is saved under the name of the experiment in the next commands; without commands, its runs are
planned. All other Python blocks are executed, with the page's folder as the current one.
"""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from lanes.cli import main

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "nets.md", *sorted(path for path in (DOCS / "guides").glob("*.md") if path.name != "README.md")]
COMMAND = re.compile(r"^\.venv/bin/lanes (.*?)(?:  #.*)?$", re.M)


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of a page's code blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def calls_after(found: list[tuple[str, str]]) -> list[list[str]]:
    """The commands up to the next experiment."""
    out: list[list[str]] = []
    for kind, text in found:
        if kind == "python" and "def sweep()" in text:
            break
        out += [shlex.split(line) for line in COMMAND.findall(text) if kind != "python"]
    return out


@pytest.mark.slow
@pytest.mark.usefixtures("promotion_of_users")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = blocks(page)
    if "equinox" in page.read_text():
        pytest.importorskip("equinox", reason="the extra `equinox` is not installed")
    # Without importing it: Ray reads how it asks for a token when it is first imported, which the command says before.
    if page.stem == "cluster" and importlib.util.find_spec("ray") is None:
        pytest.skip("the extra `cluster` is not installed")
    for at, (kind, text) in enumerate(found):
        if kind == "python" and "def sweep()" in text:
            calls = calls_after(found[at + 1 :])
            named = [words[1] for words in calls if words[0] == "sweep" and words[1].endswith(".py")]
            name = named[0] if named else f"block_{at}.py"
            Path(name).write_text(text)
            if not named:
                assert main.run(["sweep", name, "--out", f"runs/{at}", "--dry-run"]) == 0, capsys.readouterr().err
        elif kind == "python":
            exec(compile(text, page.name, "exec"), {"__name__": "__main__"})
        for words in [shlex.split(line) for line in COMMAND.findall(text) if kind != "python"]:
            assert main.run(words) == 0, capsys.readouterr().err
    if page.stem == "nets":
        import lanes

        assert lanes.load("runs/transformer").valid_accuracy.min() > 0.8
    assert (DOCS / "guides" / "README.md").read_text().count(f"({page.name})") == (page.parent.name == "guides")
