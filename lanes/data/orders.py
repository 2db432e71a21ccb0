"""The order in which a run sees its training examples: made on the host once per seed, shared by runs of that seed."""

from typing import Any

import numpy as np

from lanes.plan.packs import Pack
from lanes.program.places import Place

ORDER_STREAM = 0x0DE5  # names this stream of randomness, so that no other use of the run's seed repeats it


def epoch_order(n: int, seed: int, epoch: int, batch_size: int = 1) -> np.ndarray:
    """A fresh permutation of `n` examples for one epoch, cut to whole batches.

    Args:
        n: number of training examples.
        seed: the run's seed. Runs of equal `n`, `batch_size` and seed see the same batches in the same order.
        epoch: number of the epoch, from 0. Any epoch's order is made directly, without those before it.
        batch_size: B; the order is cut to floor(n / B) · B examples, and batch i is `order[i * B : (i + 1) * B]`.

    Returns:
        int32 [floor(n / B) · B], distinct indices into the training split.

    Raises:
        ValueError: `batch_size` is not in 1 … n.
    """
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size={batch_size}: must be from 1 to the number of training examples ({n}); change it")
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, ORDER_STREAM, epoch])))
    return generator.permutation(n)[: n // batch_size * batch_size].astype(np.int32)


def seeds(pack: Pack) -> list[int]:
    """The distinct seeds of a pack's runs: a row each of its table of orders."""
    return sorted({member.run.seed for member in pack.members})


def slots(pack: Pack) -> np.ndarray:
    """Each lane's row in that table [P]; 0 for empty lanes."""
    rows = {seed: row for row, seed in enumerate(seeds(pack))}
    return np.array([rows[lane.run.seed] if lane else 0 for lane in pack.lanes], np.int32)


def shape(pack: Pack, longest: int) -> tuple[int, int, int]:
    """[S, longest, floor(n / B) · B]: of a table with room for so many epochs."""
    return pack.seeds, longest, pack.setup.steps_per_epoch * pack.setup.run.batch_size


class Orders:
    """Tables of orders at one place, of which the last is kept: packs of equal seeds and lengths share it.

    For Work A with 64 seeds a table has 33 MB, and to make it takes a tenth of a second.
    """

    def __init__(self, place: Place):
        self.place = place
        self._kept: tuple[Any, Any] = (None, None)

    def table(self, pack: Pack, longest: int, epoch: int, epochs: int) -> Any:
        """Orders [S, longest, floor(n / B) · B] on the place, of the epochs from the last multiple of `longest` on.

        Args:
            pack: whose runs they are for.
            longest: epochs that there is room for.
            epoch: that must be among them.
            epochs: of the pack's longest run; what comes after them stays 0.
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
