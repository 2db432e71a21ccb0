"""Prints the largest principal angle, in degrees, between the subspaces of each linear autoencoder and of PCA.

    .venv/bin/python scripts/figures/principal_angles.py DIR          DIR: --out of experiments/linear_autoencoder.py

The decoder's kernel spans the autoencoder's subspace; the leading principal directions of the standardized training inputs
span PCA's. At 0° they are the same; at 90° some direction of one is orthogonal to all of the other.
"""

import argparse

import numpy as np
from scipy.linalg import subspace_angles

import lanes
from lanes.data.loading import load_dataset
from lanes.results.versions import of_present_versions
from lanes.storage.directory import existing
from lanes.storage.trained import find_run, run_of


def largest_angle(directory: str, run_id: str) -> float:
    """The largest principal angle of one run, in degrees."""
    (sweep,) = existing([directory])
    run = run_of(sweep, find_run(sweep, run_id))
    data = load_dataset(run.data, valid_fraction=run.valid_fraction, train_examples=run.train_examples)
    x = ((np.asarray(data.train.x, np.float64) - data.offset) * data.scale).reshape(len(data.train), -1)
    _, _, directions = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    net, variables = lanes.restore(directory, run_id, "last")
    kernel = np.asarray(variables["params"]["decoder"]["output"]["kernel"], np.float64)
    return float(np.degrees(subspace_angles(kernel.T, directions[: net.code].T)).max())


def main() -> None:
    """Reads the command line and prints."""
    parser = argparse.ArgumentParser(description="Principal angles between linear autoencoders and PCA.")
    parser.add_argument("directory", metavar="DIR")
    directory = parser.parse_args().directory
    table, _ = of_present_versions(lanes.load(directory))
    angles = [largest_angle(directory, run_id) for run_id in table["run_id"]]
    for seed, angle in zip(table["seed"], angles, strict=True):
        print(f"seed {seed}: {angle:.3f} degrees")
    print(f"largest of {len(angles)}: {max(angles):.3f} degrees")


if __name__ == "__main__":
    main()
