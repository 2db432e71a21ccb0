"""Does Mish name more images of CIFAR-10 than Swish, ReLU and eleven other activations, in a small convolutional net?

    .venv/bin/lanes reproduce mish_on_cifar10

CIFAR-10 re-encoded as lossy JPEG (`cifar10_jpeg`), not the paper's images: with CIFAR-10 prepared, edit `data`. As in the
paper: SqueezeNet, Adam with rate 1e-3, batches of 128, 50 epochs, 23 runs of each activation, here 14 of its 35. Not as in the
paper: form 1.1 of the net without normalization (the paper does not say), the last epoch's net, nothing selected.

Needs: a GPU. On one H100 two runs of ReLU took 24 s for two epochs, compiling included; the whole was not run.

Published: accuracies in %: Mish 87.48, Swish 87.32, GELU 87.37, ReLU6 86.75, leaky ReLU 86.85, ReLU 86.66, ELU 86.41, SELU
83.91, tanh 83.15, softplus 83.00, hard tanh 82.78, softsign 82.66, log-sigmoid 81.98 and sigmoid 74.82.

Source: Misra (2019), the comparison of activations with SqueezeNet.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import TFDS, Interval, Results, Run, Verdict, grid
from nets import LeakyReLU, SqueezeNet

PUBLISHED = {
    "mish": 87.48,
    "gelu": 87.37,
    "swish": 87.32,
    "leaky_relu": 86.85,
    "relu6": 86.75,
    "relu": 86.66,
    "elu": 86.41,
}
PUBLISHED |= {"selu": 83.91, "tanh": 83.15, "softplus": 83.00, "hard_tanh": 82.78, "softsign": 82.66}
PUBLISHED |= {"log_sigmoid": 81.98, "sigmoid": 74.82}
ACTIVATIONS = [LeakyReLU(0.3) if name == "leaky_relu" else name for name in PUBLISHED]
SEEDS = 23

BASE = Run(
    data=TFDS("cifar10_jpeg", valid_fraction=0.0),
    net=SqueezeNet(),
    optimizer="adam",
    learning_rate=1e-3,
    batch_size=128,
    epochs=50,
)


def sweep() -> list[Run]:
    """Activations x seeds."""
    return grid(BASE, activation=ACTIVATIONS, seed=range(SEEDS))


def accuracies(results: Results) -> pd.DataFrame:
    """Test accuracy in %, seeds x activations in the published order."""
    runs = results.runs.assign(percent=100 * results.runs.test_accuracy.astype(float).fillna(0.1))
    return runs.pivot_table(values="percent", index="seed", columns="activation")[list(PUBLISHED)]


def verdict(results: Results) -> Verdict:
    """Holds if Mish is above each of the others, paired by seed; only when, if it is above ReLU and not all others."""
    found = accuracies(results)
    gains = {name: Interval.of(found["mish"] - found[name]) for name in PUBLISHED if name != "mish"}
    above, below = (
        [name for name, gain in gains.items() if gain.low > 0],
        [name for name, gain in gains.items() if gain.high < 0],
    )
    outcome = "not decided at this n" if "relu" not in [*above, *below] else "holds only when"
    outcome = "does not hold" if "relu" in below else "holds" if len(above) == len(gains) else outcome
    sentence = (
        f"Mish names {gains['relu']} points more than ReLU (published 0.82); of 13 others it is above {len(above)} and below "
        f"{len(below)}, at 95% each"
    )
    order = float(pd.Series(PUBLISHED).corr(found.mean(), method="spearman"))
    numbers: dict[str, Interval | float] = {"rank correlation with the published order": order}
    for name, published in PUBLISHED.items():
        numbers[f"{name}, % (published {published})"] = Interval.of(found[name])
    return Verdict(outcome, sentence, numbers)


def figure(results: Results, title: str = "SqueezeNet, CIFAR-10 as JPEG") -> plt.Figure:
    """Accuracies here and the published ones."""
    drawing, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
    found = accuracies(results)
    values = [Interval.of(found[name]) for name in PUBLISHED]
    halves = [np.nan_to_num(each.half) for each in values]
    axes.errorbar(
        [each.mean for each in values], range(14), xerr=halves, fmt="o", capsize=3, label="here, 95% interval"
    )
    axes.plot(list(PUBLISHED.values()), range(14), "kD", ms=4, label="published, CIFAR-10")
    axes.set_yticks(range(14), list(PUBLISHED))
    axes.invert_yaxis()
    axes.set(xlabel="test accuracy, %", title=f"{title}, {len(found)} seeds")
    axes.legend(fontsize=7)
    return drawing
