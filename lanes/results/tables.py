"""The tables of a finished or running sweep: `load` and `load_curves`."""

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lanes.data.fingerprints import parts_of
from lanes.describe import comparable
from lanes.describe.comparable import Facets
from lanes.describe.directions import Directions, merged
from lanes.describe.identity import parsed
from lanes.errors import RequestError
from lanes.results.statistics import COMPARABLE, DIRECTIONS, Stated
from lanes.storage import calls, data_records, initial_weights
from lanes.storage.asked import ASKED_BY
from lanes.storage.directory import existing
from lanes.storage.records import recorded_directions, split_sizes
from lanes.storage.schema import MEASURED
from lanes.storage.typed import stacked_frames

PathLike = str | os.PathLike[str]
FIRST = ("run_id", "status")
DIFFERING_CALLS = "differing_calls"  # in the attrs of the table


def load(directories: PathLike | Sequence[PathLike]) -> pd.DataFrame:
    """One row per planned run: its fields, then its results; `status` is null until the run has ended.

    `epochs_done` is the number of epochs trained; `epochs` is the run's field. All columns are there before any run ends, in
    types that do not depend on what has ended (`docs/tables.md`). With several directories the column `dir` holds each row's
    directory. `combination_id` is equal for runs that differ only in their seed and in what follows it (each seed's own
    `init_from`). `earlier_version_of` names the experiment file where it has changed and no longer asks for the run;
    leaderboards, pages and means leave these runs out. Runs with equal `comparable` have the same data, task, loss and metrics.
    `attrs` holds what rankings read: under "higher_is_better" the directions of the runs' own metrics by name, under
    "comparable" what each value of that column measures. Under "differing_calls" is, by call, what differs from the directory's
    first call of all that numbers depend on besides the runs; `calls` holds the calls that trained each run.

    Raises RequestError for a directory without a sweep.
    """
    paths, several = _paths(directories)
    tables = []
    stated: Directions = {}
    found: dict[str, Facets] = {}
    differing: dict[str, str] = {}
    opened = existing(paths)
    planned = [directory.planned_runs() for directory in opened]
    for path, directory, runs, arrays in zip(paths, opened, planned, data_records.told_apart(planned)):
        results = directory.read_parts(directory.results).rename(columns={"epochs": "epochs_done"})
        sizes = split_sizes(directory)
        runs[COMPARABLE], measured = measured_in(runs.get("description", ()), sizes, arrays)
        found |= measured
        runs = runs.drop(columns=["description", "experiment_modules", MEASURED, ASKED_BY], errors="ignore")
        table = runs.merge(results, on="run_id", how="left")
        table = table[[*FIRST, *(name for name in table.columns if name not in FIRST)]]
        tables.append(table.assign(dir=str(path)) if several else table)
        stated = merged(stated, recorded_directions(directory))
        differing |= calls.differing(directory)
    table = joined(tables)
    table.attrs |= {
        DIRECTIONS: stated,
        COMPARABLE: Stated(found),
        DIFFERING_CALLS: differing,
    }  # last: merging and joining tables drops them
    return table


def measured_in(
    descriptions: Iterable[str], sizes: Mapping[str, Mapping[str, int]], arrays: Iterable[str]
) -> tuple[list[str], dict[str, Facets]]:
    """What each run measures, as a hash: equal for runs with the same data, loss, task and metrics; and what it stands for.

    Args:
        descriptions: of the runs, as JSON.
        sizes: number of examples by split, by `comparable.data_key`.
        arrays: the fingerprint of each run's data where its description does not say which arrays they are, else "".
    """
    known: dict[str, str] = {}
    found: dict[str, Facets] = {}
    column = []
    origin = functools.cache(initial_weights.described)
    for text, fingerprint in zip(descriptions, arrays):
        described = parsed(text)
        short = json.dumps([fingerprint, *(described.get(name) for name in comparable.FIELDS)], sort_keys=True)
        if short not in known:
            parts = parts_of(fingerprint)
            facets = _facets(described, origin)
            facets |= {key: f"{facets[key]} {parts[name]}" for name in parts if (key := f"{name} *") in facets}
            known[short] = hashlib.sha256(json.dumps(facets, sort_keys=True).encode()).hexdigest()[:8]
            counts = sizes.get(comparable.data_key(described), {})
            found[known[short]] = facets | {f"{split} examples": str(count) for split, count in counts.items()}
        column.append(known[short])
    return column, found


def _facets(described: Mapping[str, Any], origin: comparable.Origin) -> Facets:
    try:
        return comparable.facets(described, origin)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise RequestError(
            f"a run's description says nothing that can be compared ({type(error).__name__}): the directory was not written by "
            "this program"
        ) from error


def load_curves(directories: PathLike | Sequence[PathLike]) -> pd.DataFrame:
    """One row per run and epoch: `run_id`, `epoch` from 1, `batch_loss`, `penalty`, and the validation metrics.

    Batch loss and penalties on activations are means over the epoch's batches; penalties on weights are taken at its end.
    With several directories the column `dir` holds each row's directory.

    Raises RequestError for a directory without a sweep.
    """
    paths, several = _paths(directories)
    tables = []
    for path, directory in zip(paths, existing(paths)):
        table = directory.read_parts(directory.curves)
        tables.append(table.assign(dir=str(path)) if several else table)
    return joined(tables)


def _paths(directories: PathLike | Sequence[PathLike]) -> tuple[list[PathLike], bool]:
    """The directories, and whether they were given as several."""
    if isinstance(directories, (str, os.PathLike)):
        return [directories], False
    return list(directories), True


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of several directories below each other.

    A column that a directory lacks is missing there: integers become `Int64`. Where types differ the column is float64 for
    numbers, otherwise text.
    """
    if len(tables) == 1:
        return tables[0]
    table = stacked_frames(tables)
    return table[[*(name for name in table.columns if name != "dir"), *(["dir"] if "dir" in table.columns else [])]]
