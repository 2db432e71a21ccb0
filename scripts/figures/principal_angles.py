"""Prints the largest principal angle between each linear autoencoder's subspace and that of PCA, in degrees.

    .venv/bin/python scripts/figures/principal_angles.py DIR          DIR: --out of experiments/linear_autoencoder.py

The autoencoder's subspace is spanned by its decoder's kernel, PCA's by the first principal directions of the training
inputs as the net sees them. 0° is the same subspace, 90° one direction that the other has nothing of.
"""

import argparse

import numpy as np
from scipy.linalg import subspace_angles

import lanes
from lanes.data.loading import load_dataset
from lanes.storage.directory import existing
from lanes.storage.trained import find_run, run_of


def largest_angle(directory: str, run_id: str) -> float:
    """Degrees, for one run."""
    (opened,) = existing([directory])
    run = run_of(opened, find_run(opened, run_id))
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
    table = lanes.load(directory)
    angles = [largest_angle(directory, run_id) for run_id in table["run_id"]]
    for seed, angle in zip(table["seed"], angles, strict=True):
        print(f"seed {seed}: {angle:.3f} degrees")
    print(f"largest of {len(angles)}: {max(angles):.3f} degrees")


if __name__ == "__main__":
    main()
