"""Errors for the user: one line with the value, the rule and the remedy."""

import difflib
import enum
import sys
from collections.abc import Iterable

LONGEST = 600  # characters of a message


class ExitStatus(enum.IntEnum):
    """Exit statuses of the commands, for shells and batch queues."""

    DONE = 0
    WRONG_REQUEST = 2
    FAILED = 3
    STOPPED = 75


class RequestError(ValueError):
    """A wrong request: nothing was started or written. Commands print it and exit with status 2.

    The message is joined to one line, made printable and cut to LONGEST characters.
    """

    def __init__(self, message: object = ""):
        line = printable(" ".join(str(message).split()))
        super().__init__(line if len(line) <= LONGEST else line[: LONGEST - 2] + " …")


def printable(text: str) -> str:
    """The text with every character that moves the cursor, colours or hides text (control, format) as its escape.

    Names, values and paths reach terminals only through this, so that none can rewrite what is shown.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(line: object) -> None:
    """Print a line on standard output, made printable."""
    print(printable(str(line)), flush=True)


def warn(line: object) -> None:
    """Print a line on standard error, made printable."""
    print(printable(str(line)), file=sys.stderr, flush=True)


class DamagedFileError(ValueError):
    """A file of a run directory whose checksum is not the recorded one."""


def unknown(kind: str, name: object, valid: Iterable[str]) -> RequestError:
    """The error for a name that is not in a table: suggests the nearest name and lists the valid ones."""
    names = sorted(valid)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return RequestError(f"unknown {kind} {name!r}: {hint}valid: {', '.join(names)}")
