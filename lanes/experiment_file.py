"""Experiment files: loading one as a module, and the runs that its `sweep()` returns.

An experiment file is code: loading it runs it, with all that it may do. Run only files that you trust.
"""

import hashlib
import importlib.util
import sys
import types
from pathlib import Path

from lanes.descriptions import EXPERIMENT
from lanes.errors import RequestError
from lanes.runs import Run


def load_module(path: Path) -> types.ModuleType:
    """The experiment file as a module; the same content is loaded once.

    Raises RequestError for a file that is missing or that raises.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(
            f"experiment file {path} cannot be read ({error.strerror}): give the path of a .py file"
        ) from None
    name = f"{EXPERIMENT}_{hashlib.sha256(content).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"experiment file {path} is no Python file: give the path of a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
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
    except Exception as error:
        raise RequestError(f"sweep() of {path} raises {_where(error, path)}") from error
    if not isinstance(result, (list, tuple)) or not all(isinstance(run, Run) for run in result):
        raise RequestError(
            f"sweep() of {path} returned {type(result).__name__} {result!r:.60}: it must return a list of Run"
        )
    if not result:
        raise RequestError(f"sweep() of {path} returned no runs: return at least one")
    return list(result)


def _where(error: Exception, path: Path) -> str:
    """`TypeError: … (line 12)` for the innermost frame inside the file."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    message = (str(error).strip().splitlines() or [""])[0]
    place = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {message}{place}"
