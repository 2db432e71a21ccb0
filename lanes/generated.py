"""Generated data sets: small problems with a known answer."""

from lanes.generated_logic import XOR, Gates, Parity
from lanes.generated_plane import Blobs, Circles, ConvexRegions, Moons, Spirals
from lanes.generated_series import Adding, Copy, Polynomial, Sine
from lanes.generation import Generated

__all__ = [
    "XOR",
    "Adding",
    "Blobs",
    "Circles",
    "ConvexRegions",
    "Copy",
    "Gates",
    "Generated",
    "Moons",
    "Parity",
    "Polynomial",
    "Sine",
    "Spirals",
]
