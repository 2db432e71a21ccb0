"""Greedy pretraining, first layer: a denoising autoencoder with one hidden layer on all digits, without labels.

.venv/bin/lanes sweep experiments/pretraining_1.py --out runs/pretraining_1
.venv/bin/lanes sweep experiments/pretraining_2.py --out runs/pretraining_2         second layer, from the first
.venv/bin/lanes sweep experiments/fine_tuning.py --out runs/fine_tuning             few labels, from the second
"""

from lanes import Digits, MaskingNoise, Reconstruct, Run, grid
from nets import Autoencoder

BASE = Run(
    data=Digits(standardize="unit"),
    net=Autoencoder(widths=(), code=128, code_unit="activation"),
    activation="relu",
    task=Reconstruct(corruption=MaskingNoise(0.25)),
    loss="sigmoid_cross_entropy",
    optimizer="adam",
    learning_rate=1e-3,
    epochs=60,
)


def sweep() -> list[Run]:
    """Seeds; a quarter of the pixels is masked, so that copying the input does not suffice."""
    return grid(BASE, seed=range(5))
