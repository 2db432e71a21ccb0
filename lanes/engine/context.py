"""What the trainers of a sweep share, whatever devices they use; part of it is all that its programs are made from."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lanes.data.loading import Dataset
from lanes.engine.callbacks import Callbacks, History, Variables
from lanes.engine.fresh_lanes import LaneShapes
from lanes.engine.options import Options
from lanes.engine.progress import Progress
from lanes.engine.rungs import WHOLE, Stage
from lanes.engine.stopping_runs import StoppingRuns
from lanes.plan.datasets import Datasets
from lanes.plan.packs import Pack
from lanes.program.compiled import Compiled
from lanes.storage.directory import Directory
from lanes.storage.finished import Finished
from lanes.storage.writer import Writer


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramContext:
    """What the programs of a sweep are made from.

    Attributes:
        datasets: the data sets of the runs.
        compiled: the compiled programs.
        options: how the sweep is run.
        variables: shapes of one lane's variables by signature, as far as planning knows them.
    """

    datasets: Datasets
    compiled: Compiled
    options: Options
    variables: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def shapes(self) -> LaneShapes:
        """The shapes of fresh lanes."""
        return LaneShapes(self.datasets, self.variables)

    def data_of(self, pack: Pack) -> Dataset:
        """The data set of a pack's runs."""
        return self.datasets.of(pack.setup.run)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context(ProgramContext):
    """What the trainers of a sweep share.

    Attributes:
        directory: holds checkpoints, curves and results.
        writer: writes files in its own thread, in the order they are submitted.
        progress: notified after each chunk.
        stop: once set, training ends after the chunk in progress.
        call: the name of this call.
        stage: how far packs are trained.
        stops: the runs that are asked to end.
        callbacks: called after each chunk of whole epochs.
        continued: the finished run that each run goes on from, by run_id; most go on from none.
        readable: set once a checkpoint has been read back.
    """

    directory: Directory
    writer: Writer
    progress: Progress
    stop: threading.Event
    call: str = ""
    stage: Stage = WHOLE
    stops: StoppingRuns = dataclasses.field(default_factory=StoppingRuns)
    callbacks: Callbacks | None = None
    continued: Mapping[str, Finished] = dataclasses.field(default_factory=dict)
    readable: threading.Event = dataclasses.field(default_factory=threading.Event)

    def chunk_ended(self, pack: Pack, before: float, epoch: float) -> None:
        """Report that a pack has been trained from one epoch to another; stop if `Options.after_chunk` returns True."""
        self.progress.epoch(pack, before, epoch)
        if self.options.after_chunk is not None and self.options.after_chunk(pack, int(epoch)):
            self.stop.set()

    def next_epoch(self, pack: Pack, epoch: int, total: int) -> int:
        """The epoch up to which a pack may be trained in one go."""
        until = self.stops.next_epoch(pack, epoch, self.stage.next_epoch(pack, epoch, total))
        return self.callbacks.next_epoch(epoch, until) if self.callbacks else until

    def call_back(
        self,
        pack: Pack,
        epoch: int,
        status: np.ndarray,
        history: History,
        epochs: np.ndarray,
        fetch: Callable[[], Variables],
    ) -> None:
        """Call the callbacks with a pack's members, and end the runs that they name. Arguments and errors: `Callbacks.after`."""
        if self.callbacks:
            data = self.data_of(pack)
            for name, run_ids in self.callbacks.after(pack, epoch, status, history, epochs, data, fetch).items():
                self.stops.ask(run_ids, name)
