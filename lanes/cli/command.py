"""What the scripts share: one-line errors, exit statuses, and leaving in good order."""

import contextlib
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from lanes.errors import RequestError

WRONG_REQUEST, FAILED, STOPPED = 2, 3, 75


def run_main(function: Callable[[Any], int | None], arguments: type) -> None:
    """Parse the command line as `arguments`, call `function`, exit with its status. Whatever is raised is one line.

    A RequestError is status 2, any other error 3; SIGINT and SIGTERM, where the function does not handle them, 75.
    `arguments` is a dataclass with a field `traceback`, which shows where an error came from.
    """
    parsed = _parse(arguments)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = function(parsed) or 0
    except BrokenPipeError:
        status = 0
    except KeyboardInterrupt:
        print("stopped; what had ended is saved, and the same command goes on", file=sys.stderr)
        status = STOPPED
    except Exception as error:
        if getattr(parsed, "traceback", False):
            traceback.print_exc()
        wrong = isinstance(error, RequestError)
        print(f"error: {error if wrong else _one_line(error)}", file=sys.stderr)
        status = WRONG_REQUEST if wrong else FAILED
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.stdout.flush()
    sys.stderr.flush()
    is_program = function.__module__ == "__main__"
    if is_program and any(thread.name.startswith("lanes-") for thread in threading.enumerate()):
        os._exit(status)  # a chunk or a compilation was abandoned: waiting for it, or ending under it, helps nobody
    sys.exit(status)


def _parse(arguments: type) -> Any:
    """The command line as `arguments`; what is wrong with it is one line and exit status 2."""
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(arguments, config=(tyro.conf.OmitSubcommandPrefixes,))
    except SystemExit as end:
        if end.code:
            print(f"error: {unboxed(said.getvalue())} (--help lists the options)", file=sys.stderr)
        raise


def unboxed(text: str) -> str:
    """Tyro's box of several paragraphs as one line, without its title and its pointer to the help."""
    lines = [line.strip("│ ") for line in text.splitlines() if not line.startswith(("╭", "╰"))]
    paragraphs = [" ".join(part.split()) for part in re.split(r"─{3,}", " ".join(lines))]
    return "; ".join(part for part in paragraphs if part and not part.startswith("For full helptext"))


def _one_line(error: Exception) -> str:
    line = " ".join(str(error).split())[:600]
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    return f"{kind}{line} (--traceback shows where)"
