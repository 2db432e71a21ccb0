"""Trained runs of a sweep's directory: found, described and restored."""

import difflib
import json
import os
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pandas as pd

from lanes.data.loading import load_dataset
from lanes.describe import runs
from lanes.describe.experiment_files import load_module
from lanes.describe.identity import from_description
from lanes.describe.runs import Run
from lanes.errors import DamagedFileError, RequestError
from lanes.program.step import Setup, build_net
from lanes.storage import checkpoints
from lanes.storage.directory import Directory, existing

Variables = dict[str, Any]


def find_run(directory: Directory, run_id: str) -> pd.Series:
    """The row of a planned run, by its identity or an unambiguous beginning of it.

    Raises RequestError where there is none, or more than one.
    """
    table = directory.planned_runs()
    rows = table[table["run_id"].str.startswith(run_id)]
    if len(rows) == 1:
        return rows.iloc[0]
    if len(rows) > 1:
        raise RequestError(
            f"run {run_id!r} is the beginning of {len(rows)} run_ids of {directory.path}: give more of it"
        )
    close = difflib.get_close_matches(run_id, list(table["run_id"]), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise RequestError(
        f"unknown run {run_id!r} of {directory.path}: {hint}its {len(table)} run_ids are in runs.parquet"
    )


def run_of(directory: Directory, row: pd.Series) -> Run:
    """The run that a row of `runs.parquet` describes, its own functions and nets loaded from the directory's copy."""
    experiment = None
    name = row.get("experiment")
    if isinstance(name, str):
        experiment = load_module(directory.path / Path(name).name, row.get("experiment_sha256"))
    return from_description(json.loads(row["description"]), experiment)


def restore(
    directory: str | os.PathLike[str], run_id: str, epoch: str = "best", data_dir: str | None = None
) -> tuple[nn.Module, Variables]:
    """A trained run's net and its variables (`params`, batch statistics) as host arrays: `net.apply(variables, x, train=False)`.

    Args:
        directory: the sweep's.
        run_id: identity, or the beginning of it.
        epoch: "best" or "last".
        data_dir: where prepared TFDS sets are, as it was given for the sweep: the data's shapes are the net's.

    Raises RequestError where the run or its data is not there, where it has not been trained yet, or its checkpoint is damaged.
    """
    (opened,) = existing([directory])
    row = find_run(opened, run_id)
    run = run_of(opened, row)
    variables = variables_of(opened, row["pack"], [int(row["lane"])], epoch, runs.resolve(run).average)
    data = load_dataset(
        run.data, valid_fraction=run.valid_fraction, train_examples=run.train_examples, data_dir=data_dir
    )
    features = tuple(data.train.x.shape[1:])
    setup = Setup(run, run.task.outputs(data.outputs, features), features, len(data.train))
    lane = {"params": variables["params"], **variables["rest"]}
    return build_net(setup, run), _first(lane)


def _first(tree: Any) -> Any:
    return {name: _first(leaf) if isinstance(leaf, dict) else leaf[0] for name, leaf in tree.items()}


def variables_of(
    directory: Directory, pack: str, lanes: list[int], epoch: str = "best", average: Any = None
) -> Variables:
    """`{"params", "rest"}` [len(lanes), …] of lanes of a pack's newest checkpoint, as they were evaluated.

    Args:
        directory: the sweep's.
        pack: its pack_id.
        lanes: places in the pack.
        epoch: "best", where no epoch was the best the last one; or "last".
        average: the runs' own: of the last epoch, too, the average is what is evaluated.

    Raises RequestError for an epoch that is not kept, and where there is no whole checkpoint.
    """
    if epoch not in ("best", "last"):
        raise RequestError(f"epoch is {epoch!r}: the best and the last are kept; choose best or last")
    try:
        found = directory.checkpoint(pack)
    except DamagedFileError as error:
        raise RequestError(str(error)) from error
    if found is None:
        raise RequestError(
            f"pack {pack} of {directory.path} has no checkpoint: run the sweep's command again to train it"
        )
    _, leaves = found
    chosen = {name: leaf[np.array(lanes)] for name, leaf in leaves.items() if np.ndim(leaf)}
    last = {part: checkpoints.nest(chosen, f"trained.{part}") for part in ("params", "rest")}
    if epoch == "last":
        return last if average is None else {**last, "params": _averaged(average, last["params"], chosen)}
    has_best = chosen["best_epoch"] > 0
    best = {part: checkpoints.nest(chosen, f"best.{part}") for part in ("params", "rest")}
    return jax.tree.map(lambda b, z: np.where(has_best.reshape(-1, *(1,) * (b.ndim - 1)), b, z), best, last)


def _averaged(average: Any, params: Variables, leaves: dict[str, np.ndarray]) -> Variables:
    """The average of lanes' parameters, from its state in the checkpoint."""
    prefix = "trained.average."
    inside = {name.removeprefix(prefix): leaf for name, leaf in leaves.items() if name.startswith(prefix)}
    state = checkpoints.unflatten(jax.eval_shape(jax.vmap(average.init), params), inside)
    return jax.tree.map(np.asarray, jax.vmap(average.params)(state))
