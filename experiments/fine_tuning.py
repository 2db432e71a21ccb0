"""Does pretraining help when labels are scarce, and are an encoder's codes good features?

.venv/bin/lanes sweep experiments/fine_tuning.py --out runs/fine_tuning             after pretraining_1 and _2
"""

import dataclasses

from experiments import pretraining_2
from lanes import Encoded, Run, grid, identify
from nets import MLP, Linear

LABELS = (50, 200, 1000)
BASE = Run(activation="relu", optimizer="adam", learning_rate=1e-3, batch_size=25, steps=2000)


def sweep() -> list[Run]:
    """An MLP from the pretrained encoder and from scratch, softmax regression on codes and on pixels; x labels x seeds."""
    out = []
    for pretrained in pretraining_2.sweep():
        source = f"runs/pretraining_2:{identify(pretrained)}"
        base = dataclasses.replace(BASE, data=pretrained.data, net=MLP(widths=(128, 64)), seed=pretrained.seed)
        linear = dataclasses.replace(base, net=Linear())
        out += grid(base, init_from=[f"{source}:encoder", None], train_examples=LABELS)
        out += grid(linear, data=[Encoded(source), pretrained.data], train_examples=LABELS)
    return out
