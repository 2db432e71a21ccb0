"""Experiment files: loading one as a module, and the runs that its `sweep()` returns.

An experiment file is code, and loading it executes it: load only files that you trust.
"""

import hashlib
import importlib.util
import linecache
import sys
import types
from pathlib import Path

from lanes.describe.encoding import EXPERIMENT
from lanes.describe.halving import Halving
from lanes.describe.runs import Run
from lanes.errors import RequestError


def load_module(path: Path, sha256: str | None = None) -> types.ModuleType:
    """The experiment file as a module; the same content is loaded once.

    It is compiled from the bytes read here: no cached bytecode is written or trusted.

    Args:
        path: the file.
        sha256: the expected hash of its content, if known.

    Raises RequestError for a file that cannot be read, has another hash, or raises.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(
            f"experiment file {path} cannot be read ({error.strerror}): give the path of a .py file"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if isinstance(sha256, str) and digest != sha256:
        raise RequestError(f"{path} is not the copy that was made: repeat the sweep's command to write it again")
    name = f"{EXPERIMENT}_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        code = compile(content, str(path), "exec")
        lines = importlib.util.decode_source(content).splitlines(keepends=True)
        # Tracebacks and `inspect` see the source that runs, even if the file changes.
        linecache.cache[str(path)] = (len(content), None, lines, str(path))
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise RequestError(f"experiment file {path} raises {_where(error, path)}") from error
    return module


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
