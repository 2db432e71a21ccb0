"""All generated data sets: small problems whose answer is known."""

from lanes.data.generated import Generated
from lanes.data.generated_images import ShapeSet
from lanes.data.generated_logic import XOR, Gates, Parity
from lanes.data.generated_plane import Blobs, Circles, ConvexRegions, Moons, Spirals
from lanes.data.generated_series import Adding, Copy, Polynomial, Sine

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
    "ShapeSet",
    "Sine",
    "Spirals",
]
