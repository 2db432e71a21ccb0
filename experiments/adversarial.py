"""How many grey levels must a digit change before nets that classify it right are wrong?

    .venv/bin/lanes sweep experiments/adversarial.py --out runs/adversarial
    .venv/bin/lanes evaluate runs/adversarial --attack fgsm --epsilon 0.5 1 2
    .venv/bin/lanes evaluate runs/adversarial --corrupt noise=0.166 noise=0.332

About 30 s on 2 CPU cores. Of 16 grey levels one is enough for many: expected test accuracy (n = 10 seeds, ± 95% interval) is
0.971 ± 0.004 on the digits as they are, and 0.899 ± 0.007, 0.800 ± 0.010 and 0.354 ± 0.016 where each pixel has moved by 0.5, 1
and 2 grey levels along the sign of the loss's gradient (FGSM). Random noise of the same size hardly matters: with a standard
deviation of 1 and 2 grey levels (0.166 and 0.332 of that of the pixels) it is 0.961 ± 0.005 and 0.937 ± 0.010.
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(64,)), learning_rate=3e-3, batch_size=64, epochs=20)


def sweep() -> list[Run]:
    """Ten nets that differ in their seed."""
    return grid(BASE, seed=range(10))
