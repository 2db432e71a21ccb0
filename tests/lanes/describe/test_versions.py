"""Versions of the user's functions: the same for the same program, another one for whatever changes what is computed."""

import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from edited_programs import CHANGES

from lanes.describe.experiment_files import load_module
from lanes.describe.versions import Versions
from lanes.errors import RequestError

HEAD = """import dataclasses, enum, functools, math, threading
from collections import namedtuple
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
import flax.linen as nn
"""
CHECKOUT = Path(__file__).parents[3]
count = itertools.count()


def version(folder: Path, text: str, name: str = "mine") -> str:
    """The version of a function in an experiment of its own, with a text."""
    path = folder / f"experiment_{next(count)}_.py"
    path.write_text(text)
    return Versions().of(getattr(load_module(path), name))


EDITS = [(name, *pair) for name, (_, pairs) in CHANGES.items() for pair in pairs]


@pytest.mark.parametrize(("name", "old", "new"), EDITS, ids=[f"{name}: {new[:24]}" for name, _, new in EDITS])
def test_whatever_a_function_reaches_changes_its_version(name, old, new, tmp_path):
    text = HEAD + CHANGES[name][0]
    assert old in text
    assert version(tmp_path, text) != version(tmp_path, text.replace(old, new, 1))


@pytest.mark.parametrize("name", CHANGES)
def test_layout_and_what_is_not_reached_change_nothing(name, tmp_path):
    text = HEAD + CHANGES[name][0] + "\n"
    lines = text.replace("\n", "  # a comment\n").splitlines(keepends=True)
    spread = (
        "".join(lines[:5])
        + '"""A docstring."""\n\nOTHER = 7\ndef unlike(z: int) -> int:\n    return OTHER\n\n\n'
        + "".join(lines[5:])
    )
    assert version(tmp_path, text) == version(tmp_path, spread)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A = 1000", "A = 1_000"),
        ("A = 1000", "A = 500 * 2"),
        ("(A * z)", "(A\n        * z)"),
        ("(A * z)", "(A * (z))"),
        ("k = 3", "k: int = 3"),
        ("(z)", "(z: float) -> 'nothing'"),
        ("    k = 3\n", "    'Doc.'\n    k = 3\n    pass\n"),
        ("'a', 'b'", "'b', 'a'"),
        ("UNLIKE = 1", "UNLIKE = 2"),
        ("UNLIKE = 1", "UNLIKE = 1\nimport scipy\nclass Unlike: pass"),
    ],
)
def test_another_way_to_write_the_same_is_the_same_version(old, new, tmp_path):
    text = (
        HEAD
        + "UNLIKE = 1\nA = 1000\nB = {'a', 'b', 'c'}\ndef mine(z):\n    k = 3\n    return (A * z) if k in B else 0\n"
    )
    assert old in text
    assert version(tmp_path, text) == version(tmp_path, text.replace(old, new, 1))


def test_paths_and_texts_below_the_experiments_folder_are_relative_to_it(tmp_path):
    text = "from pathlib import Path\nP = Path(__file__).parent / 'a.csv'\nS = str(P)\nR = Path(__file__).resolve().parent\n"
    text += "def mine(): return P, S, R\n"
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    assert version(tmp_path / "here", text) == version(tmp_path / "there", text)
    assert version(tmp_path / "here", text) != version(tmp_path / "here", text.replace("a.csv", "b.csv"))


def test_what_cannot_be_told_apart_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(RequestError, match=r"mine of experiment has a default of type _thread\.lock.*make it inside"):
        version(tmp_path, HEAD + "def mine(z, lock=threading.Lock()): return z\n")


def test_an_edit_on_disk_does_not_speak_for_the_function_in_memory(tmp_path, monkeypatch):
    file = tmp_path / "imported_once.py"
    file.write_text("def f(z): return z\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("imported_once")
    before = Versions().of(module.f)
    file.write_text("def f(z): return 2 * z + 1\n")
    stale = Versions().of(module.f)
    edited = Versions().of(importlib.reload(module).f)
    assert len({before, stale, edited}) >= 2
    assert edited not in (before, stale)
    file.write_text("def f(z): return z\n")
    assert Versions().of(module.f) not in (before, stale)


PRINT = """
import sys
from pathlib import Path
from lanes.describe.experiment_files import load_module
from lanes.describe.versions import Versions
for path in sorted(Path(sys.argv[1]).glob("*.py")):
    print(path.name, Versions().of(load_module(path).mine))
"""


@pytest.mark.slow
def test_versions_are_equal_in_every_process(tmp_path):
    for number, (text, _) in enumerate(CHANGES.values()):
        (tmp_path / f"{number}.py").write_text(HEAD + text)
    printed = [
        subprocess.run(
            [sys.executable, "-c", PRINT, tmp_path],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(CHECKOUT), "SOME": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) == len(CHANGES)
