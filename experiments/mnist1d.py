"""How do linear, MLP, CNN and GRU differ on MNIST-1D, and what remains of it when positions are shuffled?

    .venv/bin/lanes sweep experiments/mnist1d.py --out runs/mnist1d --data-dir DIR

About 4.5 minutes on 2 CPU cores (500 s of processor time). The protocol is the paper's (Greydanus and Kobak 2024): all 4,000
training examples, 6,000 Adam steps with batches of 100, and the net after the last step; nothing is selected, so there is no
validation split. Expected test accuracy (± 95% t interval, n = 5), published values in brackets:

                    in order                          positions shuffled
    linear          0.331 ± 0.002 (0.32)              0.330 ± 0.004 (0.32)
    MLP             0.666 ± 0.015 (0.68)              0.675 ± 0.016 (0.68)
    CNN             0.918 ± 0.009, dropout 0.2:       0.560 ± 0.015 (0.56), dropout 0.2:
                    0.956 ± 0.002 (0.94)              0.632 ± 0.016
    GRU             0.885 ± 0.014, dropout 0.2:       0.517 ± 0.014, dropout 0.2:
                    0.918 ± 0.012 (0.91)              0.565 ± 0.007 (0.57)

Without dropout, CNN and GRU memorize the training set (accuracy 1.000).
The rows with dropout were measured with version 0.1.0, before the last change of dropout's draws.
"""

from lanes import TFDS, Run, grid
from nets import CNN, MLP, Linear, Recurrent

SERIES = [TFDS("mnist1d"), TFDS("mnist1d", shuffled_positions=True)]  # the same permutation for all examples

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
    """Data x nets x dropout (for CNN and GRU) x seeds."""
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
