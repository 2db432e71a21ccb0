"""Do nets that fit random labels to the last example generalize on true ones, with weight decay or without?

    .venv/bin/lanes reproduce rethinking_generalization_2017

CIFAR-10 re-encoded as lossy JPEG (`cifar10_jpeg`), not the paper's images. Not as in the paper: 100 epochs, L2 by 5e-4 / 2 Σ w²
(the table states no strength), kernels of variance 2 / fan-in, three seeds. As in the paper: the inner 28×28 pixels, each image
with mean 0 and deviation 1, ReLU, SGD with momentum 0.9 and rate 0.01, 0.95 times as much after each epoch, the last epoch's
net. Every random label is drawn once, before training.

Recorded on one GPU, in 85 seconds; two cores need about 80 minutes by the time of an epoch.

Expected: holds; nets of 3 and 1 hidden layers of 512 fit 100.0 and 98.3% of random labels, name 52.5 and 50.8% of
test images after training on true ones, and weight decay changes that by 0.3 ± 1.7 (n = 3) and 0.5 ± 1.1 (n = 3)
points (about 460 s of processor time, beside one NVIDIA H100 80GB HBM3).

Published: training and test accuracy in %, with decay, without, and on random labels: 3×512 units 100 / 53.35, 100 / 52.39 and
100 / 10.48; 1×512 units 99.80 / 50.39, 100 / 50.51 and 99.34 / 10.61.

Source: Zhang, Bengio, Hardt, Recht and Vinyals (2017), table 1, its rows of MLPs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from flax import linen as nn

from lanes import TFDS, Exponential, Interval, Results, Run, Verdict, grid
from nets import MLP

EPOCHS, DECAY, RANDOM = 100, {"l2": [2.5e-4]}, {"data.label_noise": [1.0]}
PUBLISHED = {  # by layers and condition: training and test accuracy in %
    (3, "decay"): (100, 53.35),
    (3, "no decay"): (100, 52.39),
    (3, "random labels"): (100, 10.48),
    (1, "decay"): (99.80, 50.39),
    (1, "no decay"): (100, 50.51),
    (1, "random labels"): (99.34, 10.61),
}


class Whitened(nn.Module):
    """An MLP of hidden layers of 512 units on the inner 28×28 pixels of images, each with mean 0 and deviation 1."""

    layers: int = 1
    outputs: int = 10
    activation: Any = nn.relu
    kernel_init: Any = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = x[:, 2:-2, 2:-2]
        x = x - x.mean(axis=(1, 2, 3), keepdims=True)
        x = x / jnp.maximum(x.std(axis=(1, 2, 3), keepdims=True), 1e-6)
        shared = {"outputs": self.outputs, "activation": self.activation, "kernel_init": self.kernel_init}
        return MLP(widths=(512,) * self.layers, **shared)(x, train=train)


BASE = Run(
    matmul_precision="highest",  # float32 products, on GPUs too
    data=TFDS("cifar10_jpeg", valid_fraction=0.0, standardize="unit"),
    initializer="he_normal",
    optimizer="momentum",
    momentum=0.9,
    learning_rate=0.01,
    schedule=Exponential(final=0.95**EPOCHS),
    batch_size=128,
    epochs=EPOCHS,
)


def sweep() -> list[Run]:
    """Nets x (decay, none, random labels) x seeds."""
    nets = [Whitened(layers=1), Whitened(layers=3)]
    return [run for fields in (DECAY, {}, RANDOM) for run in grid(BASE, fields, net=nets, seed=range(3))]


def accuracies(results: Results) -> dict[tuple[int, str], pd.DataFrame]:
    """Training and test accuracy in % by seed, by layers and condition."""
    runs = results.runs.assign(train=100 * results.runs.train_accuracy, test=100 * results.runs.test_accuracy)
    is_random, decays = runs["data.label_noise"].astype(float) > 0, runs.l2 > 0
    runs["condition"] = np.select([is_random, decays], ["random labels", "decay"], "no decay")
    groups = runs.groupby([runs["net.layers"].astype(int), "condition"])
    return {key: part.set_index("seed")[["train", "test"]] for key, part in groups}


def verdict(results: Results) -> Verdict:
    """Holds if both nets fit 98% of random labels, and true ones are told with decay or without 30 points above chance."""
    found = accuracies(results)
    fits = {layers: Interval.of(found[layers, "random labels"].train) for layers in (1, 3)}
    tells = [Interval.of(found[layers, decay].test) for layers in (1, 3) for decay in ("decay", "no decay")]
    bounds = [(np.nan_to_num(each.half), each.mean, 98) for each in fits.values()]
    bounds += [(np.nan_to_num(each.half), each.mean, 40) for each in tells]
    signs = [int(mean - half > least) - int(mean + half < least) for half, mean, least in bounds]
    outcome = ["does not hold", "not decided at this n", "holds"][min(signs) + 1]
    outcome = "holds only when" if outcome == "does not hold" and max(signs[:2]) == min(signs[2:]) == 1 else outcome
    gains = {layers: Interval.of(found[layers, "decay"].test - found[layers, "no decay"].test) for layers in (1, 3)}
    sentence = (
        f"nets of 3 and 1 hidden layers of 512 fit {fits[3].mean:.1f} and {fits[1].mean:.1f}% of random labels, name "
        f"{found[3, 'no decay'].test.mean():.1f} and {found[1, 'no decay'].test.mean():.1f}% of test images after training on "
        f"true ones, and weight decay changes that by {gains[3]} and {gains[1]} points"
    )
    numbers: dict[str, Any] = {f"{layers}×512: gain by decay, points": gain for layers, gain in gains.items()}
    for (layers, condition), (train, test) in PUBLISHED.items():
        values = found[layers, condition]
        numbers[f"{layers}×512, {condition}: training, % (published {train})"] = Interval.of(values.train)
        numbers[f"{layers}×512, {condition}: test, % (published {test})"] = Interval.of(values.test)
    return Verdict(outcome, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Training and test accuracy here, and the published ones."""
    drawing, axes = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
    found = accuracies(results)
    for part, at, colour in (("train", 0, "C0"), ("test", 1, "C1")):
        values, places = [Interval.of(found[key][part]) for key in PUBLISHED], np.arange(6) + 0.4 * at - 0.2
        means, halves = [each.mean for each in values], [np.nan_to_num(each.half) for each in values]
        axes.bar(places, means, 0.38, yerr=halves, color=colour, label=part)
        axes.plot(places, [each[at] for each in PUBLISHED.values()], "kD", ms=4)
    axes.plot([], [], "kD", ms=4, label="published, CIFAR-10")
    axes.axhline(10, color="grey", linestyle=":")
    axes.set_xticks(range(6), [f"{layers}×512\n{condition}" for layers, condition in PUBLISHED], fontsize=7)
    axes.set(ylabel="accuracy, %", ylim=(0, 132), title="CIFAR-10 as JPEG (bars: 95% intervals over seeds)")
    axes.set_yticks(range(0, 101, 20))
    axes.legend(ncols=3, fontsize=7, loc="upper center")
    return drawing
