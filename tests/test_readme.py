"""The README is true: its experiment trains, its commands run, its files exist. (.ci/run runs the installation.)"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.M | re.S)
COMMANDS = [
    line.partition("  #")[0].strip()
    for kind, text in BLOCKS
    if not kind
    for line in text.splitlines()
    if line.startswith("python scripts/")
]


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_block_of_python_is_valid():
    blocks = [text for kind, text in BLOCKS if kind == "python"]
    assert len(blocks) == 2
    for text in blocks:
        compile(text, "README.md", "exec")


@pytest.mark.slow
def test_the_commands_run_in_their_order(tmp_path):
    """As written, but in another directory and on a few short runs."""
    (tmp_path / "my_experiment.py").write_text(next(text for kind, text in BLOCKS if kind == "python"))
    assert len(COMMANDS) == 5
    short = "--set epochs=1 train_examples=96 --seeds 2"
    sweep(tmp_path, f"{ROOT}/experiments/quickstart.py --out runs/quickstart {short} --only initializer=he_normal")
    for command in COMMANDS:
        words = shlex.split(command.replace("scripts/", f"{ROOT}/scripts/"))
        if "sweep.py" in command and "--dry-run" not in command:
            words += shlex.split(short)
        done = subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/quickstart/report.html").exists()


def sweep(folder: Path, arguments: str) -> None:
    words = [sys.executable, f"{ROOT}/scripts/sweep.py", *shlex.split(arguments)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_notebook_block_runs(tmp_path):
    block = [text for kind, text in BLOCKS if kind == "python"][1]
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
