"""Does a linear autoencoder with squared error learn PCA's subspace?

    .venv/bin/lanes sweep experiments/linear_autoencoder.py --out runs/linear_autoencoder
    .venv/bin/python scripts/figures/principal_angles.py runs/linear_autoencoder         the angles between the two subspaces

10 s of processor time. Expected (n = 5): largest principal angle 0.012 degrees, and the same training loss for all seeds.
With a code of five, where eigenvalues 5 and 6 (1.91 and 1.66) are close, 2,000 steps are still stuck at a saddle.
"""

from lanes import Run, grid
from nets import Autoencoder

BASE = Run(
    data="digits",
    net=Autoencoder(widths=(), code=4),
    initializer="xavier_normal",
    task="reconstruct",
    loss="squared_error",
    optimizer="adam",
    learning_rate=1e-2,
    schedule="cosine",
    batch_size=1437,
    epochs=4000,
)


def sweep() -> list[Run]:
    """Seeds; the whole training set is one batch, so gradients have no noise."""
    return grid(BASE, eval_every=[200], seed=range(5))
