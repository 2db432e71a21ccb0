"""Is a net with dropout nearly the mean of its sub-networks, and does it survive the removal of units?

    .venv/bin/lanes reproduce dropout_as_averaging

What counts as near and as surviving was fixed before the first run.

Expected: holds only when; the scaled net is 0.621 ± 0.018 (n = 5) times as far from the mean of 1,000 sub-networks as
one is (near: 0.5); without half of its units it loses 0.304 ± 0.078 (n = 5) less accuracy than without dropout (about
16 s of processor time).

Source: Srivastava et al. (2014); CS231n (2016), lecture 6.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import softmax

import lanes
from lanes import Interval, Results, Run, Verdict, grid
from nets import MLP

SHARES = [f"0.{at}" for at in range(10)]


def sweep() -> list[Run]:
    """Two hidden layers with and without dropout x seeds."""
    return grid(Run(data="digits", net=MLP(widths=(128, 128)), epochs=30), dropout=[0.0, 0.5], seed=range(5))


def measure(results: Results) -> pd.DataFrame:
    """Distances to the mean prediction of 1,000 sub-networks; test accuracy of 20 draws with a share of units removed."""
    data, random, rows = lanes.Digits().load(), np.random.default_rng(0), []
    assert data.test
    x = ((np.asarray(data.test.x) - data.offset) * data.scale).reshape(180, 64)
    for rate, seed, run_id in results.runs[["dropout", "seed", "run_id"]].itertuples(index=False):
        layers = [
            one.get("dense", one) for _, one in sorted(lanes.restore(results.directory, run_id)[1]["params"].items())
        ]

        def predicted(removed: float, scale: float = 1.0, layers: list[dict[str, np.ndarray]] = layers) -> np.ndarray:
            h = x
            for layer in layers[:2]:
                h = np.maximum(h @ layer["kernel"] + layer["bias"], 0) * (random.random(128) >= removed) * scale
            return softmax(h @ layers[2]["kernel"] + layers[2]["bias"], axis=-1)

        right = [np.mean([predicted(float(at)).argmax(-1) == data.test.y for _ in range(20)]) for at in SHARES]
        each = np.array([predicted(0.5, 2.0) for _ in range(1000)])
        far = [np.linalg.norm(one - each.mean(axis=0), axis=-1).mean() for one in (predicted(0.0), each)]
        rows.append((rate, seed, *far, *right))
    return pd.DataFrame(rows, columns=["dropout", "seed", "scaled", "single", *SHARES])


def verdict(results: Results) -> Verdict:
    """Holds if scaling is less than half as far from the mean as a sub-network, and half the units are missed less."""
    without, dropped = (part.set_index("seed") for _, part in results.measured.groupby("dropout"))
    ratio = Interval.of(dropped.scaled / dropped.single)
    less = Interval.of((without["0.0"] - without["0.5"]) - (dropped["0.0"] - dropped["0.5"]))
    holds, fails = [ratio.high < 0.5, less.low > 0], [ratio.low > 0.5, less.high < 0]
    sentence = f"the scaled net is {ratio} times as far from the mean of 1,000 sub-networks as one is (near: 0.5); "
    sentence += f"without half of its units it loses {less} less accuracy than without dropout"
    decided = sum(holds) + sum(fails) == 2
    outcome = ("does not hold", "holds only when", "holds")[sum(holds)] if decided else "not decided at this n"
    return Verdict(outcome, sentence, {"distance, scaled / single": ratio, "accuracy lost less": less})


def figure(results: Results) -> plt.Figure:
    """Accuracy against the share of units removed."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for rate, part in results.measured.groupby("dropout"):
        half = [Interval.of(part[share]).half for share in SHARES]
        axes.errorbar(SHARES, part[SHARES].mean(), half, capsize=2, label=f"dropout {rate}")
    axes.set(xlabel="share of hidden units removed", ylabel="test accuracy", title="Two layers of 128 units, 5 seeds")
    axes.legend()
    return drawing
