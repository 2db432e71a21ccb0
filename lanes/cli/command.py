"""What all commands share: one-line errors, exit statuses, the command line as typed, and a clean exit."""

import atexit
import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn, get_args, get_origin

from lanes.errors import ExitStatus, RequestError, printable, warn


def run_command(function: Callable[[Any], int | None], arguments: type, words: Sequence[str], program: str) -> int:
    """Parse `words` as `arguments`, call `function` and return the exit status. Errors are printed as one line.

    A RequestError gives status 2, any other error 3, an interrupt that the function does not handle 75.

    Args:
        function: what the command does; it returns its exit status, None for 0.
        arguments: a dataclass; its field `traceback`, if it has one, shows where an error came from.
        words: the command line after the command's name.
        program: the command's name in its help.
    """
    try:
        parsed = _parse(arguments, words, program)
    except SystemExit as stop:  # --help, or an invalid command line
        return int(stop.code or 0)
    try:
        return function(parsed) or ExitStatus.DONE
    except KeyboardInterrupt:
        warn("stopped: finished work is saved; repeat the command to resume")
        return ExitStatus.STOPPED
    except Exception as error:
        if getattr(parsed, "traceback", False):
            traceback.print_exc()
        return tell(error)


def tell(error: Exception) -> ExitStatus:
    """Print an error as one line and return the exit status: 2 for a wrong request or variable of JAX, otherwise 3."""
    if isinstance(error, RequestError):
        warn(f"error: {error}")
        return ExitStatus.WRONG_REQUEST
    if _is_of_a_variable(error):
        warn(f"error: {error}: JAX reads it from the environment; correct the variable or unset it")
        return ExitStatus.WRONG_REQUEST
    warn(f"error: {_one_line(error)}")
    return ExitStatus.FAILED


def _is_of_a_variable(error: Exception) -> bool:
    """Whether JAX refuses the value of one of its environment variables, which it reads when it is imported."""
    at = "jax/_src/config.py"
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.name == "<module>" and Path(frame.filename).as_posix().endswith(at) for frame in frames)


def leave(status: int) -> NoReturn:
    """End the process, and with it any thread of ours still running. Only for a process that runs nothing but the command.

    Other threads and what the experiment and libraries registered at exit are waited for, but not for Python to free its
    objects one by one, which takes most of a second.
    """
    # One of ours that runs still is an abandoned chunk or compilation.
    if not any(thread.name.startswith("lanes-") for thread in threading.enumerate()):
        threading._shutdown()  # type: ignore[attr-defined]  # as Python does first: ends pools, waits for threads
        atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def typed() -> str:
    """The command line as typed, for the user to repeat: `lanes sweep …`, or the interpreter and its script."""
    if Path(sys.argv[0]).name != "lanes":
        return " ".join(map(_quoted, sys.orig_argv))
    program = "lanes" if shutil.which("lanes") == sys.argv[0] else sys.argv[0]
    return " ".join(map(_quoted, [program, *sys.argv[1:]]))


def _quoted(word: str) -> str:
    """A word for a shell; with control characters in the form `$'…'`, in which they are escapes."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(_escaped(character) for character in word) + "'"


def _escaped(character: str) -> str:
    """A character inside `$'…'`; Python holds bytes of an argument that are no text as U+DC80 to U+DCFF."""
    code = ord(character)
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _parse(arguments: type, words: Sequence[str], program: str) -> Any:
    """Parse the command line as `arguments`; an invalid one prints one line and exits with status 2."""
    import tyro

    message = io.StringIO()
    try:
        with contextlib.redirect_stderr(message), _without_typeguard():
            return tyro.cli(arguments, args=words, prog=program, config=(tyro.conf.OmitSubcommandPrefixes,))
    except SystemExit as stop:
        if stop.code:
            warn(f"error: {unboxed(message.getvalue())} (--help lists the options)")
        raise


@contextlib.contextmanager
def _without_typeguard() -> Iterator[None]:
    """Let tyro see by itself whether a default fits `X | None` or a tuple: importing typeguard for it takes 0.04 s."""
    from tyro import _resolver

    asked = getattr(_resolver, "is_instance", None)  # private: where it is gone, nothing changes
    if asked is None:
        yield
        return

    def fits(typ: Any, value: Any) -> bool:
        origin, parts = get_origin(typ), get_args(typ)
        if origin is UnionType:
            return any(fits(part, value) for part in parts)
        if origin is tuple and isinstance(value, tuple):
            kinds = parts[:1] * len(value) if parts[1:] == (...,) else parts
            return len(kinds) == len(value) and all(map(fits, kinds, value))
        return origin is not tuple and bool(asked(typ, value))

    _resolver.is_instance = fits
    try:
        yield
    finally:
        _resolver.is_instance = asked


def unboxed(text: str) -> str:
    """Tyro's boxed message as one line, without its title and its pointer to the help."""
    lines = [line.strip("│ ") for line in text.splitlines() if not line.startswith(("╭", "╰"))]
    paragraphs = [" ".join(part.split()) for part in re.split(r"─{3,}", " ".join(lines))]
    return "; ".join(part for part in paragraphs if part and not part.startswith("For full helptext"))


def _one_line(error: Exception) -> str:
    line = printable(" ".join(str(error).split()))[:600]
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    return f"{kind}{line} (--traceback shows where)"
