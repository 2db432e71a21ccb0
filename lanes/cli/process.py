"""The process of a command: output whose failure changes nothing, and signals that end it with status 75.

Only the process's entry point calls these; commands that are called from Python leave streams and signals as they are.
"""

import contextlib
import ctypes
import gc
import glob
import importlib.util
import io
import os
import signal
import sys
from typing import Any

from lanes.engine.signals import stopping_signals
from lanes.errors import ExitStatus, warn

# JAX reads each from the environment; with it, programs cannot be compiled or end where a run diverges.
IGNORED = ("JAX_ENABLE_X64", "JAX_DISABLE_JIT", "JAX_DEBUG_NANS", "JAX_DEBUG_INFS", "JAX_TRANSFER_GUARD")


class _Unfailing(io.FileIO):
    """A file whose writes never raise: a closed pipe, a full disk or a hung-up terminal loses text, and nothing else."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def make_output_unfailing() -> None:
    """Make printing never fail: text that cannot be written is lost, characters that the encoding lacks become `?`.

    Standard streams that were closed on start are opened on the null device, as files opened later would take their
    numbers and receive what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = _unfailing(1, sys.stdout)
    sys.stderr = _unfailing(2, sys.stderr)


def _unfailing(number: int, before: Any) -> io.TextIOWrapper:
    raw = _Unfailing(number, "w", closefd=False)
    encoding = getattr(before, "encoding", None) or "utf-8"
    # stderr passes each line on at once, also where it is no terminal.
    by_line = raw.isatty() or number == 2
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=by_line)


def ignore_debugging_variables() -> None:
    """Remove JAX's debugging variables from the environment, with a line each, before JAX is imported."""
    for name in IGNORED:
        if os.environ.pop(name, "").lower() not in ("", "0", "false", "f", "off", "no", "n", "allow"):
            warn(f"note: {name} is ignored: runs are compiled, in float32, and may diverge")


def let_idle_threads_sleep() -> None:
    """Let the threads of NumPy's and SciPy's OpenBLAS sleep after 2¹⁶ cycles without work, before those are imported.

    By default each of them runs idle for 2²⁶ cycles after its start and after each product, on a core that compiles or trains.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")


LOADING = 500_000  # more objects than imports make


def collect_rarely() -> None:
    """Look for garbage in reference cycles first after 500,000 new objects, then as `loaded` says, in place of every 700.

    Imports and tracing make millions of objects that stay, and walking through them again and again takes a tenth of a short
    sweep's time.
    """
    gc.set_threshold(LOADING, 20, 20)


def loaded() -> None:
    """After `collect_rarely`: never look at the objects that imports made, and for garbage after every 50,000 from now on."""
    if gc.get_threshold()[0] == LOADING:
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)


def load_f2py_when_used() -> None:
    """Load `numpy.f2py` when something of it is used, which here is never.

    SciPy takes all names from NumPy, this module among them, and loading it takes a tenth of a second.
    """
    name = "numpy.f2py"
    if name in sys.modules or (spec := importlib.util.find_spec(name)) is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    sys.modules["numpy"].f2py = module  # type: ignore[attr-defined]  # as an import sets it


MALLOC = {-1: 2**30, -2: 2**26, -3: 2**25}  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, in bytes


def keep_freed_memory() -> None:
    """Let the C library's allocator (glibc's) keep freed memory for what comes next, and take it in large pieces.

    XLA's compiler and the steps of training ask for it and free it again and again, and each page that comes anew from the
    system costs. `lanes.program.memory.give_back` gives it back where a program is no longer needed.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, size in MALLOC.items():
            mallopt(parameter, size)


def import_jax() -> None:
    """Import JAX without reading the metadata of all installed packages, unless one is a plugin for ROCm.

    It looks for the name of such a plugin there, which the names of their folders tell: 0.04 s for 150 packages.
    """
    import importlib.metadata as metadata

    read = metadata.distributions
    if not any(glob.glob("jax[-_]rocm*", root_dir=folder) for folder in sys.path if os.path.isdir(folder)):
        metadata.distributions = lambda **_: iter(())
    try:
        import jax  # noqa: F401
    finally:
        metadata.distributions = read


def exit_on_signals() -> None:
    """On a signal that stops, print a line and exit at once with status 75.

    This holds while nothing is being trained: during imports, planning, evaluation and reports. An exception raised by a
    handler could be lost inside an import. What has been written is whole, since files are renamed into place.
    """
    for number in stopping_signals():
        signal.signal(number, _exit)


def _exit(*_: Any) -> None:
    with contextlib.suppress(BaseException):  # the signal may have interrupted a write to the same stream
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, b"stopped: finished work is saved; repeat the command to resume\n")
    os._exit(ExitStatus.STOPPED)
