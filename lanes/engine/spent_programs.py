"""Programs that no pack left needs: their memory is given back, so that a sweep of many nets takes no more than one of few."""

import collections
import threading
from collections.abc import Sequence
from typing import Any

from lanes.engine.fresh_lanes import INITIALIZE, drawing_keys
from lanes.plan.packs import Pack
from lanes.plan.planned import initializer_key
from lanes.program.compiled import Compiled


class SpentPrograms:
    """Counts the packs that need each program.

    Args:
        compiled: the programs.
        packs: all packs that will be trained with them.
    """

    def __init__(self, compiled: Compiled, packs: Sequence[Pack]):
        self._compiled = compiled
        self._guard = threading.Lock()
        self._signatures = collections.Counter(pack.signature for pack in packs)
        several = len(self._signatures) > 1  # otherwise they are needed to the end
        self._nets = collections.Counter(map(_net, packs)) if several else collections.Counter()

    def ended(self, pack: Pack) -> None:
        """Note that a pack has ended, and forget the programs that it was the last to need."""
        if not self._nets:
            return
        with self._guard:
            self._signatures[pack.signature] -= 1
            self._nets[_net(pack)] -= 1
            if self._signatures[pack.signature]:
                return
            drawn = set() if self._nets[_net(pack)] else drawing_keys(pack)

        def is_spent(key: tuple[Any, ...]) -> bool:
            return key[:2] in drawn or (key[0] != INITIALIZE and key[1] == pack.signature)

        self._compiled.forget(is_spent)


def _net(pack: Pack) -> str:
    """Equal for packs that share programs that draw variables."""
    first = pack.members[0]
    # A pack that holds nets of several widths has the programs of all of them.
    return pack.signature if first.sharing.widths else initializer_key(first, without_initializer=True)
