"""Greedy pretraining, second layer: from the runs of pretraining_1, which must have been trained into runs/. (claim 28)

python scripts/sweep.py experiments/pretraining_2.py --out runs/pretraining_2
"""

import dataclasses

from experiments import pretraining_1
from lanes import Run, identify
from nets import Autoencoder

NET = Autoencoder(widths=(128,), code=64, code_unit="activation")


def sweep() -> list[Run]:
    """One run for each of the first layer's, with its encoder and the last layer of its decoder."""
    return [
        dataclasses.replace(run, net=NET, init_from=f"runs/pretraining_1:{identify(run)}")
        for run in pretraining_1.sweep()
    ]
