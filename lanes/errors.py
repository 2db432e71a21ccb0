"""The errors that people see: one line with what was got, the rule, and what to do."""

import difflib
import enum
from collections.abc import Iterable

LONGEST = 600  # characters of a message


class ExitStatus(enum.IntEnum):
    """How a command ends, as a batch queue sees it."""

    DONE = 0
    WRONG_REQUEST = 2
    FAILED = 3
    STOPPED = 75


class RequestError(ValueError):
    """A wrong request: nothing was started or written. Scripts print it in one line and exit with status 2.

    Whatever the message quotes, it is one line.
    """

    def __init__(self, message: object = ""):
        line = " ".join(str(message).split())
        super().__init__(line if len(line) <= LONGEST else line[: LONGEST - 2] + " …")


class DamagedFileError(ValueError):
    """A file of a run directory does not have the checksum that it was written with."""


def unknown(kind: str, name: object, valid: Iterable[str]) -> RequestError:
    """The error for a name that is not in a table: suggests the nearest and lists the valid ones."""
    names = sorted(valid)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return RequestError(f"unknown {kind} {name!r}: {hint}valid: {', '.join(names)}")
