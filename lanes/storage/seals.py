"""What a file of a sweep's directory says of itself under its checksum: whose it is, its name, and which states it is of.

A checksum tells that a file's content is whole. The seal tells that the file is in its place: a file of another sweep, under
another name, or of an older state than the files that belong to it counts as damaged.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

PACK_NAME = re.compile(r"[0-9a-f]{1,64}")
SPENT = "spent"  # the leaf of a checkpoint that is a measured time, so equal states may differ in it


class Mark(NamedTuple):
    """A pack's state.

    Attributes:
        number: of its checkpoint.
        content: SHA-256 of the checkpoint's leaves without the time spent: equal for equal states, whoever trained them.
    """

    number: int
    content: str


@dataclasses.dataclass(frozen=True)
class Seal:
    """What a table says of itself.

    Attributes:
        name: of the table, `runs`, `results/PACK`, `5/PACK` for standings at epoch 5.
        sweep: identity of the sweep that it belongs to, made once with the directory.
        revision: how often the table was written, for one that has a copy.
        marks: the state that each pack's rows come from; None for rows that come from none, such as those of a failed pack.
    """

    name: str
    sweep: str = ""
    revision: int = 0
    marks: Mapping[str, Mark | None] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Seal":
        """The inverse of `dataclasses.asdict`, through JSON.

        Raises ValueError, TypeError or KeyError for anything else.
        """
        marks = {
            pack: None if mark is None else Mark(int(mark[0]), str(mark[1])) for pack, mark in content["marks"].items()
        }
        if not all(PACK_NAME.fullmatch(pack) for pack in marks):
            raise ValueError("marks of packs with other names than this program gives them")
        return cls(str(content["name"]), str(content["sweep"]), int(content["revision"]), marks)


def mark_of(number: int, leaves: Mapping[str, np.ndarray]) -> Mark:
    """The mark of a state, from the leaves of its checkpoint."""
    content = hashlib.sha256()
    for name in sorted(leaves):
        if name != SPENT:
            leaf = np.ascontiguousarray(leaves[name])
            content.update(f"{name} {leaf.dtype} {np.shape(leaves[name])}\0".encode())
            content.update(leaf.reshape(-1).view(np.uint8).data if leaf.size else b"")
    return Mark(number, content.hexdigest())
