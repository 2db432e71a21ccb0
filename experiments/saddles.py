"""Does training end in a minimum or at a saddle, and how does the share of descending directions change on the way?

    .venv/bin/lanes sweep experiments/saddles.py --out runs/saddles
    .venv/bin/lanes diagnose runs/saddles --what curvature --epoch last --examples 1797

About 15 s of sweep and 30 s of diagnosis on 2 CPU cores: all 610 eigenvalues of the loss's Hessian on all training
examples, exactly (columns `objective`, `gradient_norm`, `smallest`, `negative`). Expected, as means over n = 3 seeds (after
Dauphin et al., Identifying and attacking the saddle point problem, 2014: the higher the loss, the more negative directions):

| epochs | loss | norm of the gradient | smallest eigenvalue | share of negative ones |
|---|---|---|---|---|
| 1 | 0.547 | 0.216 | -0.102 | 0.141 |
| 10 | 0.088 | 0.217 | -0.040 | 0.108 |
| 100 | 0.0059 | 0.0155 | -0.00096 | 0.033 |
| 300 | 0.0017 | 0.0016 | -0.00015 | 0.023 |

From epoch 3 on the share falls with the loss for each seed, and the smallest eigenvalue is negative in all 18 runs: where
the gradient has all but vanished, the net still stands near a saddle, not in a minimum. Eigenvalues below 1e-4 of the
largest count as zero: those are 29% of them.
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(
    data="digits",
    net=MLP(widths=(8,)),
    activation="tanh",
    optimizer="momentum",
    learning_rate=0.05,
    batch_size=32,
    valid_fraction=0.0,
)

EPOCHS = [1, 3, 10, 30, 100, 300]


def sweep() -> list[Run]:
    """Lengths of training x seeds; the runs of a seed are stages of the same training."""
    return grid(BASE, epochs=EPOCHS, seed=range(3))
