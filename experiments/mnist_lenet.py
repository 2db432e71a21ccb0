"""How far does LeNet-5 get on MNIST, with images shifted by up to two pixels?

    .venv/bin/lanes sweep experiments/mnist_lenet.py --out runs/mnist_lenet --data-dir DIR

About 7 minutes on 2 CPU cores (805 s of processor time). Expected test error at the epoch with the lowest validation
loss: 0.77 ± 0.07% (95% t interval, n = 5; 61,706 parameters). Published: 0.95%, with distorted images 0.8% (LeCun
et al. 1998).
"""

from lanes import Run, Translate, grid
from nets import LeNet5

BASE = Run(
    data="mnist",
    net=LeNet5(),
    augment=(Translate(0.08),),
    optimizer="adam",
    learning_rate=2e-3,
    schedule="cosine",
    batch_size=64,
    epochs=12,
)


def sweep() -> list[Run]:
    """Seeds."""
    return grid(BASE, seed=range(5))
