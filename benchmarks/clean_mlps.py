"""The clean MLPs of MNIST-1D's double descent as a load (Greydanus and Kobak 2024): 19 widths of 40-h-h-10, 20,000 steps each.

.venv/bin/lanes sweep benchmarks/clean_mlps.py --out runs/clean_mlps

The arrays have the shape of `mnist1d.data.make_dataset(num_samples=16000, train_split=0.25)` and random labels: the file
serves to take times, not results.
"""

import numpy as np

from lanes import Run, grid
from nets import MLP

WIDTHS = (2, 4, 6, 9, 12, 16, 21, 27, 31, 36, 41, 47, 53, 61, 77, 104, 150, 215, 300)


def series() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """4,000 training and 12,000 test examples of 40 numbers and ten classes."""
    random = np.random.default_rng(0)
    x = random.normal(size=(16000, 40)).astype(np.float32)
    y = random.integers(0, 10, 16000).astype(np.int32)
    return {"train": (x[:4000], y[:4000]), "test": (x[4000:], y[4000:])}


BASE = Run(
    data=series,
    optimizer="momentum",
    momentum=0.9,
    learning_rate=1e-2,
    initializer="lecun_uniform",
    init_scale=3**-0.5,  # U[±1/√fan_in]
    batch_size=100,
    steps=20000,
)


def sweep() -> list[Run]:
    """Widths × seeds."""
    return grid(BASE, net=[MLP(widths=(width, width)) for width in WIDTHS], seed=range(5))
