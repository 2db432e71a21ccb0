"""lanes: whole sweeps of neural networks as compiled programs."""

from lanes.datasets import DATASETS, Dataset, Split, from_arrays
from lanes.encoded import Encoded
from lanes.errors import RequestError
from lanes.grids import choice, grid, log_uniform, sample, uniform, zipped
from lanes.interface import TrainedRun, identify, restore, sweep, train
from lanes.optimizers import OPTIMIZERS
from lanes.results import load, load_curves
from lanes.rules import RULES
from lanes.runs import Run
from lanes.schedules import SCHEDULES
from lanes.tasks import TASKS

__all__ = [
    "DATASETS",
    "OPTIMIZERS",
    "RULES",
    "SCHEDULES",
    "TASKS",
    "Dataset",
    "Encoded",
    "RequestError",
    "Run",
    "Split",
    "TrainedRun",
    "choice",
    "from_arrays",
    "grid",
    "identify",
    "load",
    "load_curves",
    "log_uniform",
    "restore",
    "sample",
    "sweep",
    "train",
    "uniform",
    "zipped",
]
