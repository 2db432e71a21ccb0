"""Does a signal survive ten layers of 500 units, and does the net then learn? (After CS231n.)

    .venv/bin/lanes sweep experiments/signal_at_depth.py --out runs/signal_at_depth
    .venv/bin/python scripts/figures/signal_at_depth.py            writes docs/signal_at_depth.png and prints its numbers

About 25 s on 2 CPU cores. Expected test accuracy after five epochs of SGD (± 95% t interval, n = 3): tanh with
uniform_0.01 0.10 (chance), xavier_normal 0.957 ± 0.015, he_normal 0.967 ± 0.015; ReLU with uniform_0.01 0.10,
xavier_normal 0.59 ± 0.17, he_normal 0.963 ± 0.007. Standard deviation of the tenth layer's activations at the start:
tanh 1e-9, 0.23, 0.55; ReLU 3e-11, 0.023, 0.74.
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(500,) * 10), optimizer="sgd", learning_rate=0.01, batch_size=32, epochs=5)

INITIALIZERS = ["uniform_0.01", "xavier_normal", "he_normal"]
ACTIVATIONS = ["tanh", "relu"]


def sweep() -> list[Run]:
    """Initializers x activations x seeds."""
    return grid(BASE, initializer=INITIALIZERS, activation=ACTIVATIONS, seed=range(3))
