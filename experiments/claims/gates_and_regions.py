"""Does one unit compute and, or, nor and nand but not XOR, and does a net carve at most as many regions as it has units?

    .venv/bin/lanes reproduce gates_and_regions

A region is a convex part of the square of the data in which each hidden ReLU is on or off throughout; they are counted
exactly. A layer of n units makes at most 1 + n + n (n - 1) / 2 (Zaslavsky). Nets that fold are built, not trained: each
layer of four units maps x and y to 2 |x| - 1 and 2 |y| - 1. After a first run, single units have a rate of 0.1, not 0.01,
which had not learned all gates in 50 epochs, and inputs without noise.

Expected: does not hold; single units compute the four gates in 20 of 20 tries, XOR in 0 of 5; 32 trained ReLUs carve
384 ± 19 (n = 5) regions in one layer, 604 ± 191 (n = 5) in two, and 20 that fold 1024 (about 40 s of processor time).

Source: a lecture at the University of Ferrara, "convex areas ≤ number of neurons in the hidden layers"; Krawiec, Elementy
Inteligencji Obliczeniowej (2018); Montúfar et al. (2014), who fold; Hanin and Rolnick (2019): n² / 2 at any depth.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import XOR, ConvexRegions, Gates, Interval, Results, Run, Verdict, grid, restore
from lanes.analysis import activation_regions as analysis
from nets import MLP

BASE = Run(loss="binary_cross_entropy", output="identity", learning_rate=0.01, batch_size=50, epochs=50)
DEPTHS = {1: "one layer", 2: "two layers"}  # of 8, 16 and 32 units in all


def sweep() -> list[Run]:
    """A single unit for each gate and XOR, and nets of one and two layers for four areas in a square, x 5 seeds."""
    names = ("and", "or", "nor", "nand")
    gates = [XOR(binary=True, noise=0.0), *(Gates(binary=True, noise=0.0, gate=name) for name in names)]
    nets = [MLP(widths=(units // layers,) * layers) for units in (8, 16, 32) for layers in DEPTHS]
    single = grid(BASE, data=gates, net=[MLP(widths=())], learning_rate=[0.1], seed=range(5))
    return single + grid(BASE, data=[ConvexRegions(n=1000, binary=True, regions=4)], net=nets, seed=range(5))


def measure(results: Results) -> pd.DataFrame:
    """Regions of each trained net, and of nets of 1 to 5 layers that fold, which have no seed."""
    signs = np.kron(np.eye(2), [1.0, -1.0])  # of x and y in a layer's four units
    folds = [(signs, np.zeros(4)), *[(2 * abs(signs.T) @ signs, -signs.sum(axis=0))] * 4]
    rows = [("folding", 4 * depth, 0, len(analysis.activation_regions(folds[:depth]))) for depth in range(1, 6)]
    for run in results.runs[results.runs["data"] == "convex_regions"].to_dict("records"):
        _, variables = restore(results.directory, run["run_id"], "last")
        trained = [part["dense"] for name, part in sorted(variables["params"].items()) if name != "output"]
        layers = [(part["kernel"], part["bias"]) for part in trained]
        name, units = DEPTHS[len(layers)], sum(len(bias) for _, bias in layers)
        rows.append((name, units, run["seed"], len(analysis.activation_regions(layers))))
    return pd.DataFrame(rows, columns=["net", "units", "seed", "regions"])


def verdict(results: Results) -> Verdict:
    """Fails if gates are not computed or trained nets carve more regions than units; holds if no net does, built ones neither."""
    solved = (results.runs[results.runs.data != "convex_regions"].set_index("data").test_accuracy == 1).groupby("data")
    table = results.measured.groupby(["net", "units"]).regions
    numbers: dict[str, Interval | float] = {f"{data}, solved": float(share) for data, share in solved.mean().items()}
    numbers |= {f"{name}, {units} units": Interval.of(found) for (name, units), found in table if name != "folding"}
    excess = [Interval.of(found - units) for (name, units), found in table if name != "folding"]
    built = numbers["folding, 20 units"] = float(table.get_group(("folding", 20)).iloc[0])
    sentence = f"single units compute the four gates in {solved.sum()['gates']} of 20 tries, XOR in {solved.sum()['xor']} of 5; "
    sentence += f"32 trained ReLUs carve {numbers['one layer, 32 units']} regions in one layer, "
    sentence += f"{numbers['two layers, 32 units']} in two, and 20 that fold {built:.0f}"
    right = solved.mean()["gates"] == 1 and solved.mean()["xor"] == 0
    if not right or any(one.mean > one.half for one in excess):
        return Verdict("does not hold", sentence, numbers)
    fewer = all(one.mean <= -one.half for one in excess)
    whole = "holds" if built <= 20 else "holds only when"
    return Verdict(whole if fewer else "not decided at this n", sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Regions against hidden units."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    n = np.arange(4, 33)
    axes.loglog(n, n, "k:", label="as many as units", base=2)
    axes.plot(n, 1 + n + n * (n - 1) / 2, "k--", linewidth=0.8, label="at most, one layer")
    for name, part in results.measured.groupby("net"):
        seen = {units: Interval.of(found) for units, found in part.groupby("units").regions}
        half = [0 if name == "folding" else one.half for one in seen.values()]
        axes.errorbar([*seen], [one.mean for one in seen.values()], half, fmt=".-", capsize=2, label=name)
    axes.set(xlabel="hidden ReLUs", ylabel="regions of the square", title="Regions that nets carve (n = 5)")
    axes.legend(fontsize=7)
    return drawing
