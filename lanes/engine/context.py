"""What the trainers of a sweep share, whatever devices they use."""

import dataclasses
import threading

from lanes.data.loading import Dataset
from lanes.engine.options import Options
from lanes.engine.progress import Progress
from lanes.engine.rungs import WHOLE, Stage
from lanes.plan.datasets import Datasets
from lanes.plan.packs import Pack
from lanes.program.compiled import Compiled
from lanes.storage.directory import Directory
from lanes.storage.writer import Writer


@dataclasses.dataclass(frozen=True)
class Context:
    """What the trainers of a sweep share.

    Attributes:
        directory: holds checkpoints, curves and results.
        datasets: the data sets of the runs.
        compiled: the compiled programs.
        writer: writes files in its own thread, in the order they are submitted.
        progress: notified after each chunk.
        stop: once set, training ends after the chunk in progress.
        options: how the sweep is run.
        call: the name of this call.
        stage: how far packs are trained.
    """

    directory: Directory
    datasets: Datasets
    compiled: Compiled
    writer: Writer
    progress: Progress
    stop: threading.Event
    options: Options
    call: str = ""
    stage: Stage = WHOLE

    def data_of(self, pack: Pack) -> Dataset:
        """The data set of a pack's runs."""
        return self.datasets.of(pack.setup.run)

    def chunk_ended(self, pack: Pack, epoch: int) -> None:
        """Report that a pack has reached an epoch, and stop the sweep if `Options.after_chunk` returns True."""
        self.progress.epoch(pack, epoch)
        if self.options.after_chunk is not None and self.options.after_chunk(pack, epoch):
            self.stop.set()
