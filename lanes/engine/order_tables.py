"""Tables of the orders in which runs see their examples: one row per distinct seed of a pack, at the pack's place."""

from typing import Any

import numpy as np

from lanes.data.orders import epoch_order
from lanes.plan.packs import Pack
from lanes.program.places import Place


def seeds(pack: Pack) -> list[int]:
    """The distinct seeds of a pack's runs, in the order of the rows of its table of orders."""
    return sorted({member.run.seed for member in pack.members})


def slots(pack: Pack) -> np.ndarray:
    """Each lane's row in the table [P]; 0 for empty lanes."""
    rows = {seed: row for row, seed in enumerate(seeds(pack))}
    return np.array([rows[lane.run.seed] if lane else 0 for lane in pack.lanes], np.int32)


def shape(pack: Pack, longest: int) -> tuple[int, int, int]:
    """The shape [S, longest, floor(n / B) · B] of a table of `longest` epochs."""
    return pack.seeds, longest, pack.setup.steps_per_epoch * pack.setup.run.batch_size


class OrderTables:
    """Tables of orders at one place. The last one is kept: packs with equal seeds and lengths share it.

    A table for 64 seeds, 88 epochs and the 1,437 digits takes 33 MB and a tenth of a second to make.
    """

    def __init__(self, place: Place):
        self.place = place
        self._kept: tuple[Any, Any] = (None, None)

    def table(self, pack: Pack, longest: int, epoch: int, epochs: int) -> Any:
        """Orders [S, longest, floor(n / B) · B] at the place, for the block of `longest` epochs that contains `epoch`.

        Args:
            pack: the pack to make orders for.
            longest: epochs in the table, which starts at a multiple of it.
            epoch: an epoch that the table must contain.
            epochs: length of the pack's longest run; epochs beyond it stay 0.
        """
        first = epoch - epoch % longest
        end = min(first + longest, epochs)
        key = (shape(pack, longest), tuple(seeds(pack)), first, end, pack.setup.examples)
        if self._kept[0] != key:
            table = np.zeros(key[0], np.int32)
            for row, seed in enumerate(seeds(pack)):
                for number in range(first, end):
                    table[row, number - first] = epoch_order(
                        pack.setup.examples, seed, number, pack.setup.run.batch_size
                    )
            self._kept = key, self.place.shared(table)
        return self._kept[1]
