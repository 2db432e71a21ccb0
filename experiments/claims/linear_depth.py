"""Do nets of identity units, 1 to 8 layers deep, end within a point of a linear classifier's test accuracy?

    .venv/bin/lanes reproduce linear_depth

Half of the digits tests; each depth has the rate and the schedule of least validation loss. Earlier runs had n = 5, and
smaller rates, of which the linear net wanted the largest.

Expected: not decided at this n; 1, 2, 4, 8 layers change accuracy by -0.5 ± 0.5, -0.4 ± 0.5, -1.6 ± 0.9, -1.0 ± 0.7
points; 50 of 50 nets are affine (about 80 s of processor time).

Source: Abad, "Introducción al Deep Learning": without nonlinearities a net reduces to a single layer.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from lanes import Dataset, Interval, Results, Run, Verdict, from_arrays, grid, restore
from nets import MLP

BASE = Run(optimizer="adam", initializer="xavier_normal", batch_size=64, epochs=40)


def digits() -> Dataset:
    """The 1,797 digits, half of them for testing."""
    return from_arrays(*load_digits(return_X_y=True), test_fraction=0.5)


def sweep() -> list[Run]:
    """Depths x schedules x rates x seeds."""
    axes: dict[str, list[object]] = {"schedule": ["constant", "cosine"], "learning_rate": [3e-3, 0.01, 0.03, 0.1]}
    nets = [MLP(widths=(32,) * depth) for depth in (1, 2, 4, 8)]
    deep = grid(BASE, data=[digits], net=nets, activation=["identity"], **axes, seed=range(10))
    return grid(BASE, data=[digits], net=[MLP(widths=())], **axes, seed=range(10)) + deep


def measure(results: Results) -> pd.DataFrame:
    """The chosen runs, their points over the linear net of their seed, and whether they are one affine map."""
    depth = results.runs["net.widths"].astype(str).str.count("32")
    runs = results.runs.fillna({"valid_loss": np.inf}).assign(depth=depth)
    keys, x, affine = ["depth", "schedule", "learning_rate"], np.random.default_rng(0).normal(size=(1000, 64)), []
    best = runs.set_index(keys).loc[runs.groupby(keys).valid_loss.mean().groupby("depth").idxmin()].reset_index()
    points = 100 * (best.test_accuracy - best.groupby("seed").test_accuracy.transform("first"))
    for _, variables in restore(results.directory, best.run_id):
        deep, product, shift = x, np.eye(64), np.zeros(64)
        for layer in variables["params"].values():
            bias, kernel = (np.asarray(layer.get("dense", layer)[name], float) for name in ("bias", "kernel"))
            deep, product, shift = deep @ kernel + bias, product @ kernel, shift @ kernel + bias
        affine.append(np.allclose(x @ product + shift, deep, rtol=0, atol=1e-12 * np.abs(deep).max()))
    return best[[*keys, "seed", "test_accuracy"]].assign(points=points, affine=affine)


def verdict(results: Results) -> Verdict:
    """Holds if all intervals are within a point, fails if one is wholly beyond; otherwise it is open."""
    more = {depth: Interval.of(part) for depth, part in results.measured.query("depth > 0").groupby("depth").points}
    near, far = zip(*((abs(one.mean) - one.half, abs(one.mean) + one.half) for one in more.values()), strict=True)
    outcome = "holds" if max(far) <= 1 else "does not hold" if max(near) > 1 else "not decided at this n"
    points = ", ".join(f"{one.mean:+.1f} ± {one.half:.1f}" for one in more.values())
    sentence = f"1, 2, 4, 8 layers change accuracy by {points} points; {sum(results.measured.affine)} of 50 nets are"
    numbers = {f"points, {depth} less 0 layers": one for depth, one in more.items()}
    return Verdict(outcome, f"{sentence} affine", numbers)


def figure(results: Results) -> plt.Figure:
    """Differences from the linear net by depth."""
    points = results.measured.query("depth > 0").groupby("depth").points
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    axes.errorbar([1, 2, 4, 8], points.mean(), points.agg(lambda part: Interval.of(part).half), fmt="o", capsize=4)
    axes.axhspan(-1, 1, color="gray", alpha=0.3)
    axes.set(xlabel="identity layers", ylabel="percentage points", title="Test accuracy less a linear net's (n = 10)")
    return drawing
