"""How many of 20 single units and of 20 two-layer nets solve XOR?

    .venv/bin/lanes sweep experiments/xor.py --out runs/xor

20 s of processor time. Expected: 0 of 20 single units (accuracy 0.37 to 0.68), 20 of 20 two-layer nets.
"""

from lanes import XOR, Run, grid
from nets import MLP

BASE = Run(
    data=XOR(binary=True),
    initializer="xavier_normal",
    loss="binary_cross_entropy",
    optimizer="adam",
    learning_rate=0.03,
    epochs=100,
)


def sweep() -> list[Run]:
    """A single unit and a net with four hidden units x 20 seeds; solved means every test example is right."""
    single = grid(BASE, net=[MLP(widths=())], seed=range(20))
    return single + grid(BASE, net=[MLP(widths=(4,))], activation=["tanh"], seed=range(20))
