"""Do sparse, contractive and denoising penalties each shape an autoencoder's code in its own way, at 4% of error each?

    .venv/bin/lanes reproduce penalties_on_codes

The strengths, which leave an error of about 4% of the variance, are from a first look; noise to remove has σ = 0.5.

Expected: holds only when; L1 changes active units by -37%, contraction changes Jacobian norm by -31%, noise changes
denoising error by -42%; contraction lowers Jacobian norm no more than noise; noise lowers denoising error no more
than contraction (about 210 s of processor time).

Source: Rifai et al. (2011); Vincent et al. (2010); Krawiec, Neural Networks and Deep Learning (2018), on autoencoders.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import lanes
from lanes import GaussianNoise, Interval, Reconstruct, Results, Run, Verdict, grid
from losses import CodeL1, ContractiveHutchinson
from nets import Autoencoder

BASE = Run(data=lanes.Digits(), net=Autoencoder((), 64, "activation", tied=True), loss="mean_squared_error", epochs=80)
OWN = {"L1": "active units", "contraction": "Jacobian norm", "noise": "denoising error"}  # what each penalty is for
NAMES = {"GaussianNoise(std=0.0)": "none", "GaussianNoise(std=0.4)": "noise"}


def sweep() -> list[Run]:
    """No penalty, two penalties and noise, x seeds."""
    tasks = {"task": [Reconstruct(corruption=GaussianNoise(std)) for std in (0.0, 0.4)]}
    penalties = {"task": [Reconstruct()], "penalties": [(CodeL1(3e-3),), (ContractiveHutchinson(4e-3),)]}
    return [one for axes in (tasks, penalties) for one in grid(BASE, axes, batch_size=[64], seed=range(2, 7))]


def measure(results: Results) -> pd.DataFrame:
    """Of test digits, relative to the net without a penalty; the probe is a softmax regression on codes."""
    data, rows = lanes.Digits().load(), []
    assert data.test
    x, test = ((part.x - data.offset) * data.scale for part in (data.train, data.test))
    noisy = test + 0.5 * np.random.default_rng(0).normal(size=test.shape)
    for run in results.runs.to_dict("records"):
        net, variables = lanes.restore(results.directory, run["run_id"], "last")
        seen, clean, restored = (net.apply(variables, part, train=False) for part in (x, test, noisy))
        active, kernel = clean.latent > 0, variables["params"]["encoder"]["hidden_0"]["dense"]["kernel"]
        found = [active.mean(), ((active @ (kernel**2).sum(axis=0)) ** 0.5).mean()]
        found += [((made.prediction - test) ** 2).mean() for made in (restored, clean)]
        probe = LogisticRegression(max_iter=300).fit(seen.latent, data.train.y).score(clean.latent, data.test.y)
        penalty = "L1" if "CodeL1" in run["penalties"] else "contraction" if run["penalties"] else None
        rows.append((penalty or NAMES[run["task.corruption"]], run["seed"], *map(float, found), probe))
    table = pd.DataFrame(rows, columns=["penalty", "seed", *OWN.values(), "error", "probe"])
    table = table.set_index(["penalty", "seed"])
    return table.div(table.loc["none"], level="seed").drop("none", level="penalty").reset_index()


def verdict(results: Results) -> Verdict:
    """Holds if each penalty lowers its own measure, and more than the two others do; only when, if another does as much."""
    ratio = {name: part.set_index("seed") for name, part in results.measured.groupby("penalty")}
    own = {name: Interval.of(ratio[name][measure] - 1) for name, measure in OWN.items()}
    equal = [
        f"{one} lowers {OWN[one]} no more than {other}"
        for one, other in itertools.permutations(OWN, 2)
        if not Interval.of(ratio[one][OWN[one]] - ratio[other][OWN[one]]).high < 0
    ]
    raised, lowered = (sum(sign * found.mean > found.half for found in own.values()) for sign in (1, -1))
    mixed = "holds only when" if equal else "holds"
    outcome = "does not hold" if raised else mixed if lowered == len(own) else "not decided at this n"
    shown = ", ".join(f"{name} changes {OWN[name]} by {100 * found.mean:.0f}%" for name, found in own.items())
    numbers = {f"{name}, {OWN[name]}, relative change": found for name, found in own.items()}
    numbers |= {f"{name}, probe, relative change": Interval.of(ratio[name].probe - 1) for name in OWN}
    return Verdict(outcome, "; ".join([shown, *equal]), numbers)


def figure(results: Results) -> plt.Figure:
    """Each measure under each penalty, relative to none."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for at, (name, part) in enumerate(results.measured.groupby("penalty")):
        found = [Interval.of(part[measure]) for measure in (*OWN.values(), "probe")]
        half = [one.half for one in found]
        axes.bar(np.arange(4) + at / 4 - 0.25, [one.mean for one in found], 0.25, yerr=half, label=name, capsize=2)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(4), [*OWN.values(), "probe's accuracy"], fontsize=8)
    axes.set(ylabel="relative to no penalty", title="A code of 64 ReLU units, at 4% of error")
    axes.legend(fontsize=7)
    return drawing
