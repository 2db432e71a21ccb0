"""Do plain nets degrade with depth, in training too, where residual nets do not?

    .venv/bin/lanes reproduce residual_depth

The rows of a digit are a series of 8 steps; the nets are one-dimensional, 8 channels wide, with batch normalization and
equally many weights with and without shortcuts. Each trains at the rate with the lowest training loss. Degrading means
losing more than a point of training accuracy from 8 layers to the deepest net.

Expected: holds only when; it is training that counts: from 8 layers to 32 training accuracy changes by -0.435 ± 0.066
(n = 4) in plain nets, -0.0033 ± 0.0014 (n = 4) in residual ones; test accuracy by -0.422 ± 0.078 (n = 4) and -0.044 ±
0.013 (n = 4) (about 150 s of processor time).

Source: Krawiec, Neural Networks and Deep Learning (2018), on ResNet; He, Zhang, Ren and Sun (2015), figure 1.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits

from lanes import Dataset, Interval, Results, Run, Verdict, from_arrays, grid
from nets import ResNet

DEPTHS = (8, 20, 32)
KINDS = {False: "plain", True: "residual"}


def digits() -> Dataset:
    """898 digits to train on, 300 for validation, 599 to test on."""
    x, y = load_digits(return_X_y=True)
    return from_arrays(x.reshape(-1, 8, 8), y, test_fraction=1 / 3, valid_fraction=1 / 4)


def sweep() -> list[Run]:
    """Depths x with and without shortcuts x rates x seeds."""
    base = Run(data=digits, optimizer="momentum", initializer="he_normal", schedule="cosine", batch_size=50, epochs=15)
    nets = [ResNet(depth=depth, width=8, residual=residual) for residual in KINDS for depth in DEPTHS]
    return grid(base, net=nets, learning_rate=[0.004, 0.02, 0.1], seed=range(4), eval_every=[15])


def accuracies(results: Results, metric: str) -> pd.DataFrame:
    """By kind and depth, a row for each seed, at the rate of the lowest training loss; a diverged run guesses."""
    keys, runs = ["net.residual", "net.depth", "learning_rate"], results.runs.fillna({metric: 0.1})
    loss = runs.fillna({"train_loss": 10.0}).groupby(keys).train_loss.mean()
    best = runs.set_index(keys).loc[loss.groupby(keys[:2]).idxmin()].reset_index()
    return best.pivot(index="seed", columns=keys[:2], values=metric)


def verdict(results: Results) -> Verdict:
    """Holds if plain nets degrade, and residual nets neither in training nor on the test set; else if only in training."""
    gains: dict[str, Interval] = {}
    for split in ("train", "test"):
        table = accuracies(results, f"{split}_accuracy")
        gains |= {f"{name}, {split}": Interval.of(table[kind][32] - table[kind][8]) for kind, name in KINDS.items()}
    plain, residual, plain_test, residual_test = gains.values()
    holds = plain.high < -0.01 < min(residual.low, residual_test.low)
    conditionally = plain.high < -0.01 < residual.low and residual_test.high < -0.01
    fails = plain.low > -0.01 or residual.high < -0.01
    mixed = "holds only when" if conditionally else "does not hold" if fails else "not decided at this n"
    sentence = f"from 8 layers to 32 training accuracy changes by {plain} in plain nets, {residual} in residual ones;"
    sentence = f"it is training that counts: {sentence}" if conditionally else sentence
    return Verdict("holds" if holds else mixed, f"{sentence} test accuracy by {plain_test} and {residual_test}", gains)


def figure(results: Results) -> plt.Figure:
    """Training and test accuracy against depth."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for split, style in (("train", "o-"), ("test", "s--")):
        table = accuracies(results, f"{split}_accuracy")
        for at, (kind, name) in enumerate(KINDS.items()):
            found = [Interval.of(table[kind][depth]) for depth in DEPTHS]
            means, halves = [one.mean for one in found], [one.half for one in found]
            axes.errorbar(DEPTHS, means, halves, fmt=style, color=f"C{at}", capsize=3, label=f"{name}, {split}")
    axes.set(xticks=DEPTHS, xlabel="layers", ylabel="accuracy", title="Digits as series, n = 4")
    axes.legend(fontsize=8)
    return drawing
