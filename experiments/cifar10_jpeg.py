"""How far does a small ResNet get in two minutes on `cifar10_jpeg`, CIFAR-10 re-encoded as lossy JPEG?

    .venv/bin/lanes sweep experiments/cifar10_jpeg.py --out runs/cifar10_jpeg --data-dir DIR

About 140 s on 2 CPU cores. Expected test accuracy after two epochs: 0.581 ± 0.019 (95% t interval, n = 2; 19,218
parameters). The images differ from CIFAR-10's, so no published figure is comparable. `--set epochs=40` takes 20 times
as long; it was not run.
"""

from lanes import Mirror, Run, grid
from nets import ResNet

BASE = Run(
    data="cifar10_jpeg",
    net=ResNet(depth=8, width=8),
    augment=(Mirror(),),
    optimizer="momentum",
    momentum=0.9,
    learning_rate=0.1,
    weight_decay=5e-4,
    schedule="cosine",
    batch_size=128,
    epochs=2,
)


def sweep() -> list[Run]:
    """Seeds."""
    return grid(BASE, seed=range(2))
