"""Training a finished run further."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.engine.continuing import inexact, shorter, with_sources
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import RequestError
from lanes.program.places import prepare_devices
from lanes.results.tables import load
from lanes.storage import data_records
from lanes.storage.directory import existing
from lanes.storage.finished import finished_in
from lanes.storage.trained import find_run, run_of


def continue_run(
    directory: str | os.PathLike[str],
    run_id: str,
    *,
    epochs: int,
    out: str | os.PathLike[str],
    trust: bool = True,
    **options: Any,
) -> pd.DataFrame:
    """Train a finished run further, from its last parameters, optimizer state and early stopping, and return `load(out)`.

    The result is, bit for bit, that of one run of `epochs` epochs by the same program on the same device; where it would not
    be, as under a schedule that ends with the run, the request is refused. To start another training from a run's
    parameters, use `init_from`.

    Args:
        directory: of the sweep.
        run_id: the run's identity or a prefix of it.
        epochs: length in epochs, those that are done included.
        out: directory of the longer run; `directory` itself adds it there.
        trust: False refuses to execute the directory's copy of the experiment, which is code.
        options: fields of `lanes.engine.options.Options`, such as data_dir.

    Raises RequestError, before anything is started, for a run that has not ended as `done` or that cannot go on exactly, and
    as `lanes.sweep` does.
    """
    (opened,) = existing([directory])
    row = find_run(opened, run_id)
    if type(epochs) is not int or epochs <= int(row["epochs"]):
        raise RequestError(
            f"epochs is {epochs!r}: it must be a number above the {row['epochs']} of run {row['run_id']}"
        )
    finished = finished_in(opened)
    if row["run_id"] not in finished:
        raise RequestError(
            f"run {row['run_id']} of {opened.path} has not ended as done after its {row['epochs']} epochs, so a longer run is "
            "not one that goes on from it: train it as a new run"
        )
    longer = dataclasses.replace(run_of(opened, row, trust), epochs=epochs)
    width = int(str(row["pack_shape"]).split(",")[0])
    settings = Options(**{"quiet": True, "devices": 1, "width": width, **options})
    prepare_devices()
    plan = make_plan([longer], settings)
    data_records.check(opened, [plan.planned[0].data])
    sources = shorter(plan.planned, {row["run_id"]: finished[row["run_id"]]})
    member = plan.planned[0]
    reason = inexact(plan, member, sources[member.run_id]) if sources else "its description gives another run now"
    if reason is not None:
        raise RequestError(
            f"run {row['run_id']} cannot go on exactly: {reason}; train a new run, or start from it by "
            f"init_from='{opened.path}:{row['run_id']}'"
        )
    source = row.get("experiment")
    experiment = opened.path / Path(source).name if isinstance(source, str) else None
    outcome = run_sweep(with_sources(plan, sources), Path(out), settings, experiment=experiment)
    if outcome.failures:
        raise RuntimeError(outcome.failures[0])
    return load(out)
