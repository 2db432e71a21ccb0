"""The programs of packs at one place, compiled from shapes alone, before there is anything to call them with."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lanes.data.loading import Dataset
from lanes.engine.context import ProgramContext
from lanes.engine.final_evaluation import FinalEvaluation
from lanes.engine.fresh_lanes import FreshLanes
from lanes.engine.resident_epochs import ResidentEpochs
from lanes.plan.packs import Pack, numbers_of
from lanes.program.lane import Lane
from lanes.program.over_lanes import Data
from lanes.program.places import Place

Tree = Any
Traced = Callable[[], None]


class PackPrograms:
    """Compiles the programs of packs for one place.

    What trains and evaluates a pack whose data are streamed is left to its turn.
    """

    def __init__(self, place: Place, context: ProgramContext):
        self.place, self.context = place, context
        self._fresh = FreshLanes(place, context.compiled, context.shapes)
        self._resident = ResidentEpochs(place, context)
        self._evaluation = FinalEvaluation(place, context)

    def draw(self, pack: Pack, traced: Traced | None = None) -> None:
        """Compile what draws a pack's initial variables; `traced` is called once the first such program is traced or found."""
        self._fresh.compile(pack, numbers_of(pack), traced)

    def train(self, pack: Pack, traced: Traced | None = None) -> None:
        """Compile what trains a pack; `traced` is called once it is traced or found."""
        if (shapes := self._shapes(pack)) is not None:
            self._resident.program(pack, *shapes, traced=traced)

    def evaluate(self, pack: Pack) -> None:
        """Compile what evaluates a pack's runs at their end."""
        if (shapes := self._shapes(pack)) is not None:
            lanes, numbers, data = shapes
            self._evaluation.program(pack, lanes.best, numbers, unmeasured(data))

    def _shapes(self, pack: Pack) -> tuple[Lane, Tree, Data] | None:
        """The shapes of a pack's lanes, numbers and data at the place; None if its data are streamed."""
        dataset = self.context.data_of(pack)
        if dataset.nbytes > self.context.options.data_bytes:
            return None
        numbers = numbers_of(pack)
        lanes = self.context.shapes.lanes(pack, numbers)
        data = self.place.like(arrays(dataset, list(dataset.splits())), split=False)
        return lanes, numbers, data


def arrays(dataset: Dataset, names: list[str]) -> Data:
    """Splits of a data set, on the host, and how inputs are standardized."""
    splits = {name: (np.asarray(dataset.splits()[name].x), np.asarray(dataset.splits()[name].y)) for name in names}
    return Data(splits, np.asarray(dataset.offset), np.asarray(dataset.scale))


def unmeasured(data: Data) -> Data:
    """The data set without the split that the curves measure."""
    return data._replace(splits={name: split for name, split in data.splits.items() if name != "valid"})
