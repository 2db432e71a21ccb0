"""Draws the latent codes of the test examples in a sweep of VAEs: one map per mode, for the lowest seed.

    .venv/bin/python scripts/figures/latent_map.py DIR --out FILE          DIR: --out of experiments/vae_latent.py

Each dot is an example's mean μ(x), coloured by class; the circle marks two standard deviations of the prior.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

import lanes
from lanes.results.diagnosis import diagnose
from lanes.results.versions import of_present_versions

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def draw(directory: str, out: Path) -> None:
    """Writes the picture and prints the terms of each ELBO."""
    table, _ = of_present_versions(lanes.load(directory))
    table = table[table["seed"] == table["seed"].min()]
    figure, axes = plt.subplots(1, len(table), figsize=(4.2 * len(table), 4.2), layout="constrained", squeeze=False)
    angle = np.linspace(0, 2 * np.pi, 100)
    codes = diagnose(directory, "latent_map", run_ids=list(table["run_id"]), split="test", examples=10**6)["latent_map"]
    for cell, (_, row) in zip(axes[0], table.iterrows(), strict=True):
        own = codes[codes["run_id"] == row["run_id"]]
        mean, classes = own[["first", "second"]].to_numpy(), own["target"].astype(int)
        cell.scatter(*mean.T, c=classes, cmap="tab10", s=10)
        cell.plot(2 * np.cos(angle), 2 * np.sin(angle), color="grey", linewidth=0.8)
        terms = f"reconstruction {row['test_reconstruction']:.2f}, divergence {row['test_divergence']:.2f}"
        cell.set_title(f"{row['task.mode']}\n{terms}", fontsize=9)
        cell.set_aspect("equal", adjustable="datalim")
        print(f"{row['task.mode']:15} {terms}, elbo {row['test_elbo']:.2f}, spread of the means {mean.std(axis=0)}")
    figure.savefig(out, dpi=130)


def main() -> None:
    """Reads the command line and draws."""
    parser = argparse.ArgumentParser(description="Draw the latent maps of a sweep of VAEs.")
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    draw(args.directory, args.out)


if __name__ == "__main__":
    main()
