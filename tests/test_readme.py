"""README and docs: links, files and commands exist, Python blocks are valid, the catalogue agrees with the tables, and the
commands of README and docs/commands.md run.

`.ci/run` runs the README's two commands that install.
"""

import importlib.util
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from lanes.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [
    path for folder in ("experiments", "scripts", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))
]
SHORT = shlex.split("--set epochs=6 train_examples=96 --seeds 2")


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of a page's code blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    """The arguments of each call of `lanes` in a page's blocks."""
    lines = [line.partition("  #")[0] for kind, text in blocks(page) if not kind for line in text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith(".venv/bin/lanes ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_pictures_exist(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        path = target.partition("#")[0]
        assert target.startswith("https://") or (page.parent / path).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_block_of_python_is_valid(page):
    for kind, text in blocks(page):
        if kind == "python":
            compile(text, page.name, "exec")


@pytest.mark.parametrize("path", [*PAGES, *SOURCES], ids=lambda path: path.stem)
def test_commands_name_existing_things(path):
    """Spelled `.venv/bin/lanes COMMAND`, `.venv/bin/python FILE` or `.venv/bin/python -m benchmarks NAME`, never otherwise."""
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\.venv/bin/lanes (\w+)", text)) <= set(COMMANDS)
    assert set(re.findall(r"\.venv/bin/python -m benchmarks (\w+)", text)) <= {*BENCHMARKS, "NAME"}
    for file in re.findall(r"\b((?:experiments|scripts|benchmarks)/[a-z\d_/]+\.(?:py|sh))", text):
        assert (ROOT / file).exists(), file
    if path.suffix == ".md":
        bare = re.findall(
            r"^(?:python3?|pip|pytest|lanes) .*", "\n".join(text for kind, text in blocks(path) if not kind), re.M
        )
        assert all(line.startswith("python3 -m venv .venv && ") for line in bare), bare


def test_the_catalogue_agrees_with_the_tables():
    page = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    catalogue = runpy.run_path(str(ROOT / "scripts" / "write_catalogue.py"))["catalogue"]
    assert catalogue(page) == page, "run .venv/bin/python scripts/write_catalogue.py"


def test_the_page_of_public_names_agrees_with_the_docstrings():
    page = runpy.run_path(str(ROOT / "scripts" / "write_api.py"))["page"]
    assert page() == (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), "run .venv/bin/python scripts/write_api.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/commands.md"])
def test_the_commands_run_in_order(name, tmp_path, monkeypatch):
    """As written, in another folder, shortened to a few small runs."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    python = next(text for kind, text in blocks(ROOT / "README.md") if kind == "python")
    (tmp_path / "my_experiment.py").write_text(python)
    calls = commands(ROOT / name)
    assert len(calls) >= 4
    for words in calls:
        if "--cluster" in words and importlib.util.find_spec("ray") is None:
            continue
        short = SHORT if words[0] == "sweep" else []
        only = ["--only", "initializer=he_normal"] if "quickstart" in " ".join(words) and short else []
        command = [sys.executable, "-m", "lanes.cli.main", *words, *short, *only]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2])
def test_blocks_for_python_and_notebooks_run(tmp_path, at):
    block = [text for kind, text in blocks(ROOT / "README.md") if kind == "python"][at]
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
