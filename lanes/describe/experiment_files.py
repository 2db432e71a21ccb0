"""Experiment files: loading one as a module, and the runs that its `sweep()` returns.

An experiment file is code, and loading it executes it: load only files that you trust.
"""

import dataclasses
import errno
import hashlib
import itertools
import os
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lanes.describe.halving import Halving
from lanes.describe.neighbours import Loaded, Neighbours, neighbours_of
from lanes.describe.public_names import EXPERIMENT, LOADED
from lanes.describe.runs import Run
from lanes.errors import DamagedFileError, RequestError
from lanes.files import read_regular

MOST_SOURCE = 1 << 26  # bytes of a file of code
BUSY = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.ESTALE)  # reading may succeed later


@dataclasses.dataclass(frozen=True)
class Copied:
    """Where a copy of an experiment comes from, and the copies of the modules beside it.

    Attributes:
        file: the experiment's own file, whose folder holds its data; "" if unknown.
        modules: SHA-256 of each module's copy, by path relative to `folder`.
        folder: of the copies of the modules.
    """

    file: str
    modules: Mapping[str, str]
    folder: Path


def load_module(path: Path, sha256: str | None = None, copied: Copied | None = None) -> types.ModuleType:
    """The experiment file as a module; the same file with the same content is loaded once.

    It is compiled from the bytes read here: no cached bytecode is written or trusted. Modules beside it are imported for it
    alone (`lanes.describe.neighbours`). Of a copy, `__file__` is the original's as long as the folder of that is there, so
    that data beside the original are found.

    Args:
        path: the file.
        sha256: the expected hash of its content, if known.
        copied: where it comes from, if it is a copy in a sweep's directory.

    Raises RequestError for a file that cannot be read, has another hash, or raises.
    """
    try:
        content = read_regular(path, MOST_SOURCE)
    except DamagedFileError as error:
        raise RequestError(f"experiment file {path} {error}: give the path of a .py file") from None
    except OSError as error:
        if error.errno in BUSY:
            raise  # no fault of the path
        raise RequestError(
            f"experiment file {path} cannot be read ({error.strerror}): give the path of a .py file"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if isinstance(sha256, str) and digest != sha256:
        raise RequestError(f"{path} is not the copy that was made: repeat the sweep's command to write it again")
    file = Path(os.path.abspath(path))
    if copied is not None and copied.file and Path(copied.file).parent.is_dir():
        file = Path(copied.file)
    name = _name(content, file, copied)
    if name in sys.modules:
        sys.modules[name] = sys.modules.pop(name)  # the last one that `origin` finds
        return sys.modules[name]
    expected = (None, None) if copied is None else (copied.folder, copied.modules)
    neighbours = Neighbours(name, file.parent, *expected)
    module = types.ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        neighbours.execute(module, path, content)
    except (Exception, SystemExit) as error:
        for key in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
            del sys.modules[key]
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"experiment file {path} raises {_where(error, path)}") from error
    return module


def _name(content: bytes, file: Path, copied: Copied | None) -> str:
    """The name of an experiment's module; another one if a module beside it has changed since it was loaded."""
    parts = [str(file), copied and sorted(copied.modules.items())]
    name = f"{EXPERIMENT}_{hashlib.sha256(content + repr(parts).encode()).hexdigest()[:16]}"
    for number in itertools.count(2):
        neighbours = neighbours_of(sys.modules.get(name))
        if neighbours is None or copied is not None or neighbours.is_current():
            return name
        name = f"{name[: len(EXPERIMENT) + 17]}_{number}"
    raise AssertionError


@dataclasses.dataclass(frozen=True)
class Origin:
    """A loaded experiment: the experiment's own file, also of a copy, what it held, and the modules beside it."""

    file: str
    content: bytes
    neighbours: Neighbours


def origin(path: Path) -> Origin | None:
    """The experiment that was last loaded from a file; None if it has not been loaded."""
    # By name first: looking into a module can load it.
    loaded_ones = [module for name, module in list(sys.modules.items()) if LOADED.fullmatch(name)]
    found = [module for module in loaded_ones if _is_from(module, path)]
    loaded = vars(found[-1])["__loader__"] if found else None
    return None if loaded is None else Origin(str(found[-1].__file__), loaded.content, loaded.neighbours)


def _is_from(module: Any, path: Path) -> bool:
    loaded = vars(module).get("__loader__") if isinstance(module, types.ModuleType) else None
    return isinstance(loaded, Loaded) and loaded.compiled_from == path


def runs_of(path: Path) -> list[Run]:
    """The runs that the file's `sweep()` returns.

    Raises RequestError if there is no `sweep()`, it raises, or it returns anything but a non-empty list of runs.
    """
    module = load_module(path)
    if not callable(getattr(module, "sweep", None)):
        raise RequestError(f"experiment file {path} has no function sweep(): define `def sweep() -> list[Run]`")
    try:
        result = module.sweep()
    except RequestError:
        raise
    except (Exception, SystemExit) as error:
        raise RequestError(f"sweep() of {path} raises {_where(error, path)}") from error
    if not isinstance(result, (list, tuple)) or not all(isinstance(run, Run) for run in result):
        raise RequestError(
            f"sweep() of {path} returned {type(result).__name__} {_shown(result)}: it must return a list of Run"
        )
    if not result:
        raise RequestError(f"sweep() of {path} returned no runs: return at least one")
    return list(result)


def halving_of(path: Path) -> Halving | None:
    """The file's HALVING, or None if it has none.

    Raises RequestError if it is not a Halving.
    """
    halving = getattr(load_module(path), "HALVING", None)
    if halving is not None and not isinstance(halving, Halving):
        raise RequestError(
            f"HALVING of {path} is {type(halving).__name__} {_shown(halving)}: "
            "it must be a Halving, such as Halving(rungs=(5, 10), keep=0.5)"
        )
    return halving


def callbacks_of(path: Path) -> tuple[Any, ...]:
    """The file's CALLBACKS, empty if it has none.

    Raises RequestError if it is no list of functions.
    """
    callbacks = getattr(load_module(path), "CALLBACKS", ())
    if not isinstance(callbacks, (list, tuple)) or not all(map(callable, callbacks)):
        raise RequestError(
            f"CALLBACKS of {path} is {type(callbacks).__name__} {_shown(callbacks)}: it must be a list of functions, such as "
            "CALLBACKS = [lanes.JSONLines()]"
        )
    return tuple(callbacks)


def _shown(value: object) -> str:
    """The beginning of a value's `repr`, in one line; empty if `repr` raises."""
    try:
        return " ".join(f"{value!r}".split())[:60]
    except Exception:
        return ""


def _where(error: BaseException, path: Path) -> str:
    """`TypeError: … (line 12)` for the innermost frame inside the file."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    message = (str(error).strip().splitlines() or [""])[0]
    place = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {message}{place}"
