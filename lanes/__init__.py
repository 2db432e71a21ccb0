"""lanes: whole sweeps of neural networks as compiled programs."""

from lanes.augmentation import AUGMENTATIONS, Mixup
from lanes.averaging import AVERAGES, EMA, SWA
from lanes.datasets import DATASETS, Dataset, Split, from_arrays
from lanes.digits import Digits
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
from lanes.geometry import Affine, Crop, Mirror, Rotate, TimeShift, Translate
from lanes.grids import choice, grid, log_uniform, sample, uniform, zipped
from lanes.halving import Halving
from lanes.inspection import summary
from lanes.interface import TrainedRun, identify, restore, sweep, train
from lanes.noise import Brightness, Contrast, Cutout, GaussianNoise, MaskingNoise, PCAJitter, SaltAndPepper
from lanes.objectives import Classify, IntegerCoded, MultiLabel, NextToken, Regress
from lanes.optimizers import (
    LAMB,
    LBFGS,
    OPTIMIZERS,
    SGD,
    SGLD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Momentum,
    Nesterov,
    RMSProp,
)
from lanes.reconstruction import Adversarial, Elbo, Impute, Reconstruct
from lanes.results import load, load_curves
from lanes.rules import RULES, ContrastiveDivergence, DeltaRule, Evolution, Gradient, MuLambda, PerceptronRule
from lanes.runs import Run
from lanes.schedules import SCHEDULES, Constant, Cosine, Exponential, Linear, ReduceOnPlateau, Step, Warmup
from lanes.tasks import TASKS
from lanes.tfds_source import TFDS

__all__ = [
    "AUGMENTATIONS",
    "AVERAGES",
    "DATASETS",
    "EMA",
    "LAMB",
    "LBFGS",
    "OPTIMIZERS",
    "RULES",
    "SCHEDULES",
    "SGD",
    "SGLD",
    "SWA",
    "TASKS",
    "TFDS",
    "XOR",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adding",
    "Adversarial",
    "Affine",
    "Blobs",
    "Brightness",
    "Circles",
    "Classify",
    "Constant",
    "Contrast",
    "ContrastiveDivergence",
    "ConvexRegions",
    "Copy",
    "Cosine",
    "Crop",
    "Cutout",
    "Dataset",
    "DeltaRule",
    "Digits",
    "Elbo",
    "Encoded",
    "Evolution",
    "Exponential",
    "Gates",
    "GaussianNoise",
    "Gradient",
    "Halving",
    "Impute",
    "IntegerCoded",
    "Linear",
    "Lion",
    "MaskingNoise",
    "Mirror",
    "Mixup",
    "Momentum",
    "Moons",
    "MuLambda",
    "MultiLabel",
    "Nesterov",
    "NextToken",
    "PCAJitter",
    "Parity",
    "PerceptronRule",
    "Polynomial",
    "RMSProp",
    "Reconstruct",
    "ReduceOnPlateau",
    "Regress",
    "RequestError",
    "Rotate",
    "Run",
    "SaltAndPepper",
    "Sine",
    "Spirals",
    "Split",
    "Step",
    "TimeShift",
    "TrainedRun",
    "Translate",
    "Warmup",
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
