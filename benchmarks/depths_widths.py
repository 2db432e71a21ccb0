"""Fifty sizes of an MLP on the digits, one epoch each: a sweep whose time is compiling.

.venv/bin/lanes sweep benchmarks/depths_widths.py --out runs/depths_widths
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(data="digits", optimizer="adam", batch_size=32, epochs=1)
DEPTHS, WIDTHS = range(2, 21, 2), (16, 32, 64, 128, 256)


def sweep() -> list[Run]:
    """Depths × widths."""
    return grid(BASE, net=[MLP(widths=(width,) * depth) for depth in DEPTHS for width in WIDTHS])
