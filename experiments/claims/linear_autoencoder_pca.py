"""Does a linear autoencoder with squared error learn PCA's subspace?

    .venv/bin/lanes reproduce linear_autoencoder_pca

Expected: holds; every angle is at most 0.043° after 10,000 steps (n = 5); after 3,000, up to 4.2°, 0.037°, 57° (about
120 s of processor time).

Source: Baldi and Hornik (1989); Krawiec, Neural Networks and Deep Learning (2018), on autoencoders.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.linalg import subspace_angles

import lanes
from lanes import Digits, Interval, Results, Run, Verdict, grid
from nets import Autoencoder

BASE = Run(
    data=Digits(),
    train_examples=300,
    net=Autoencoder(widths=()),
    initializer="xavier_normal",
    task="reconstruct",
    loss="squared_error",
    batch_size=300,
    learning_rate=1e-2,
    schedule="cosine",
)
STEPS = (100, 300, 1000, 3000, 10_000)  # with all examples in each batch, so that gradients have no noise


def sweep() -> list[Run]:
    """Codes x lengths x seeds."""
    return grid(BASE, epochs=STEPS, seed=range(5), eval_every=[10**5], **{"net.code": (2, 4, 8)})


def measure(results: Results) -> pd.DataFrame:
    """The largest principal angle, in degrees, and the first eigenvalue left out divided by the last one kept."""
    data, rows = BASE.data.load().first_examples(300, seed=0), []
    x = ((np.asarray(data.train.x, float) - data.offset) * data.scale).reshape(300, -1)
    _, values, directions = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    for run in results.runs.itertuples():
        net, variables = lanes.restore(results.directory, run.run_id)
        kernel = np.asarray(variables["params"]["decoder"]["output"]["kernel"], float)
        angle = np.degrees(subspace_angles(kernel.T, directions[: net.code].T).max())
        rows.append((net.code, run.epochs, run.seed, angle, (values[net.code] / values[net.code - 1]) ** 2))
    return pd.DataFrame(rows, columns=["code", "steps", "seed", "angle", "ratio"])


def verdict(results: Results) -> Verdict:
    """Holds if after 10,000 steps every angle is below 1°, conditionally if those of some codes are."""
    early, late = (results.measured.query(f"steps == {steps}").groupby("code").angle for steps in STEPS[-2:])
    most, missed = late.max(), "°, ".join(f"{angle:.2g}" for angle in early.max())
    outcome = "holds" if most.max() < 1 else "holds only when" if most.min() < 1 else "does not hold"
    sentence = f"every angle is at most {most.max():.2g}° after 10,000 steps (n = 5); after 3,000, up to {missed}°"
    return Verdict(outcome, sentence, {f"code of {code}, angle in degrees": Interval.of(part) for code, part in late})


def figure(results: Results) -> plt.Figure:
    """The angle against the number of steps, a dot for each seed."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for at, (code, part) in enumerate(results.measured.groupby("code")):
        axes.loglog(part.steps * 1.06 ** (at - 1), part.angle, f"C{at}.", markersize=4, alpha=0.6)
        axes.loglog(part.groupby("steps").angle.median(), f"C{at}", label=f"code of {code}: {part.ratio.iloc[0]:.2f}")
    axes.set(xlabel="steps", ylabel="largest principal angle, degrees", title="A linear autoencoder turns into PCA")
    axes.legend(fontsize=8, loc="lower left", title="ratio of eigenvalues", title_fontsize=8)
    return drawing
