"""Is Mish above ReLU, and are activations in the published order, where one small convolutional net trains on MNIST-1D?

    .venv/bin/lanes reproduce mish_twin_on_mnist1d

A twin of `mish_on_cifar10` that two cores train in minutes: MNIST-1D of the package `mnist1d` (4,000 training and 1,000 test
examples) in place of CIFAR-10, three convolutions of 25 channels in place of SqueezeNet, 60 epochs in batches of 100, 5 seeds.
The paper's Adam with rate 1e-3 for all; the last epoch's net, nothing selected.

Expected: holds only when; Mish names 2.5 ± 2.0 (n = 5) points more than ReLU (published 0.82); of 13 others it is
above 9 and below 0, at 95% each (about 380 s of processor time).

Published: accuracies of SqueezeNet on CIFAR-10 in %: Mish 87.48, GELU 87.37, Swish 87.32, leaky ReLU 86.85, ReLU6 86.75, ReLU
86.66, ELU 86.41, SELU 83.91, tanh 83.15, softplus 83.00, hard tanh 82.78, softsign 82.66, log-sigmoid 81.98, sigmoid 74.82.

Source: Misra (2019), the comparison of activations with SqueezeNet.
"""

import matplotlib.pyplot as plt
from mish_on_cifar10 import ACTIVATIONS
from mish_on_cifar10 import figure as drawn
from mish_on_cifar10 import verdict as verdict

from lanes import MNIST1D, Results, Run, grid
from nets import CNN

BASE = Run(
    data=MNIST1D(valid_fraction=0.0),
    net=CNN(widths=(25,) * 3),
    optimizer="adam",
    learning_rate=1e-3,
    batch_size=100,
    epochs=60,
)


def sweep() -> list[Run]:
    """Activations x seeds."""
    return grid(BASE, activation=ACTIVATIONS, seed=range(5))


def figure(results: Results) -> plt.Figure:
    """Accuracies here and the published ones."""
    return drawn(results, "CNN, MNIST-1D")
