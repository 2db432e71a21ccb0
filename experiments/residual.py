"""Do plain nets degrade with depth where residual nets do not? 1-D ResNets of depth 8, 20 and 56 on mnist1d.

    .venv/bin/lanes sweep experiments/residual.py --out runs/residual --data-dir DIR

About 3 minutes on 2 CPU cores (312 s of processor time). Expected training loss after 15 epochs (n = 2): plain 0.065, 0.243 and
1.715 at depth 8, 20 and 56 (test accuracy 0.96, 0.86, 0.30); residual 0.074, 0.024 and 0.027 (0.957, 0.967, 0.955).
"""

from lanes import Run, grid
from nets import ResNet

BASE = Run(
    data="mnist1d",
    activation="relu",
    initializer="he_normal",
    optimizer="momentum",
    momentum=0.9,
    learning_rate=0.05,
    schedule="cosine",
    weight_decay=1e-4,
    batch_size=100,
    epochs=15,
    eval_every=5,
)


def sweep() -> list[Run]:
    """Depths x with and without shortcuts x seeds; the training loss decides."""
    nets = [ResNet(depth=depth, width=8, residual=residual) for depth in (8, 20, 56) for residual in (True, False)]
    return grid(BASE, {"net": nets}, seed=range(2))
