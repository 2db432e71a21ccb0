"""Nets, their layers, activations and initializers: pure Flax modules and functions that import nothing of ours."""

from __future__ import annotations

from flax import linen as nn

from nets.layers import Dropout, HiddenDense
from nets.mlp import MLP
from nets.normalization import NORMALIZATIONS, recomputed_statistics
from nets.outputs import Outputs, outputs_of

NETS: dict[str, nn.Module] = {
    "mlp": MLP(),
}

__all__ = [
    "MLP",
    "NETS",
    "NORMALIZATIONS",
    "Dropout",
    "HiddenDense",
    "Outputs",
    "outputs_of",
    "recomputed_statistics",
]
