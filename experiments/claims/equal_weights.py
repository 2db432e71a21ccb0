"""Do units whose weights are equal at the start ever become different?

    .venv/bin/lanes reproduce equal_weights

Units of a layer that start equal get equal gradients, so a layer of any width computes one feature, but for rounding.

Expected: holds only when; equal weights into 32 units keep rank 1 by SGD; Adam enlarges rounding errors to rank 2
(about 6 s of processor time).

Source: Rumelhart, Hinton and Williams (1986), on breaking symmetry.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import lanes
from lanes import Results, Run, Verdict, grid
from nets import MLP, Constant

BASE = Run(data="digits", net=MLP(widths=(32,)), activation="tanh", learning_rate=0.01, epochs=20)
DRAWN = {"zeros": "all 0", "constant": "all 0.1", "xavier_normal": "Xavier's"}


def sweep() -> list[Run]:
    """Equal and random weights x two optimizers x seeds."""
    drawn = ["zeros", Constant(0.1), "xavier_normal"]
    return grid(BASE, optimizer=["sgd", "adam"], initializer=drawn, seed=range(3))


def measure(results: Results) -> pd.DataFrame:
    """The rank of the first kernel: its singular values above 1e-3 of the largest."""
    rows = []
    for run in results.runs.to_dict("records"):
        _, variables = lanes.restore(results.directory, run["run_id"])
        kernel = next(leaf for leaf in jax.tree.leaves(variables["params"]) if leaf.shape == (64, 32))
        values = np.linalg.svd(np.asarray(kernel, float), compute_uv=False)
        rows.append((run["optimizer"], run["initializer"], int(np.sum(values > 1e-3 * max(values.max(), 1e-30)))))
    return pd.DataFrame(rows, columns=["optimizer", "initializer", "rank"])


def verdict(results: Results) -> Verdict:
    """Holds if the weights into 32 units keep rank 1 at most from equal weights; conditionally, if only with SGD."""
    rank = results.measured.groupby(["optimizer", "initializer"])["rank"].max()
    sgd, adam = (max(rank[name, "zeros"], rank[name, "constant"]) for name in ("sgd", "adam"))
    random = rank["sgd", "xavier_normal"]
    outcome = "does not hold" if sgd > 1 or random < 8 else "holds" if adam <= 1 else "holds only when"
    sentence = f"equal weights into 32 units keep rank {sgd} by SGD; Adam enlarges rounding errors to rank {adam}"
    return Verdict(outcome, sentence, {f"{a}, weights {DRAWN[b]}, rank": value for (a, b), value in rank.items()})


def figure(results: Results) -> plt.Figure:
    """Validation accuracy by epoch."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for (a, b), part in results.curves.groupby(["optimizer", "initializer"]):
        axes.plot(part.groupby("epoch").valid_accuracy.mean(), "--" if a == "sgd" else "-", label=f"{a}, {DRAWN[b]}")
    axes.set(xlabel="epoch", ylabel="validation accuracy", title="32 units, means of 3 seeds", ylim=(0, 1))
    axes.legend(fontsize=7)
    return drawing
