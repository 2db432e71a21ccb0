"""The digits MLP as an experiment, which the benchmark `scaling` sweeps: ten runs per seed, `--seeds N` for more.

.venv/bin/lanes sweep benchmarks/digits_mlp.py --seeds 504 --out runs/digits_mlp
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(64, 64)), activation="relu", optimizer="adam", batch_size=32, epochs=20)


def sweep() -> list[Run]:
    """Rates × initializers × seeds."""
    rates = [3e-4, 1e-3, 2e-3, 3e-3, 6e-3]
    return grid(BASE, learning_rate=rates, initializer=["xavier_normal", "he_normal"], seed=range(1))
