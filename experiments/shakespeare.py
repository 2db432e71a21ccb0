"""How many nats per character do an LSTM and a GRU reach on Shakespeare, and how fast?

    .venv/bin/lanes sweep experiments/shakespeare.py --out runs/shakespeare --data-dir DIR
    .venv/bin/python scripts/figures/write_text.py runs/shakespeare     prints 400 characters from the best run

About 20 s of one core per epoch, so 3.5 minutes for all four runs on two cores. Expected validation loss in nats per
character (n = 1; validation and test text joined): LSTM 1.71 after 1 epoch, 1.650 after 2 (with the rate decayed), 1.530
after 8; GRU 1.71, 1.639 and 1.544. nanoGPT's README reports 1.88 for its three-minute CPU setting, on the last 10% of the
text. On a slower machine (Intel, two cores): 25 s of one core per epoch; the 8-epoch LSTM reaches 1.549 after its fourth.
"""

from lanes import TFDS, Run, grid
from nets import Recurrent

TEXT = TFDS("tiny_shakespeare", valid="validation+test", sequence=64)

BASE = Run(
    data=TEXT,
    net=Recurrent(cell="lstm", widths=(256,), head="each", embedding=64),
    activation="tanh",
    initializer="lecun_normal",
    optimizer="adam",
    learning_rate=5e-3,
    schedule="cosine",
    clip=1.0,
    batch_size=32,
)


def sweep() -> list[Run]:
    """Cells x lengths of training."""
    return grid(BASE, {"net.cell": ["lstm", "gru"]}, epochs=[2, 8])
