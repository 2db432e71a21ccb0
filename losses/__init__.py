"""What is minimized: losses (unreduced), penalties, output units, metrics. Pure functions of arrays."""

from losses.classification import Focal, Hinge, one_hot, smooth, smooth_binary
from losses.metrics import METRICS, SET_METRICS
from losses.outputs import OUTPUT_UNITS
from losses.pairs import LOSS_KINDS, LOSSES, Kind, fits, fits_smoothing, fits_targets, kind_of, name_of
from losses.penalties import (
    L1,
    L2,
    PENALTIES,
    ActivityKL,
    ActivityL1,
    Contractive,
    ContractiveHutchinson,
    ElasticNet,
    MaxNorm,
    WeightNoise,
    kernels,
)
from losses.regression import Huber, Lp

__all__ = [
    "L1",
    "L2",
    "LOSSES",
    "LOSS_KINDS",
    "METRICS",
    "OUTPUT_UNITS",
    "PENALTIES",
    "SET_METRICS",
    "ActivityKL",
    "ActivityL1",
    "Contractive",
    "ContractiveHutchinson",
    "ElasticNet",
    "Focal",
    "Hinge",
    "Huber",
    "Kind",
    "Lp",
    "MaxNorm",
    "WeightNoise",
    "fits",
    "fits_smoothing",
    "fits_targets",
    "kernels",
    "kind_of",
    "name_of",
    "one_hot",
    "smooth",
    "smooth_binary",
]
