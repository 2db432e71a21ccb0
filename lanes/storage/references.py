"""References to a trained run of a sweep: `DIR:run_id` or `DIR:run_id:subtree`."""

import re
from typing import NamedTuple

from lanes.errors import RequestError

PATTERN = re.compile(r"(?P<directory>.+?):(?P<run>[0-9a-f]{4,16})(?::(?P<subtree>[\w.]+))?")


class Source(NamedTuple):
    """Where weights come from: a sweep's directory, one of its runs, and a subtree of the parameters, () for all."""

    directory: str
    run: str
    subtree: tuple[str, ...]


def parse(text: str) -> Source:
    """The source that `init_from` names.

    Raises RequestError for text that is not of the form DIR:run_id[:subtree].
    """
    match = PATTERN.fullmatch(text) if isinstance(text, str) and "\0" not in text else None
    if match is None:
        raise RequestError(
            f"init_from is {text!r}: it must be DIR:run_id or DIR:run_id:subtree, run_id 4 to 16 hex digits"
        )
    subtree = match["subtree"]
    return Source(match["directory"], match["run"], tuple(subtree.split(".")) if subtree else ())
