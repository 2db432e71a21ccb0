"""Characters of Shakespeare: how many nats per character do an LSTM and a GRU need, and after how long?

    python scripts/sweep.py experiments/shakespeare.py --out runs/shakespeare --data-dir DIR
    python scripts/write_text.py runs/shakespeare     prints 400 characters that the best run wrote

About 20 s of one core for an epoch, so 3.5 minutes for all four on two cores. Expected validation loss in nats per
character (n = 1; validation and test text joined): LSTM 1.71 after 1 epoch, 1.650 after 2 (the rate decayed), 1.530 after
8; GRU 1.71, 1.639 and 1.544. nanoGPT's README reports 1.88 for its setting of three minutes on a CPU, on the last 10%.
On a slower machine (Intel, two cores): 25 s of one core for an epoch; the 8-epoch LSTM is at 1.549 after its fourth.
"""

from lanes import Run, grid
from lanes.data.loading import TFDS
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
