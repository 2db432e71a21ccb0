"""Does a linear autoencoder with squared error learn PCA's subspace? (claim 17)

python scripts/sweep.py experiments/linear_autoencoder.py --out runs/linear_autoencoder
python scripts/principal_angles.py runs/linear_autoencoder         the angles between the two subspaces

10 s of processor time. Expected (n = 5): largest principal angle 0.012 degrees, training loss of all seeds alike. With
five numbers in the code, where eigenvalues 5 and 6 (1.91 and 1.66) are close, 2,000 steps still rest at a saddle.
"""

from lanes import Run, grid
from nets import Autoencoder

BASE = Run(
    data="digits",
    net=Autoencoder(widths=(), code=4),
    activation="identity",
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
    """Seeds; the whole training set is one batch, so that nothing but the optimum is left to find."""
    return grid(BASE, eval_every=[200], seed=range(5))
