"""MNIST-1D tells nets apart where MNIST does not: a linear classifier, an MLP, a CNN and a GRU.

    python scripts/sweep.py experiments/mnist1d.py --out runs/mnist1d --data-dir DIR

About 50 s on 2 CPU cores. The paper's protocol (Greydanus and Kobak 2024): all 4,000 training examples, 6,000 Adam steps of
100 and the net as it is after the last one; nothing is chosen, so nothing is kept for validation. Expected test accuracy
(n = 5), published in brackets: linear 0.331 ± 0.002 (0.32), MLP 0.666 ± 0.012 (0.68), CNN 0.918 ± 0.007 (0.94), GRU
0.885 ± 0.011 (0.91). All three nonlinear nets fit the training set by heart.
"""

from lanes import Run, grid
from nets import CNN, MLP, Linear, Recurrent

BASE = Run(
    data="mnist1d",
    valid_fraction=0.0,
    optimizer="adam",
    learning_rate=1e-2,
    schedule="cosine",
    batch_size=100,
    epochs=150,
)

FEED_FORWARD = [Linear(), MLP(widths=(100, 100)), CNN()]
GRU = Recurrent(cell="gru", widths=(6,), bidirectional=True, head="all")


def sweep() -> list[Run]:
    """Nets x seeds."""
    return [
        *grid(BASE, net=FEED_FORWARD, seed=range(5)),
        *grid(BASE, net=[GRU], activation=["tanh"], initializer=["lecun_normal"], seed=range(5)),
    ]
