"""Does an L1 penalty make a net easier to prune by magnitude?

    .venv/bin/lanes sweep experiments/pruning.py --out runs/pruning
    .venv/bin/lanes evaluate runs/pruning --prune 0.5 0.8 0.9 0.95 0.98

About 30 s on 2 CPU cores. Expected test accuracy (n = 5) with 0, 50, 80, 90 and 95% of the weights set to zero: without L1
0.980, 0.973, 0.800, 0.366, 0.159; with λ = 1e-4 0.979, 0.979, 0.929, 0.624, 0.207; with λ = 1e-3 0.968, 0.967, 0.963, 0.830,
0.508. Weights that L1 has driven towards zero can be removed.
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(256, 256)), optimizer="adam", schedule="cosine", epochs=40)


def sweep() -> list[Run]:
    """Strengths of L1 x seeds."""
    return grid(BASE, l1=[0.0, 1e-5, 1e-4, 1e-3], seed=range(5))
