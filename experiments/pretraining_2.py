"""Greedy pretraining, second layer: starts from pretraining_1, which must have been trained into runs/pretraining_1.

.venv/bin/lanes sweep experiments/pretraining_2.py --out runs/pretraining_2
"""

import dataclasses

from experiments import pretraining_1
from lanes import Run, identify
from nets import Autoencoder

NET = Autoencoder(widths=(128,), code=64, code_unit="activation")


def sweep() -> list[Run]:
    """One run for each run of the first layer, starting from its encoder and the last layer of its decoder."""
    return [
        dataclasses.replace(run, net=NET, init_from=f"runs/pretraining_1:{identify(run)}")
        for run in pretraining_1.sweep()
    ]
