"""What the commands share: one-line errors, exit statuses, the command line as it was typed, leaving in good order."""

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lanes.errors import ExitStatus, RequestError


def run_command(function: Callable[[Any], int | None], arguments: type, words: Sequence[str], program: str) -> int:
    """Parse `words` as `arguments` and call `function`; the exit status. Whatever is raised is one line.

    A RequestError is status 2, any other error 3; SIGINT and SIGTERM, where the function does not handle them, 75.

    Args:
        function: what the command does; it returns its exit status, None for 0.
        arguments: a dataclass; its field `traceback`, if it has one, shows where an error came from.
        words: the command line after the command's name.
        program: the command's name in its help.
    """
    try:
        parsed = _parse(arguments, words, program)
    except SystemExit as end:  # --help, or a command line that is not understood
        return int(end.code or 0)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return function(parsed) or ExitStatus.DONE
    except BrokenPipeError:
        return ExitStatus.DONE
    except KeyboardInterrupt:
        print("stopped; what had ended is saved, and the same command goes on", file=sys.stderr)
        return ExitStatus.STOPPED
    except Exception as error:
        if getattr(parsed, "traceback", False):
            traceback.print_exc()
        wrong = isinstance(error, RequestError)
        print(f"error: {error if wrong else _one_line(error)}", file=sys.stderr)
        return ExitStatus.WRONG_REQUEST if wrong else ExitStatus.FAILED
    finally:
        signal.signal(signal.SIGTERM, before)


def leave(status: int) -> NoReturn:
    """End the process. Call it only where the process is the command's own: threads that still run end with it."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.name.startswith("lanes-") for thread in threading.enumerate()):
        os._exit(status)  # a chunk or a compilation was abandoned: waiting for it, or ending under it, helps nobody
    sys.exit(status)


def typed() -> str:
    """The command line as it was typed, to be repeated: `lanes sweep …`, or an interpreter and its script."""
    if Path(sys.argv[0]).name != "lanes":
        return shlex.join(sys.orig_argv)
    program = "lanes" if shutil.which("lanes") == sys.argv[0] else sys.argv[0]
    return shlex.join([program, *sys.argv[1:]])


def _parse(arguments: type, words: Sequence[str], program: str) -> Any:
    """The command line as `arguments`; what is wrong with it is one line and exit status 2."""
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(arguments, args=words, prog=program, config=(tyro.conf.OmitSubcommandPrefixes,))
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
