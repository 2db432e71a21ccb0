"""Metrics of a pack's runs when they have ended, on the splits held on the device."""

from collections.abc import Callable
from typing import Any

from lanes.engine import group_calls
from lanes.engine.context import ProgramContext
from lanes.engine.fresh_lanes import cheap_to_compile
from lanes.plan.packs import Pack
from lanes.program.metrics import Evaluate
from lanes.program.over_lanes import Data
from lanes.program.places import Place

Tree = Any


def evaluation_key(pack: Pack, *which: Any) -> tuple[Any, ...]:
    """The key of a pack's evaluation program; `which` says on what."""
    return "evaluate", pack.signature, pack.width, pack.size, *which


class FinalEvaluation:
    """Evaluates packs at one place."""

    def __init__(self, place: Place, context: ProgramContext):
        self.place, self.context = place, context

    def program(self, pack: Pack, variables: Tree, numbers: Tree, data: Data) -> Callable:
        """A pack's evaluation program, compiled for the place; the arguments may be shapes."""
        count = group_calls.lanes_per_call(self.place, pack)
        own = group_calls.first_lanes(self.place, (variables, numbers), count)
        key = evaluation_key(pack, tuple(data.splits))
        # pmap takes no options, and shard_map must equal it bit for bit.
        options = cheap_to_compile(self.place) if self.place.mapping == "local" else {}
        function = Evaluate(pack.setup, pack.width)
        return self.context.compiled.get(key, self.place, function, 2, (*own, data), stored=True, **options)

    def __call__(self, pack: Pack, variables: Tree, numbers: Tree, data: Data) -> dict[str, dict[str, Any]]:
        """Metrics [P] by split and name, from variables and numbers [P] and the data set at the place."""
        program = self.program(pack, variables, numbers, data)
        count = group_calls.lanes_per_call(self.place, pack)
        return group_calls.call(program, count, (variables, numbers), (data,))
