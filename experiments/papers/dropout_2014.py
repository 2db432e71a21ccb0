"""Does dropout with max-norm err less on MNIST than each regularizer without dropout, and Gaussian noise less than Bernoulli's?

    .venv/bin/lanes reproduce dropout_2014

Not as in the paper: 784-512-512-1024-10 in place of 784-1024-1024-2048-10, 20 epochs in batches of 128 (7,800 updates) in
place of 1 million updates; the rate 0.01 falls linearly; strengths are the best of two by validation accuracy averaged over
seeds, and "towards the end" is the last 30% of the updates; errors are of the epoch with the lowest validation loss on
10,000 of the 60,000 training examples, on which nothing is trained afterwards. As in the paper: ReLU, momentum 0.95,
p = 0.5 in hidden layers, 0.8 kept at the input, and for the comparison of noises two layers of 1,024 units.

Recorded on one GPU, in 3 minutes beside three other papers; two cores take one to two hours, by a trial of parts.

Expected: does not hold; after 7,800 updates dropout and max-norm err 0.48 ± 0.17 (n = 3) points more than L2, KL
alone, and Gaussian noise 0.04 ± 0.12 (n = 3) points more than Bernoulli's (about 780 s of processor time, beside one
NVIDIA H100 80GB HBM3).

Published: test errors of 1.62% (L2), 1.60 (L2, then L1), 1.55 (L2 and KL sparsity), 1.35 (max-norm), 1.25 (dropout and
L2), 1.05 (dropout and max-norm); 1.08 ± 0.04 (Bernoulli) and 0.95 ± 0.04 (Gaussian).

Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), tables 9 and 10.
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import TFDS, Interval, Ramp, Results, Run, Scheduled, Verdict, grid
from losses import ActivityKL, MaxNorm
from nets import MLP, GaussianDropout

MNIST = TFDS("mnist", train="train[:50000]", valid="train[50000:]", standardize="unit")
BASE = Run(
    matmul_precision="highest",  # float32 products, on GPUs too
    data=MNIST,
    optimizer="momentum",
    momentum=0.95,
    schedule="linear",
    learning_rate=0.01,
    batch_size=128,
    epochs=20,
)
WIDTHS, WIDE, END = (512, 512, 1024), (1024, 1024), Ramp(start=0.7, end=0.7)
PLAIN, DROPPED = {"net": [MLP(widths=WIDTHS)]}, {"net": [MLP(widths=WIDTHS, input_dropout=0.2)], "dropout": [0.5]}
NORMS = {"penalties": [(MaxNorm(limit),) for limit in (2.0, 4.0)]}
NOISY = MLP(widths=WIDE, input_dropout=GaussianDropout(0.2))
ROWS: dict[str, tuple[float, dict[str, Any]]] = {  # published error in %, fields
    "L2": (1.62, {**PLAIN, "l2": [1e-5, 1e-4]}),
    "L2, then L1": (1.60, {**PLAIN, "l2": [1e-5], "l1": [Scheduled(1e-6, END), Scheduled(1e-5, END)]}),
    "L2, KL": (1.55, {**PLAIN, "l2": [1e-5], "penalties": [(ActivityKL(by, 0.1),) for by in (1e-4, 1e-3)]}),
    "max-norm": (1.35, {**PLAIN, **NORMS}),
    "dropout, L2": (1.25, {**DROPPED, "l2": [1e-6, 1e-5]}),
    "dropout, max-norm": (1.05, {**DROPPED, **NORMS}),
    "Bernoulli": (1.08, {"net": [MLP(widths=WIDE, input_dropout=0.2)], "dropout": [0.5]}),
    "Gaussian": (0.95, {"net": [NOISY], "dropout": [GaussianDropout(0.5)]}),
}


def sweep() -> list[Run]:
    """Rows of the tables x strengths x seeds."""
    return [run for _, fields in ROWS.values() for run in grid(BASE, **fields, seed=range(3))]


def chosen(results: Results) -> dict[str, pd.Series]:
    """Test errors in % by seed, at the strength with the best validation accuracy, by row of the tables."""
    runs = results.runs.assign(error=100 * (1 - results.runs.test_accuracy.astype(float)))
    kinds, wide = runs.penalties.astype(str), runs["net.widths"].eq("1024,1024")
    gaussian = runs["net.input_dropout"].astype(str).str.contains("Gaussian")
    plain = np.select(
        [kinds.str.contains("MaxNorm"), kinds.str.contains("KL"), runs.l1 > 0],
        ["max-norm", "L2, KL", "L2, then L1"],
        "L2",
    )
    dropped = np.where(runs.dropout > 0, "dropout, ", "") + plain.astype(object)
    runs["row"] = np.select([wide & gaussian, wide], ["Gaussian", "Bernoulli"], dropped)
    runs["strength"] = [f"{l1} {l2} {kind}" for l1, l2, kind in zip(runs.l1, runs.l2, kinds)]
    found = {}
    for name, part in runs.groupby("row"):
        best = part.groupby("strength").valid_accuracy.mean().idxmax()
        found[str(name)] = part[part.strength == best].set_index("seed").error
    return found


def verdict(results: Results) -> Verdict:
    """Holds if both orders have intervals on their side of 0, conditionally if one does and the other is not decided."""
    errors = chosen(results)
    plain = min(("L2", "L2, then L1", "L2, KL", "max-norm"), key=lambda name: errors[name].mean())
    gains = errors[plain] - errors["dropout, max-norm"], errors["Bernoulli"] - errors["Gaussian"]
    gain, noise = map(Interval.of, gains)
    signs = [(each.low > 0) - (each.high < 0) for each in (gain, noise)]
    outcome = ["does not hold", "not decided at this n", "holds"][min(signs) + 1]
    outcome = "holds only when" if sorted(signs) == [0, 1] else outcome
    told = [
        f"{Interval.of(each * np.sign(each.mean()))} points {'less' if each.mean() > 0 else 'more'}" for each in gains
    ]
    sentence = (
        f"after 7,800 updates dropout and max-norm err {told[0]} than {plain} alone, "
        f"and Gaussian noise {told[1]} than Bernoulli's"
    )
    numbers = {f"{name}, % (published {ROWS[name][0]})": Interval.of(errors[name]) for name in ROWS}
    return Verdict(outcome, sentence, {f"gain over {plain}": gain, "Bernoulli minus Gaussian": noise, **numbers})


def figure(results: Results) -> plt.Figure:
    """Errors here and the published ones."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    errors = [Interval.of(chosen(results)[name]) for name in ROWS]
    halves = [np.nan_to_num(each.half) for each in errors]
    axes.errorbar([each.mean for each in errors], range(8), xerr=halves, fmt="o", capsize=3, label="here, 95% interval")
    axes.plot([published for published, _ in ROWS.values()], range(8), "kD", ms=4, label="published")
    axes.set_yticks(range(8), list(ROWS))
    axes.invert_yaxis()
    axes.set(xlabel="test error, %", title="MNIST, 3 seeds")
    axes.legend(fontsize=7)
    return drawing
