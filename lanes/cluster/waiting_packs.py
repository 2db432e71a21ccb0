"""Packs that wait for a worker, and which of them a worker is given next."""

import collections
import math
from collections.abc import Callable, Hashable, Sequence

from lanes.plan.packs import Pack

TASK_SECONDS = 15.0  # of training that a worker is given in one go, while there is enough for all


class WaitingPacks:
    """A queue for each program.

    A worker goes on with programs that it has compiled; a further one takes the program of which most is left for each of its
    workers. What a worker is given at once grows with the speed of its packs and shrinks as the end comes near. Packs that have
    lost their worker come last and alone: they may be what ended it.

    Args:
        packs: those to train, in order.
        most: packs given at once for each place of a worker, at most.
    """

    def __init__(self, packs: Sequence[Pack], most: int):
        self._most = most
        self._queues: dict[str, collections.deque[Pack]] = {}
        for pack in packs:
            self._queues.setdefault(pack.signature, collections.deque()).append(pack)
        self._lost: collections.deque[Pack] = collections.deque()
        self._workers: dict[str, set[Hashable]] = collections.defaultdict(set)  # that have the program
        self._seconds: dict[str, float] = {}  # for a pack of the program at one place
        self._count = len(packs)

    def __len__(self) -> int:
        return self._count

    def give_back(self, pack: Pack) -> None:
        """Put in a pack whose worker is lost."""
        self._lost.append(pack)
        self._count += 1

    def note(self, signature: str, seconds: float) -> None:
        """Note how long a pack of a program took at one place; the first includes compiling."""
        self._seconds[signature] = min(seconds, self._seconds.get(signature, math.inf))

    def forget(self, worker: Hashable) -> None:
        """Note that a worker is gone, and its programs with it."""
        for known in self._workers.values():
            known.discard(worker)

    def take(self, worker: Hashable, places: int, workers: int, is_free: Callable[[Pack], bool]) -> list[Pack]:
        """The packs that a worker is given next; none if there are none, or others train all that are left.

        Args:
            worker: who asks.
            places: how many packs it trains at the same time.
            workers: how many there are.
            is_free: whether a pack may be taken now.
        """
        for signature in self._by_preference(worker):
            queue = self._queues[signature]
            size = self._size(signature, places, workers)
            taken: list[Pack] = []
            for _ in range(len(queue)):
                pack = queue.popleft()
                (taken if is_free(pack) else queue).append(pack)
                if len(taken) == size:
                    break
            if taken:
                self._workers[signature].add(worker)
                self._count -= len(taken)
                return taken
        for _ in range(len(self._lost)):
            pack = self._lost.popleft()
            if is_free(pack):
                self._count -= 1
                return [pack]
            self._lost.append(pack)
        return []

    def _by_preference(self, worker: Hashable) -> list[str]:
        left = {name: len(queue) / (1 + len(self._workers[name])) for name, queue in self._queues.items() if queue}
        return sorted(left, key=lambda name: (worker not in self._workers[name], -left[name]))

    def _size(self, signature: str, places: int, workers: int) -> int:
        each = self._seconds.get(signature)
        wanted = places * (1 if each is None else max(1, int(TASK_SECONDS / max(each, 1e-3))))
        fair = math.ceil(self._count / workers)
        return max(1, min(wanted, self._most, fair if fair <= places else max(places, fair // 2)))
