"""Twenty-four runs of the digits MLP, the size of most sweeps: the benchmarks `whole` and `timeline` run it as a command.

.venv/bin/lanes sweep benchmarks/small_sweep.py --out runs/small
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(64, 64)), optimizer="adam", batch_size=32)


def sweep() -> list[Run]:
    """Activations × initializers × rates × seeds."""
    return grid(
        BASE,
        activation=["relu", "tanh"],
        initializer=["he_normal", "orthogonal"],
        learning_rate=[1e-3, 3e-3],
        seed=range(3),
    )
