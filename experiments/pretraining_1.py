"""Greedy pretraining, first layer: an autoencoder of one hidden layer on all digits, without their labels. (claim 28)

python scripts/sweep.py experiments/pretraining_1.py --out runs/pretraining_1
python scripts/sweep.py experiments/pretraining_2.py --out runs/pretraining_2         the second layer, from the first
python scripts/sweep.py experiments/fine_tuning.py --out runs/fine_tuning             with few labels, from the second
"""

from lanes import Run, grid
from lanes.data.digits import Digits
from lanes.recipe.augmentations_noise import MaskingNoise
from lanes.recipe.tasks_reconstructing import Reconstruct
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
    """Seeds; a quarter of the pixels is masked, so that copying does not do."""
    return grid(BASE, seed=range(5))
