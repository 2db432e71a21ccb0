"""The Python interface: `sweep`, `train`, `restore`; in a script or a notebook, on the devices that JAX has."""

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import pandas as pd

from lanes.describe.runs import Run
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus
from lanes.program.places import prepare_devices
from lanes.results.tables import load, load_curves
from lanes.storage.trained import Variables, find_run, restore, run_of, variables_of


class TrainedRun(NamedTuple):
    """One trained run: its net, the variables of its best epoch, its row of results, its curves."""

    net: nn.Module
    variables: Variables
    results: pd.Series
    curves: pd.DataFrame


def sweep(runs: Iterable[Run], out: str | os.PathLike[str], **options: Any) -> pd.DataFrame:
    """Train a list of runs into a directory and return its table (`load`); the same call again resumes.

    An interrupt (Ctrl-C, a notebook's stop button) saves and returns what there is.

    Args:
        runs: the runs.
        out: the directory.
        options: fields of `lanes.engine.options.Options`: width, devices, mapping, max_seconds, data_dir, quiet, halving,
            after_chunk and others.

    Raises RequestError for a wrong request; nothing is started or written then.
    """
    chosen = Options(**options)
    prepare_devices()
    outcome = run_sweep(make_plan(runs, chosen), Path(out), chosen)
    for line in outcome.failures:
        print(line, file=sys.stderr)
    if outcome.status == ExitStatus.STOPPED:
        print(
            f"stopped with {outcome.ended} of {outcome.planned} runs ended, all saved: the same call resumes",
            file=sys.stderr,
        )
    return load(out)


def train(run: Run, out: str | os.PathLike[str] | None = None, **options: Any) -> TrainedRun:
    """Train one run: the same code, one lane. Without `out` nothing is kept on disk."""
    with tempfile.TemporaryDirectory() as temporary:
        where = Path(temporary) if out is None else Path(out)
        chosen = Options(**{"quiet": True, **options})
        prepare_devices()
        plan = make_plan([run], chosen)
        outcome = run_sweep(plan, where, chosen)
        if outcome.failures:
            raise RuntimeError(outcome.failures[0])
        run_id = plan.planned[0].run_id
        net, variables = restore(where, run_id, data_dir=chosen.data_dir)
        table = load(where).set_index("run_id")
        curves = load_curves(where)
        return TrainedRun(net, variables, table.loc[run_id], curves[curves["run_id"] == run_id].reset_index(drop=True))


def identify(run: Run, data_dir: str | None = None) -> str:
    """The run_id that a run will have, before it is trained: for the `init_from` of the runs that start from it.

    `data_dir` is where prepared TFDS sets are looked for first. Raises RequestError for a wrong run.
    """
    return make_plan([run], Options(data_dir=data_dir)).planned[0].run_id


__all__ = ["TrainedRun", "find_run", "identify", "restore", "run_of", "sweep", "train", "variables_of"]
