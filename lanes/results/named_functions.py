"""Functions that a command line names: of a file, of a directory's experiment, or of an installed module."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.describe.experiment_files import load_module
from lanes.errors import RequestError
from lanes.storage.directory import Directory
from lanes.storage.experiment_copies import modules_of

EXPERIMENT = "experiment"


def names_code(text: Any) -> bool:
    """Whether a text is `FILE.py:NAME` or `experiment:NAME`."""
    if not isinstance(text, str):
        return False
    where, colon, name = text.rpartition(":")
    return bool(colon) and name.isidentifier() and (where == EXPERIMENT or where.endswith(".py"))


def function_named(
    text: str, option: str, directory: Directory, rows: Sequence[pd.Series], trust: bool, modules: bool = False
) -> Callable[..., Any]:
    """The function that a text names: `FILE.py:NAME`, `experiment:NAME` or, with `modules`, `MODULE:NAME`.

    Loading a file executes it. A file inside the directory counts as the directory's code.

    Args:
        text: the name.
        option: that it stands in, for messages.
        directory: whose copy of the experiment is meant by `experiment`.
        rows: of the runs' plan, which say whose copy.
        trust: False refuses to execute code of the directory.
        modules: whether installed modules may be named.

    Raises RequestError if there is no such function, or it needs code that is not trusted.
    """
    where, _, name = text.rpartition(":")
    ways = "FILE.py:NAME, experiment:NAME" + (" or MODULE:NAME, such as sklearn.metrics:log_loss" if modules else "")
    if not where or not name.isidentifier():
        raise RequestError(f"{option} is {text!r}: name a function, {ways}")
    if where == EXPERIMENT:
        module: Any = _experiment(option, directory, rows, trust)
    elif where.endswith(".py"):
        file = Path(where)
        if not trust and file.resolve().is_relative_to(directory.path.resolve()):
            raise RequestError(f"{option} is {text}, which is code of {directory.path}: leave out --no-code")
        module = load_module(file)
    elif modules:
        try:
            module = importlib.import_module(where)
        except Exception as error:  # whatever a module raises
            raise RequestError(f"{option} is {text!r}: {where} cannot be imported ({error})") from None
    else:
        raise RequestError(f"{option} is {text!r}: name a function, {ways}")
    found = getattr(module, name, None)
    if not callable(found):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise RequestError(f"{option} is {text!r}: {where} has {what} of the name {name}: name a function")
    return found


def _experiment(option: str, directory: Directory, rows: Sequence[pd.Series], trust: bool) -> Any:
    names = {row.get("experiment") for row in rows}
    if len(names) != 1 or not isinstance(next(iter(names)), str):
        raise RequestError(
            f"{option}: the runs of {directory.path} do not come from one experiment file: name the function as FILE.py:NAME"
        )
    row = rows[0]
    path = directory.path / Path(row["experiment"]).name
    if not trust:
        raise RequestError(f"{option} needs {path}, which is code: read it, and leave out --no-code if you trust it")
    return load_module(path, row.get("experiment_sha256"), modules_of(directory, row.get("experiment_modules")))
