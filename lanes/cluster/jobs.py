"""What the workers of a cluster are told of the sweep that they work for."""

import collections
import os
from collections.abc import Callable, Sequence
from typing import Any

from lanes.cluster.messages import Job
from lanes.engine.options import Options
from lanes.storage.directory import Directory
from lanes.storage.planned_rows import SOURCE
from lanes.storage.records import known_runs

FORWARDED = ("mapping", "data_bytes", "chunk_seconds", "chunk_steps")  # options that are the worker's too
SourceOf = Callable[[str], Sequence[Any]]  # the columns SOURCE of a run


def job_of(directory: Directory, call: str, options: Options, collects: bool, own_callbacks: int) -> Job:
    """The job of a sweep.

    Args:
        directory: the sweep's.
        call: the driver's.
        options: the driver's.
        collects: whether the driver writes the directory.
        own_callbacks: how many of the first callbacks are those of the experiment, which workers take from its copy.
    """
    forwarded = {name: getattr(options, name) for name in FORWARDED}
    forwarded["data_dir"] = None if options.data_dir is None else os.path.abspath(options.data_dir)
    forwarded["callbacks"] = tuple(options.callbacks[own_callbacks:])
    command = (directory.read_call(call) or {}).get("command", ())
    source = _experiment(directory) if own_callbacks else None
    return Job(os.path.abspath(directory.path), directory.sweep, collects, tuple(command), forwarded, source)


def _experiment(directory: Directory) -> Sequence[Any]:
    """The columns SOURCE for the copy of the present experiment."""
    name = directory.read_sweep().get("experiment")
    known = known_runs(directory)
    rows = known[known["experiment"] == name]
    return (name, None, None) if rows.empty else tuple(rows[list(SOURCE)].iloc[-1])


def sources_of(directory: Directory) -> SourceOf:
    """Where the functions of a directory's runs are, by run_id; most runs have the same copy."""
    known = known_runs(directory)
    columns = known[list(SOURCE)].astype(object).where(known[list(SOURCE)].notna(), None)
    rows = list(columns.itertuples(index=False, name=None))
    ((usual, _),) = collections.Counter(rows).most_common(1)
    others = {run_id: row for run_id, row in zip(known["run_id"], rows, strict=True) if row != usual}
    return lambda run_id: others.get(run_id, usual)
