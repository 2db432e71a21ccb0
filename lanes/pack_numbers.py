"""The traced numbers of a pack's lanes, as the arrays that its programs take."""

from typing import Any

import numpy as np

from lanes.describe import runs
from lanes.planning import Pack


def numbers_of(pack: Pack) -> dict[str, np.ndarray]:
    """The traced numbers of a pack's lanes [P] by path; those of empty lanes mean nothing."""
    lanes = []
    for at in range(0, pack.size, pack.width):
        group = pack.lanes[at : at + pack.width]
        filler = next((one for one in group if one is not None), pack.members[0])  # a group has some numbers in common
        lanes += [runs.numbers((one or filler).compiled) for one in group]
    return stacked([{n: v for n, v in each.items() if not n.startswith("initializer.")} for each in lanes], pack.size)


def stacked(lanes: list[dict[str, Any]], size: int) -> dict[str, np.ndarray]:
    """Numbers by name [size]; the lanes after the given ones repeat the first."""
    lanes = lanes + [lanes[0]] * (size - len(lanes))
    kinds = {int: np.int32, float: np.float32}
    return {
        name: np.array([each[name] for each in lanes], np.uint32 if name == "seed" else kinds[_kind(name)])
        for name in lanes[0]
    }


def _kind(name: str) -> type:
    return int if name in ("epochs", "seed", "patience") else float
