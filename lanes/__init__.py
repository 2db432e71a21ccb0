"""lanes: whole sweeps of neural networks as compiled programs."""

from lanes.datasets import DATASETS, Dataset, Split, from_arrays
from lanes.encoded import Encoded
from lanes.errors import RequestError
from lanes.generated import (
    XOR,
    Adding,
    Blobs,
    Circles,
    ConvexRegions,
    Copy,
    Gates,
    Moons,
    Parity,
    Polynomial,
    Sine,
    Spirals,
)
from lanes.grids import choice, grid, log_uniform, sample, uniform, zipped
from lanes.halving import Halving
from lanes.inspection import summary
from lanes.interface import TrainedRun, identify, restore, sweep, train
from lanes.optimizers import OPTIMIZERS
from lanes.results import load, load_curves
from lanes.rules import RULES
from lanes.runs import Run
from lanes.schedules import SCHEDULES
from lanes.tasks import TASKS
from lanes.tfds_source import TFDS

__all__ = [
    "DATASETS",
    "OPTIMIZERS",
    "RULES",
    "SCHEDULES",
    "TASKS",
    "TFDS",
    "XOR",
    "Adding",
    "Blobs",
    "Circles",
    "ConvexRegions",
    "Copy",
    "Dataset",
    "Encoded",
    "Gates",
    "Halving",
    "Moons",
    "Parity",
    "Polynomial",
    "RequestError",
    "Run",
    "Sine",
    "Spirals",
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
    "summary",
    "sweep",
    "train",
    "uniform",
    "zipped",
]
