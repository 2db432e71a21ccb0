"""Runs of a sweep's directory to train again: with more seeds, other settings, or in another directory."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lanes.describe import settings, trusted
from lanes.describe.columns import display_name
from lanes.describe.identity import parsed
from lanes.describe.runs import FIELDS, TABLES, Run
from lanes.errors import RequestError
from lanes.results.replicates import COMBINATION
from lanes.results.selection import select_runs
from lanes.results.tables import load
from lanes.results.versions import of_present_versions
from lanes.storage.directory import Directory, existing
from lanes.storage.trained import find_run, run_of


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Runs of a directory.

    Attributes:
        runs: as they were described.
        combinations: `combination_id` of each.
        experiment: the directory's copy of their experiment; None for runs from Python, and where they come from several
            copies and need none.
        directory: where they were trained.
    """

    runs: list[Run]
    combinations: list[str]
    experiment: Path | None
    directory: Directory

    def with_seeds(self, count: int) -> list[Run]:
        """Each combination with the seeds 0 … count - 1.

        Raises RequestError where something else follows the seed, such as a pretrained run for each.
        """
        grouped: dict[str, list[Run]] = {}
        for name, run in zip(self.combinations, self.runs, strict=True):
            grouped.setdefault(name, []).append(run)
        for alike in grouped.values():
            unseeded = settings.distinct(dataclasses.replace(run, seed=0) for run in alike)
            if 1 < len(unseeded) == len(alike) == len({run.seed for run in alike}):
                follows = [
                    name
                    for name in FIELDS
                    if len({display_name(getattr(r, name), TABLES.get(name)) for r in unseeded}) > 1
                ]
                raise RequestError(
                    f"each seed of a combination of {self.directory.path} has its own {' and '.join(follows) or 'data'}, which "
                    "--seeds would not change: write the runs in an experiment file"
                )
        return settings.with_seeds(self.runs, count)


def chosen_runs(
    path: str | os.PathLike[str],
    best: int | None = None,
    metric: str | None = None,
    only: Sequence[str] = (),
    trust: bool = True,
) -> Chosen:
    """Runs of a directory, without those of earlier versions of their experiment file.

    The directory's copy of the experiment is loaded, and so executed, only if a run names something in it.

    Args:
        path: the directory.
        best: keep the runs of this many best combinations; None keeps all.
        metric: ranks the combinations.
        only: `FIELD=VALUE` conditions, applied before the ranking; `run_id=PREFIX` too.
        trust: False refuses to execute code of the directory.

    Raises RequestError for an invalid selection, and as `run_of`.
    """
    (opened,) = existing([path])
    table = load(path)
    if best is None and metric is not None:
        raise RequestError(f"--metric is {metric}, and nothing is ranked: add --best")
    conditions, ids = settings.without_ids(only)
    if ids:
        found = {find_run(opened, text)["run_id"] for text in ids}
        table = table[table["run_id"].isin(found)]
    else:
        table = of_present_versions(table)[0]
    if best is not None:
        table = select_runs(opened, table, (), best, tuple(conditions), metric)
        conditions = []
    planned = opened.planned_runs().set_index("run_id", drop=False)
    rows = [planned.loc[run_id] for run_id in table["run_id"]]
    experiment = _experiment(opened, rows)
    runs = [run_of(opened, row, trust) for row in rows]
    if conditions:
        kept = {id(run) for run in settings.only(runs, conditions)}
        rows, runs = [row for row, run in zip(rows, runs) if id(run) in kept], [run for run in runs if id(run) in kept]
    return Chosen(runs, [str(row.get(COMBINATION) or row["run_id"]) for row in rows], experiment, opened)


def _experiment(directory: Directory, rows: Sequence[pd.Series]) -> Path | None:
    """The copy of the experiment that the rows' runs come from.

    Raises RequestError for runs that need code of several copies.
    """
    names = {row.get("experiment") for row in rows}
    needed = {row.get("experiment") for row in rows if trusted.own_code(parsed(row["description"]))}
    if len(needed) > 1:
        raise RequestError(
            f"the runs need code of {' and '.join(sorted(map(str, needed)))} of {directory.path}, and one call takes one "
            "file: choose among them with --only or a smaller --best"
        )
    (name,) = needed or (names if len(names) == 1 else {None})
    return directory.path / Path(name).name if isinstance(name, str) else None
