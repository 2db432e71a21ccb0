"""The question of a sweep: the docstring of its experiment file, read from the directory's copy without executing it."""

import ast
import inspect
import os
import warnings
from pathlib import Path

import pandas as pd

from lanes.files import is_file_of, read_regular

MOST = 1 << 22  # bytes of a file that is read for its docstring


def questions(path: str | os.PathLike[str], runs: pd.DataFrame) -> list[str]:
    """The docstrings of the experiment files that a directory's runs come from, each once, in the order of the plan.

    A copy that is missing, or is not the one that the runs were made from, has none; nor have runs from Python.

    Args:
        path: the sweep's directory.
        runs: `lanes.load`'s table, or rows of it.
    """
    if "experiment" not in runs or "experiment_sha256" not in runs:
        return []
    copies = runs[["experiment", "experiment_sha256"]].dropna().drop_duplicates()
    found = [_docstring(Path(path) / Path(name).name, sha256) for name, sha256 in copies.itertuples(index=False)]
    return list(dict.fromkeys(text for text in found if text))


def _docstring(copy: Path, sha256: str) -> str:
    """The docstring of a module, its lines without their common indentation; empty without one."""
    try:
        if not is_file_of(copy, sha256, MOST):
            return ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in the source
            module = ast.parse(read_regular(copy, MOST))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return inspect.cleandoc(ast.get_docstring(module, clean=False) or "").strip()


def paragraphs(text: str) -> list[tuple[str, bool]]:
    """A docstring's paragraphs, and whether each is literal: indented lines stay as they are, others are joined."""
    out: list[tuple[str, bool]] = []
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            lines.append(line.rstrip())
        elif lines:
            literal = all(each.startswith((" ", "\t")) for each in lines)
            out.append(
                (inspect.cleandoc("\n" + "\n".join(lines)) if literal else " ".join(map(str.strip, lines)), literal)
            )
            lines = []
    return out
