"""How far does a linear classifier get on MNIST?

    .venv/bin/lanes sweep experiments/mnist_softmax.py --out runs/mnist_softmax --data-dir DIR

About 20 s on 2 CPU cores. Expected test error with rate and L2 selected on validation: 7.40 ± 0.09% (95% t
interval, n = 5; 7,850 parameters). Published: 12.0% by squared error (LeCun et al. 1998, table of the MNIST page).
"""

from lanes import Run, grid
from nets import Linear

BASE = Run(data="mnist", net=Linear(), optimizer="adam", schedule="cosine", batch_size=128, epochs=12)


def sweep() -> list[Run]:
    """Rates x strengths of L2 x seeds."""
    return grid(BASE, learning_rate=[1e-3, 3e-3], l2=[0.0, 1e-4], seed=range(5))
