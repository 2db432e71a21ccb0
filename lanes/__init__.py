"""lanes: whole sweeps of neural networks as compiled programs."""

from lanes.api import TrainedRun, identify, restore, sweep, train
from lanes.data.digits import Digits
from lanes.data.generated_sets import (
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
from lanes.data.loading import DATASETS, Dataset, Split, from_arrays
from lanes.data.tfds import TFDS
from lanes.describe.grids import choice, grid, log_uniform, sample, uniform, zipped
from lanes.describe.halving import Halving
from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.recipe.augmentations import AUGMENTATIONS, Mixup
from lanes.recipe.augmentations_geometric import Affine, Crop, Mirror, Rotate, TimeShift, Translate
from lanes.recipe.augmentations_noise import (
    Brightness,
    Contrast,
    Cutout,
    GaussianNoise,
    MaskingNoise,
    PCAJitter,
    SaltAndPepper,
)
from lanes.recipe.averages import AVERAGES, EMA, SWA
from lanes.recipe.optimizers import (
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
from lanes.recipe.rules import RULES, ContrastiveDivergence, DeltaRule, Evolution, Gradient, MuLambda, PerceptronRule
from lanes.recipe.schedules import SCHEDULES, Constant, Cosine, Exponential, Linear, ReduceOnPlateau, Step, Warmup
from lanes.recipe.tasks import TASKS
from lanes.recipe.tasks_predicting import Classify, IntegerCoded, MultiLabel, NextToken, Regress
from lanes.recipe.tasks_reconstructing import Adversarial, Elbo, Impute, Reconstruct
from lanes.results.encoded import Encoded
from lanes.results.tables import load, load_curves
from nets.inspection import summary

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
