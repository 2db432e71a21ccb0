"""Does an L1 penalty set the weights of irrelevant inputs to 0, where an L2 penalty only makes weights smaller?

    .venv/bin/lanes reproduce l1_selects_l2_shrinks

Linear regression on 50 inputs of which 10 matter (true weights ±1), 60 examples for training, noise of deviation 1, new data for
each seed; each penalty at the best of nine strengths by validation loss; a weight below 0.01 counts as 0. Holds if L1 sets the
weights of at least a fifth more of the irrelevant inputs to 0 than L2 does, and L2's weights are shorter than without it.

Expected: holds; L1 sets 70% of the irrelevant weights to 0 (and 0% of the others), L2 3.5% and makes all weights 29%
shorter (about 17 s of processor time).

Source: Tibshirani (1996), on the lasso and ridge regression.
"""

from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import lanes
from lanes import Interval, Results, Run, Verdict, grid
from nets import Linear

STRENGTHS = [float(each) for each in np.geomspace(0.003, 3, 9).round(4)]
BASE = Run(net=Linear(), loss="squared_error", learning_rate=0.03, schedule="cosine", batch_size=60, epochs=2000)


def data(draw: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """y = ±x₁ ± … ± x₁₀ + noise; 60 examples for training, 200 for each other."""
    random = np.random.default_rng(draw)
    x = random.normal(size=(460, 50))
    y = x[:, :10] @ random.choice([-1, 1], 10) + random.normal(size=460)
    return {name: (x[a:b], y[a:b]) for name, a, b in (("train", 0, 60), ("valid", 60, 260), ("test", 260, 460))}


def sweep() -> list[Run]:
    """No penalty, and L1 and L2 of nine strengths, by seed, which is also that of the data."""
    ways: list[dict[str, list[float]]] = [{}, {"l1": STRENGTHS}, {"l2": STRENGTHS}]
    return [run for s in range(5) for run in grid(BASE, ways, data=[partial(data, s)], seed=[s], eval_every=[2000])]


def measure(results: Results) -> pd.DataFrame:
    """By run: the shares of irrelevant and of relevant weights below 0.01, and the length of all."""
    rows = []
    for run in results.runs.itertuples():
        leaves = jax.tree.leaves(lanes.restore(results.directory, run.run_id)[1]["params"])
        (weights,) = (np.abs(np.ravel(leaf)) for leaf in leaves if leaf.size == 50)
        shares = np.mean(weights[10:] < 0.01), np.mean(weights[:10] < 0.01)
        way = "none" if run.l1 + run.l2 == 0 else "L1" if run.l1 > 0 else "L2"
        rows.append((way, run.l1 + run.l2, run.seed, run.valid_loss, run.test_loss, *shares, np.linalg.norm(weights)))
    return pd.DataFrame(rows, columns=["way", "strength", "seed", "valid", "test", "irrelevant", "relevant", "length"])


def chosen(results: Results) -> dict[str, pd.DataFrame]:
    """Rows of each way by seed, at the strength with the lowest mean validation loss."""
    best = results.measured.groupby(["way", "strength"]).valid.mean().groupby("way").idxmin()
    return {way: results.measured.query("way == @way and strength == @at").set_index("seed") for way, at in best}


def verdict(results: Results) -> Verdict:
    """Holds if both differences are on their side of the bound with their intervals."""
    found = chosen(results)
    more = Interval.of(found["L1"].irrelevant - found["L2"].irrelevant)
    shorter = Interval.of(1 - found["L2"].length / found["none"].length)
    signs = [int(each.low > least) - int(each.high < least) for each, least in ((more, 0.2), (shorter, 0.0))]
    zero = {way: 100 * rows[["irrelevant", "relevant"]].mean() for way, rows in found.items()}
    sentence = (
        f"L1 sets {zero['L1'].irrelevant:.0f}% of the irrelevant weights to 0 (and {zero['L1'].relevant:.0f}% of the others), "
        f"L2 {zero['L2'].irrelevant:.1f}% and makes all weights {100 * shorter.mean:.0f}% shorter"
    )
    numbers = {f"{way}: test loss at its best strength": Interval.of(found[way].test) for way in found}
    numbers |= {"L1 less L2: share of irrelevant weights at 0": more, "L2: share of the length that goes": shorter}
    return Verdict(["does not hold", "not decided at this n", "holds"][min(signs) + 1], sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """The share of irrelevant weights at 0 against the strength of each penalty, and the strengths chosen."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for way, colour in (("L1", "C0"), ("L2", "C1")):
        shares = [Interval.of(each) for _, each in results.measured.query("way == @way").groupby("strength").irrelevant]
        means, halves = [each.mean for each in shares], np.nan_to_num([each.half for each in shares])
        axes.errorbar(STRENGTHS, means, halves, fmt="o-", capsize=3, color=colour, label=way)
        axes.axvline(chosen(results)[way].strength.iloc[0], color=colour, linestyle=":")
    axes.set(xscale="log", xlabel="strength λ (dotted: best)", ylabel="share below 0.01", title="40 irrelevant weights")
    axes.legend()
    return drawing
