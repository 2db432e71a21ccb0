"""Tables of results as `lanes.load` and `lanes.load_curves` return them, without training anything."""

import itertools

import numpy as np
import pandas as pd

EPOCHS = 4


def made_sweep(axes, seeds=4, value=None, noise=0.004, **fields):
    """(runs, curves) of all combinations of `axes`, a mapping from fields to values.

    Args:
        axes: by field.
        seeds: number of seeds.
        value: (combination as a mapping) -> validation accuracy without noise; by default 0.8 for all.
        noise: standard deviation of what differs between seeds and combinations.
        fields: the same in all runs.
    """
    generator = np.random.default_rng(0)
    runs, curves = [], []
    for index, (*values, seed) in enumerate(itertools.product(*axes.values(), range(seeds))):
        combination = dict(zip(axes, values, strict=True))
        accuracy = (value(combination) if value else 0.8) + noise * generator.normal()
        row = {"run_id": f"{index:016x}", "status": "done", "data": "digits", **fields, **combination, "seed": seed}
        row |= {"epochs_done": EPOCHS, "best_epoch": 3, "penalty": 0.0, "diverged_step": None, "seconds": 0.01}
        row |= {"train_loss": 0.1, "valid_loss": 1 - accuracy, "test_loss": 1.01 - accuracy}
        row |= {"train_accuracy": accuracy + 0.05, "valid_accuracy": accuracy, "test_accuracy": accuracy - 0.01}
        runs.append(row)
        for epoch in range(1, EPOCHS + 1):
            point = {"batch_loss": 1 / epoch, "valid_loss": 1 / epoch, "valid_accuracy": accuracy - 0.1 / epoch}
            curves.append({"run_id": row["run_id"], "epoch": epoch, "penalty": 0.0, **point})
    return pd.DataFrame(runs), pd.DataFrame(curves)


def end(runs, rows, status):
    """Let rows of a table end as `status`, without metrics; the table."""
    metrics = [name for name in runs if name.startswith(("train_", "valid_", "test_"))]
    runs.loc[rows, metrics] = np.nan
    runs.loc[rows, "status"] = None if status == "pending" else status
    if status == "diverged":
        runs.loc[rows, "diverged_step"] = 1234
    return runs
