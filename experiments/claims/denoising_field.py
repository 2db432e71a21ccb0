"""Is a denoiser's r(x) - x the field σ² ∇ log p(x) toward the data, are ReLU codes sparse, do codes of one number overfit?

    .venv/bin/lanes reproduce denoising_field

p is the training points of two moons blurred by the noise, σ = 0.3, whose field is known exactly; the cosine is that of the
fields at 2,000 noisy points, taken together. Sparse codes hold exact zeros; the gap is test less training error. In a
first run, at a constant rate and with 324 digits, the cosine was 0.868 ± 0.062 (n = 5); now the rate falls to 0.

Expected: holds only when; cosine 0.925 ± 0.011 (n = 5), trained without noise 0.045 ± 0.077 (n = 5); 65% of a ReLU
code is 0, of others 0% at most; test less training error of a code of one number is -0.027 ± 0.012 (n = 5) above that
of 16 (about 70 s of processor time).

Source: Alain and Bengio (2014); Krawiec, Elementy Inteligencji Obliczeniowej (2018): "forces", "exactly zero", "infinite
capacity of real numbers"; Goodfellow, Bengio and Courville (2016), chapter 14, on codes of one number.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import softmax

from lanes import Digits, GaussianNoise, Interval, Moons, Reconstruct, Results, Run, Verdict, grid, restore
from nets import MLP, Autoencoder

BASE = Run(task=Reconstruct(), loss="mean_squared_error", schedule="cosine", learning_rate=3e-3, batch_size=50)
SIGMA, MOONS, DIGITS = 0.3, Moons(n=1000), Digits(valid_fraction=0.75)  # a quarter of the digits is for training
CODES = {16: ("relu", "tanh", "sigmoid"), 1: ("tanh",)}  # sizes and units


def sweep() -> list[Run]:
    """A net for two moons with and without noise, and autoencoders of digits with codes of 16 and of one, x 5 seeds."""
    tasks, runs = [Reconstruct(corruption=GaussianNoise(std)) for std in (0.0, SIGMA)], []
    for code, units in CODES.items():
        axes = {"data": [DIGITS], "net": [Autoencoder((128,), code, "activation")], "activation": units}
        runs += grid(BASE, axes, epochs=[200], eval_every=[50], seed=range(5))
    moons = {"data": [MOONS], "net": [MLP((64, 64))], "task": tasks}
    return runs + grid(BASE, moons, epochs=[150], eval_every=[50], seed=range(5))


def measure(results: Results) -> pd.DataFrame:
    """A row for each number of a net, and for each arrow of the first denoiser."""
    rows: list[dict[str, object]] = []
    for run in results.runs.to_dict("records"):
        net, variables = restore(results.directory, run["run_id"], "last")
        data, seed = (MOONS if run["data"] == "moons" else DIGITS).load(), run["seed"]
        assert data.test
        x, test = ((part.x - data.offset) * data.scale for part in (data.train, data.test))
        if run["data"] == "moons":
            random, is_denoiser = np.random.default_rng(seed), str(SIGMA) in run["task.corruption"]
            noisy = random.choice(x, 2000) + SIGMA * random.normal(size=(2000, 2))
            exact = softmax(-((noisy[:, None] - x) ** 2).sum(axis=-1) / (2 * SIGMA**2), axis=1) @ x - noisy
            field = np.asarray(net.apply(variables, noisy, train=False)) - noisy
            cosine = (field * exact).sum() / np.sqrt((field**2).sum() * (exact**2).sum())
            found = {f"cosine {'with' if is_denoiser else 'without'} noise": cosine}
            arrows = np.c_[noisy, field, exact][: 250 if is_denoiser and seed == 0 else 0]
            rows += pd.DataFrame(arrows, columns=["x", "y", "u", "v", "exact u", "exact v"]).to_dict("records")
        else:
            seen, new = (net.apply(variables, part, train=False) for part in (x, test))
            error, other = (((out.prediction - part) ** 2).mean() for out, part in ((seen, x), (new, test)))
            name = f"{run['activation']}, code of {new.latent.shape[1]}"
            found = {f"zeros, {name}": (new.latent == 0).mean(), f"error, {name}": error, f"gap, {name}": other - error}
        rows += [{"name": name, "seed": seed, "value": float(value)} for name, value in found.items()]
    return pd.DataFrame(rows)


def verdict(results: Results) -> Verdict:
    """Holds if cosines exceed 0.9, ReLU codes alone are 0 in 10%, and a code of one has a larger gap than one of 16."""
    by = results.measured.dropna(subset="name").pivot(index="seed", columns="name", values="value")
    zeros, *others = (by[f"zeros, {unit}, code of 16"] for unit in CODES[16])
    most, found = np.maximum(*others), {str(name): Interval.of(values) for name, values in by.items()}
    wider = found["gap of 1 less of 16"] = Interval.of(by["gap, tanh, code of 1"] - by["gap, tanh, code of 16"])
    margins = [Interval.of(by["cosine with noise"] - 0.9), Interval.of(zeros - most - 0.1), wider]
    states = [np.sign(one.mean) * (abs(one.mean) > one.half) for one in margins]
    sentence = f"cosine {found['cosine with noise']}, trained without noise {found['cosine without noise']}; "
    sentence += f"{zeros.mean():.0%} of a ReLU code is 0, of others {most.max():.0%} at most; test less training error "
    sentence += f"of a code of one number is {wider} above that of 16"
    some = "not decided at this n" if 0 in states else "holds only when" if 1 in states else "does not hold"
    return Verdict("holds" if min(states) == 1 else some, sentence, found)


def figure(results: Results) -> plt.Figure:
    """Arrows of a denoiser and the exact ones."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    at = results.measured.dropna(subset="u")
    for start, color, width in (("exact ", "C1", 0.009), ("", "black", 0.003)):
        arrows, label = (at.x, at.y, at[f"{start}u"], at[f"{start}v"]), f"{start or 'learned '}field"
        axes.quiver(*arrows, color=color, width=width, label=label, angles="xy", scale_units="xy", scale=1)
    axes.set(xlabel="x₁, standardized", ylabel="x₂, standardized", title="r(x) - x of a denoiser, from noisy points")
    axes.legend(fontsize=7)
    return drawing
