"""The tables of a finished or running sweep: `load` and `load_curves`."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lanes.describe.directions import Directions, merged
from lanes.results.statistics import DIRECTIONS
from lanes.storage.directory import existing
from lanes.storage.records import recorded_directions

PathLike = str | os.PathLike[str]
FIRST = ("run_id", "status")


def load(directories: PathLike | Sequence[PathLike]) -> pd.DataFrame:
    """One row per planned run: its fields, then its results; `status` is null until the run has ended.

    `epochs_done` is the number of epochs trained; `epochs` is the run's field. With several directories the column `dir`
    holds each row's directory. `attrs["higher_is_better"]` holds the directions of the runs' own metrics by name, which
    rankings read.

    Raises RequestError for a directory without a sweep.
    """
    several = not isinstance(directories, (str, Path, os.PathLike))
    paths: list[PathLike] = list(directories) if several else [directories]  # type: ignore[list-item, arg-type]
    tables = []
    stated: Directions = {}
    for path, directory in zip(paths, existing(paths)):
        runs = directory.planned_runs()
        results = directory.read_parts(directory.results)
        if results.empty:
            results = pd.DataFrame({"run_id": pd.Series(dtype=object), "status": pd.Series(dtype=object)})
        results = results.rename(columns={"epochs": "epochs_done"})
        table = runs.drop(columns=["description"], errors="ignore").merge(results, on="run_id", how="left")
        table = table[[*FIRST, *(name for name in table.columns if name not in FIRST)]]
        tables.append(table.assign(dir=str(path)) if several else table)
        stated = merged(stated, recorded_directions(directory))
    joined = pd.concat(tables, ignore_index=True)
    joined.attrs[DIRECTIONS] = stated  # last: merging and joining tables drops it
    return joined


def load_curves(directory: PathLike) -> pd.DataFrame:
    """One row per run and epoch: `run_id`, `epoch` from 1, `batch_loss`, `penalty`, and the validation metrics.

    Batch loss and penalties on activations are means over the epoch's batches; penalties on weights are taken at its end.

    Raises RequestError for a directory without a sweep.
    """
    (opened,) = existing([directory])
    return opened.read_parts(opened.curves)
