"""Does a VAE's map leave the prior with reconstruction only, shrink to a point with divergence only, and neither with both?

    .venv/bin/lanes reproduce vae_latent_map

Expected: holds; |μ| is 2.9, 1.4 and 0.03 with reconstruction, both and divergence, the ELBO -35.8, -24.3 and -58; 85%,
71% and 11% of votes are right (n = 5) (about 70 s of processor time).
Source: Kingma and Welling (2014); Krawiec, Neural Networks and Deep Learning (2018), on autoencoders.
"""

import jax
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

import lanes
from lanes import Digits, Elbo, Interval, Results, Run, Verdict, grid
from nets import VAE

BASE = Run(data=Digits(standardize="unit"), net=VAE((256, 128)), loss="sigmoid_cross_entropy", schedule="cosine")


def sweep() -> list[Run]:
    """Modes x seeds."""
    tasks = [Elbo(mode=mode) for mode in ("reconstruction", "both", "divergence")]
    return grid(BASE, task=tasks, seed=range(5), epochs=[100], eval_every=[10])


def measure(results: Results) -> pd.DataFrame:
    """Means μ of test digits, their root mean square, and whether the 10 training codes nearest to drawn codes vote rightly."""
    data, tables, rngs = BASE.data.load(), [], {"sample": jax.random.key(0)}
    for run_id, run in results.runs.set_index("run_id")[["task.mode", "seed", "test_elbo"]].iterrows():
        net, variables = lanes.restore(results.directory, run_id)
        seen, new = (net.apply(variables, x / 16, train=False, rngs=rngs) for x in (data.train.x, data.test.x))
        right = KNeighborsClassifier(10).fit(seen.latent, data.train.y).predict(new.latent) == data.test.y
        table = pd.DataFrame({"x": new.mean[:, 0], "y": new.mean[:, 1], "digit": data.test.y, "right": right})
        tables.append(table.assign(spread=float((new.mean**2).sum(axis=1).mean() ** 0.5), **run))
    return pd.concat(tables, ignore_index=True)


def verdict(results: Results) -> Verdict:
    """Holds if both terms keep μ nearer to 0 than reconstruction alone, which divergence alone makes 0, with the best ELBO."""
    by = results.measured.groupby(["task.mode", "seed"])[["spread", "right", "test_elbo"]].mean().unstack(0)
    gains = [by.spread.reconstruction - by.spread.both, 0.1 - by.spread.divergence, by.right.both - by.right.divergence]
    gains += [by.test_elbo.both - by.test_elbo[mode] for mode in ("reconstruction", "divergence")]
    holds, fails = all(Interval.of(one).low > 0 for one in gains), any(Interval.of(one).high < 0 for one in gains)
    found = {f"{name}, {mode}": Interval.of(values) for (name, mode), values in by.items()}
    text = "|μ| is {2:.2g}, {0:.2g} and {1:.1g} with reconstruction, both and divergence, the ELBO {8:.1f}, {6:.1f} and {7:.0f}"
    sentence = (text + "; {5:.0%}, {3:.0%} and {4:.0%} of votes are right (n = 5)").format(*by.mean())
    return Verdict("holds" if holds else "does not hold" if fails else "not decided at this n", sentence, found)


def figure(results: Results) -> plt.Figure:
    """The test digits' means of the first seed, in each mode."""
    drawing, cells = plt.subplots(1, 3, figsize=(8, 3), layout="compressed", sharex=True, sharey=True)
    for cell, (mode, part) in zip(cells, results.measured.query("seed == 0").groupby("task.mode", sort=False)):
        dots = cell.scatter(part.x, part.y, s=4, c=part.digit, cmap="tab10", vmin=-0.5, vmax=9.5)
        cell.add_patch(plt.Circle((0, 0), 2, fill=False))
        cell.set(title=mode, xlabel="μ₁; circle: 2 σ of the prior", ylabel="μ₂", aspect="equal")
    drawing.colorbar(dots, ax=cells, label="digit", ticks=range(10))
    return drawing
