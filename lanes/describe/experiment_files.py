"""Experiment files: loading one as a module, and the runs that its `sweep()` returns.

An experiment file is code: loading it runs it, with all that it may do. Run only files that you trust.
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

    It is compiled from the bytes that are read here: no compiled file is left beside it, or believed.

    Args:
        path: the file.
        sha256: what its content must hash to, where that is known.

    Raises RequestError for a file that is missing, that is not what it was, or that raises.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(
            f"experiment file {path} cannot be read ({error.strerror}): give the path of a .py file"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if isinstance(sha256, str) and digest != sha256:
        raise RequestError(f"{path} is not the copy that was made: run the sweep's command again to make it again")
    name = f"{EXPERIMENT}_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        code = compile(content, str(path), "exec")
        lines = importlib.util.decode_source(content).splitlines(keepends=True)
        linecache.cache[str(path)] = (
            len(content),
            None,
            lines,
            str(path),
        )  # what is running, whatever becomes of the file
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise RequestError(f"experiment file {path} raises {_where(error, path)}") from error
    return module


def runs_of(path: Path) -> list[Run]:
    """What the file's `sweep()` returns.

    Raises RequestError where there is none, it raises, or it returns anything but a list of runs.
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
    """The file's HALVING, or None where it has none.

    Raises RequestError where it is something else.
    """
    halving = getattr(load_module(path), "HALVING", None)
    if halving is not None and not isinstance(halving, Halving):
        raise RequestError(
            f"HALVING of {path} is {type(halving).__name__} {_shown(halving)}: it must be Halving(rungs=(5, 10), keep=0.5)"
        )
    return halving


def _shown(value: object) -> str:
    """The beginning of a value's text, in one line, whatever its `repr` does."""
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
