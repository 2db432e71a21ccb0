"""Does a tanh net train up to about six times the depth scale of mean-field theory?

    .venv/bin/lanes reproduce trainable_depth_2017

The correlation of two inputs tends to its fixed point as exp(-layer / ξ), so after some ξ no layer tells them apart. MNIST,
width 300, biases of variance 0.05, SGD for 200 steps. Not as in the paper: batches of 100 and rate 1e-3, of which it states
neither for certain, and 40 pairs of depth and variance. A net counts as trained from 20% training accuracy, where one class
alone gives 11%; a first run had counted from half the best accuracy at the depth, which calls nets trained where none is.

Recorded on one GPU, in 4 minutes beside three other papers.

Expected: holds; depth below 6 ξ tells trained from untrained nets in 0.908 ± 0.036 (n = 3) of cases, one answer for
all in 0.57 (about 660 s of processor time, beside one NVIDIA H100 80GB HBM3).

Published: trainable where the depth is below about 6 ξ.

Source: Schoenholz, Gilmer, Ganguli and Sohl-Dickstein (2017), figure 5.
"""

import functools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import roots_hermitenorm

from lanes import Interval, Results, Run, Verdict, grid
from nets import MLP, Normal

DEPTHS, VARIANCES, BIAS = (10, 30, 50, 100, 300), (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0), 0.05
UNITS: dict[str, Any] = {"activation": "tanh", "initializer": "lecun_normal", "bias_initializer": Normal(BIAS**0.5)}
BASE = Run(
    matmul_precision="highest",
    data="mnist",
    **UNITS,
    optimizer="sgd",
    learning_rate=1e-3,
    batch_size=100,
    steps=200,
    train_examples=20_000,
)


def sweep() -> list[Run]:
    """Depths x deviations of the weights (times √fan_in) x seeds."""
    nets = [MLP(widths=(300,) * depth, scanned=True) for depth in DEPTHS]
    return grid(BASE, net=nets, init_scale=[variance**0.5 for variance in VARIANCES], seed=range(3))


@functools.cache
def scale(variance: float) -> float:
    """ξ = -1 / log χ at the fixed point of the correlation c, where the derivative of its map is χ (infinite width)."""
    z, weight = roots_hermitenorm(61)
    pair, q, c = np.outer(weight, weight) / weight.sum() ** 2, 1.0, 0.5
    for _ in range(3000):
        q = variance * np.average(np.tanh(np.sqrt(q) * z) ** 2, weights=weight) + BIAS
    for _ in range(3000):
        one, other = np.sqrt(q) * z[:, None], np.sqrt(q) * (c * z[:, None] + np.sqrt(max(1 - c * c, 0)) * z)
        c = min((variance * np.sum(pair * np.tanh(one) * np.tanh(other)) + BIAS) / q, 1.0)
    return float(-1 / np.log(variance * np.sum(pair / np.cosh(one) ** 2 / np.cosh(other) ** 2)))


def table(results: Results) -> pd.DataFrame:
    """The runs with their depth, variance, depth / ξ, and whether they are trained."""
    runs = results.runs.assign(variance=(results.runs.init_scale**2).round(2))
    runs = runs.assign(depth=runs["net.widths"].str.count(",") + 1)
    runs["ratio"] = runs.depth / runs.variance.map({each: scale(each) for each in VARIANCES})
    return runs.assign(trained=runs.train_accuracy > 0.2)


def verdict(results: Results) -> Verdict:
    """Holds if depth / ξ below 6 tells trained from untrained nets in 80% of cases, and better than one answer for all."""
    runs = table(results)
    found = Interval.of([((part.ratio < 6) == part.trained).mean() for _, part in runs.groupby("seed")])
    blind = max(runs.trained.mean(), 1 - runs.trained.mean())
    outcome = "holds" if found.mean > max(0.8, blind) else "does not hold"
    sentence = (
        f"depth below 6 ξ tells trained from untrained nets in {found} of cases, one answer for all in {blind:.2f}"
    )
    deepest = runs[runs.trained].groupby("variance").depth.max()
    numbers = {f"deepest trained of {DEPTHS}, variance {each}": float(deepest.get(each, 0)) for each in VARIANCES}
    return Verdict(outcome, sentence, {"right by 6 ξ": found, "right by one answer for all": blind, **numbers})


def figure(results: Results) -> plt.Figure:
    """Training accuracy over variance and depth, and the curve 6 ξ."""
    cells = table(results).pivot_table(values="train_accuracy", index="depth", columns="variance")
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    image = axes.pcolormesh(range(len(VARIANCES)), range(len(DEPTHS)), cells, shading="nearest", cmap="cividis")
    curve = np.interp(np.log([6 * scale(each) for each in VARIANCES]), np.log(DEPTHS), range(len(DEPTHS)))
    axes.plot(curve, "w.-", label="6 ξ (theory)")
    axes.set(xlabel="variance of weights × fan-in", ylabel="depth", title="tanh nets after 200 steps (grey: diverged)")
    axes.set_xticks(range(len(VARIANCES)), map(str, VARIANCES))
    axes.set_yticks(range(len(DEPTHS)), map(str, DEPTHS))
    drawing.colorbar(image, label="training accuracy")
    axes.set_facecolor("lightgrey")  # where all seeds diverged
    axes.legend(labelcolor="white", facecolor="none", loc="upper left")
    return drawing
