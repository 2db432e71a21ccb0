"""MNIST-1D tells nets apart where MNIST does not: linear, MLP, CNN and GRU; and what is left when positions are shuffled.

    python scripts/sweep.py experiments/mnist1d.py --out runs/mnist1d --data-dir DIR

TIME
"""

from lanes import Run, grid
from lanes.datasets import TFDS
from nets import CNN, MLP, Linear, Recurrent

SERIES = [TFDS("mnist1d"), TFDS("mnist1d", shuffled_positions=True)]  # one permutation for all examples

BASE = Run(
    data=SERIES[0],
    valid_fraction=0.0,
    optimizer="adam",
    learning_rate=1e-2,
    schedule="cosine",
    batch_size=100,
    epochs=150,
)

GRU = Recurrent(cell="gru", widths=(6,), bidirectional=True, head="all")


def sweep() -> list[Run]:
    """Data x nets x dropout for those that see neighbours x seeds."""
    return [
        *grid(BASE, data=SERIES, net=[Linear(), MLP(widths=(100, 100))], seed=range(5)),
        *grid(BASE, data=SERIES, net=[CNN()], dropout=[0.0, 0.2], seed=range(5)),
        *grid(
            BASE,
            data=SERIES,
            net=[GRU],
            activation=["tanh"],
            initializer=["lecun_normal"],
            dropout=[0.0, 0.2],
            seed=range(5),
        ),
    ]
