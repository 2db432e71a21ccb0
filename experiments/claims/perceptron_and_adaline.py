"""Does the perceptron rule converge on separable data and only there, and Adaline's delta rule not even on all of these?

    .venv/bin/lanes reproduce perceptron_and_adaline

Expected: holds; the perceptron rule ends without a mistake on 31 of 31 separable draws and 0 of 17 others, the delta
rule on 19; where clouds overlap most it adds 0.028 ± 0.025 (n = 12) to test accuracy (about 90 s of processor time).

Source: Rosenblatt (1958); Widrow and Hoff (1960); Novikoff (1962), who proves that the perceptron rule converges.
"""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import linprog

from lanes import Blobs, Results, Run, Verdict, grid

DATA = Blobs(n=1000, binary=True, test_fraction=0.9, valid_fraction=0.0)  # 100 of them for training
BASE = Run(data=DATA, net="linear", initializer="zeros", optimizer="sgd", learning_rate=0.01, batch_size=1, epochs=200)
LOSSES = {"perceptron_rule": "zero_one", "delta_rule": "squared_error"}


def sweep() -> list[Run]:
    """Two rules, one example at a time, x distances x twelve draws of two clouds of 50 points."""
    axes = [{"data.distance": [3.0, 4.0, 5.0, 6.0], "data.seed": [draw], "seed": [draw]} for draw in range(12)]
    return [one for axis in axes for a, b in LOSSES.items() for one in grid(BASE, axis, rule=[a], loss=[b])]


def measure(results: Results) -> pd.DataFrame:
    """What each run ends with, and whether any line separates its draw, by a linear program."""
    table = results.runs[["rule", "data.distance", "seed", "train_accuracy", "test_accuracy"]].copy()
    for at, distance, seed in table[["data.distance", "seed"]].itertuples(name=None):
        train = dataclasses.replace(DATA, distance=distance, seed=seed).load().train
        signed = (2 * train.y.astype(float) - 1) * np.c_[train.x, np.ones(100)]  # a line w separates if signed w > 0
        table.loc[at, "separable"] = linprog(np.zeros(3), -signed, -np.ones(100), bounds=(None, None)).status == 0
    return table.assign(right=table["train_accuracy"] == 1)


def verdict(results: Results) -> Verdict:
    """Holds if the perceptron rule is right on all separable draws and no other, and the delta rule on fewer."""
    pair = ([f"rule={rule}", "data.distance=3.0"] for rule in LOSSES)
    gain = Results(results.directory, runs=results.measured).difference("test_accuracy", *pair)
    draws = results.measured.groupby(["rule", "separable"])["right"].agg(["sum", "size"])
    _, (few, _), (no, others), (yes, every) = draws.to_numpy()  # by rule, and separable last
    sentence = f"the perceptron rule ends without a mistake on {yes} of {every} separable draws and {no} of {others} "
    sentence += f"others, the delta rule on {few}; where clouds overlap most it adds {gain} to test accuracy"
    numbers = {"separable draws": every, "by the perceptron rule": yes, "by the delta rule": few, "it adds": gain}
    return Verdict("holds" if (yes, no) == (every, 0) and few < yes else "does not hold", sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Draws that are separable, and that each rule separates, by distance."""
    counts = results.measured.pivot_table(["right", "separable"], "data.distance", "rule", "sum").iloc[:, [3, 1, 0]]
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    counts.plot.bar(ax=axes, color=["silver", "C0", "C1"], width=0.8, rot=0)
    axes.set(xlabel="distance, deviations of a cloud", ylabel="draws of 12", title="Draws separated without a mistake")
    axes.legend(["a line exists", "perceptron rule", "delta rule (Adaline)"], fontsize=7)
    return drawing
