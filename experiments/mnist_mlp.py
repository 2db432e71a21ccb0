"""How far does a multilayer perceptron get on MNIST with dropout and input noise?

    .venv/bin/lanes sweep experiments/mnist_mlp.py --out runs/mnist_mlp --data-dir DIR

About 2.5 minutes on 2 CPU cores (260 s of processor time). Expected test error at the epoch with the lowest validation
loss: 1.47 ± 0.02% (95% t interval, n = 5; 478,410 parameters). Published for nets of two and three layers: 1.6 to
4.7% (LeCun et al. 1998, table of the MNIST page). Measured with version 0.1.0, before the last change of dropout's
draws.
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(
    data="mnist",
    net=MLP(widths=(400, 400)),
    dropout=0.3,
    input_noise=0.3,
    optimizer="adam",
    schedule="cosine",
    batch_size=128,
    epochs=20,
)


def sweep() -> list[Run]:
    """Seeds."""
    return grid(BASE, seed=range(5))
