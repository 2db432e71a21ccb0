"""Evaluates trained runs from their checkpoints: any split, other data, attacked and corrupted inputs, ensembles, pruning."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lanes.data.loading import Dataset
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from lanes.plan.planned import Planned
from lanes.program import mixtures
from lanes.program.compiled import Programs
from lanes.program.mixtures import mixture_of
from lanes.program.places import prepare_devices
from lanes.results import measures, told
from lanes.results.evaluated_data import other_data
from lanes.results.evaluation_request import Request
from lanes.results.evaluator import Evaluator
from lanes.results.measures import Measure
from lanes.results.named_functions import function_named, names_code
from lanes.results.prediction_files import PredictionFile
from lanes.results.selection import select_runs
from lanes.results.tables import joined, load
from lanes.results.told import Kind, Tables
from lanes.results.versions import LEFT_OUT
from lanes.storage import data_records
from lanes.storage.directory import Directory, existing
from lanes.storage.recorded_programs import in_recorded_programs
from lanes.storage.trained import run_of


class Evaluation(NamedTuple):
    """What an evaluation finds.

    Attributes:
        runs: the runs' rows of `lanes.load` with the columns added by `evaluate`.
        confusion: run_id, condition, target, predicted, examples; None if not asked for.
        classes: run_id, condition, class, precision, recall, f1, examples, predicted; None without `confusion`.
        calibration: run_id, condition, low, high, examples, confidence, accuracy of bins; None if not asked for.
        conditions: of each attack and corruption, its name and the column of each metric.
        notes: what is worth knowing, a line each.
        programs: number of programs that were compiled.
    """

    runs: pd.DataFrame
    confusion: pd.DataFrame | None
    classes: pd.DataFrame | None
    calibration: pd.DataFrame | None
    conditions: tuple[tuple[str, dict[str, str]], ...]
    notes: tuple[str, ...]
    programs: int


def evaluate(
    directory: str | os.PathLike[str],
    *,
    run_ids: Sequence[str] = (),
    best: int | None = None,
    where: Sequence[str] = (),
    metric: str | None = None,
    **request: Any,
) -> pd.DataFrame:
    """Restore runs from their checkpoints and evaluate them: the rows of `evaluation`.

    Returns:
        The runs' rows of `lanes.load`, with `evaluated_on` and a column `evaluated_M` for each metric M; for each sparsity
        S of `prune` also `evaluated_M_pruned_S`, and for each attack and corruption `evaluated_M_CONDITION`. With `ensemble`
        two more rows, whose run_id is "mean member" (the mean of the others) and "ensemble".
    """
    return evaluation(directory, run_ids=run_ids, best=best, where=where, metric=metric, **request).runs


def evaluation(
    directory: str | os.PathLike[str],
    *,
    run_ids: Sequence[str] = (),
    best: int | None = None,
    where: Sequence[str] = (),
    metric: str | None = None,
    programs: Programs | None = None,
    **request: Any,
) -> Evaluation:
    """Restore runs from their checkpoints and evaluate them.

    By default each run is evaluated on its own test split at its best epoch, which reproduces the stored results.
    Diverged and failed runs are left out, and runs of an earlier version of their experiment file.

    Args:
        directory: of the sweep.
        run_ids: identities or prefixes of them; none is all ended runs.
        best: number of best combinations, ranked by the metric's mean over seeds, whose runs to evaluate.
        where: `FIELD=VALUE` conditions, alternatives joined by `|`; `best` then ranks the matching runs only.
        metric: ranks the combinations; by default validation accuracy if there is one, else validation loss.
        programs: a cache of compiled programs.
        request: fields of `Request`.

    Raises RequestError if the request cannot be met.
    """
    requested = Request(**request)
    requested.check()
    prepare_devices()
    (opened,) = existing([directory])
    table = select_runs(opened, load(directory), tuple(run_ids), best, tuple(where), metric)
    described = opened.read_runs().set_index("run_id").loc[table["run_id"]]
    rows = [row for _, row in described.iterrows()]
    other = _other(requested, opened, rows)
    functions = _functions(requested, opened, rows)
    plan = make_plan(
        [run_of(opened, row, requested.trust) for row in rows],
        Options(devices=1, data_dir=requested.data_dir),
    )
    data_records.check(opened, [member.data for member in plan.planned])
    members = in_recorded_programs(plan.planned, described.reset_index())
    planned = dict(zip(table["run_id"], members, strict=True))
    data = {run_id: plan.datasets.of(member.run) for run_id, member in planned.items()}
    kind = _check(planned, data, requested, functions)
    evaluator = Evaluator(opened, requested, plan.datasets, other, plan.places[0], programs)
    if requested.tells and kind is not None:
        evaluator.tables = Tables(kind, requested.confusion, requested.calibration, functions)
        if requested.predictions is not None:
            several = bool(requested.conditions or requested.prune)
            evaluator.file = PredictionFile(Path(requested.predictions), kind, several)
    return _evaluated(evaluator, table, planned)


def _evaluated(evaluator: Evaluator, table: pd.DataFrame, planned: dict[str, Planned]) -> Evaluation:
    columns: dict[str, dict[str, Any]] = {}
    try:
        for pack, rows in table.groupby("pack", sort=False):
            columns |= evaluator.pack(str(pack), rows, planned)
        added = pd.DataFrame.from_dict(columns, orient="index")
        out = table.merge(added, left_on="run_id", right_index=True, how="left")
        if evaluator.request.ensemble:
            out = joined([out, evaluator.ensemble_rows(out)])
        if evaluator.file is not None:
            evaluator.file.finish()
    except BaseException:
        if evaluator.file is not None:
            evaluator.file.abandon()
        raise
    out.attrs = table.attrs  # neither merging nor joining keeps them
    tables, notes = evaluator.tables, [note] if (note := table.attrs.get(LEFT_OUT)) else []
    notes += [
        f"{name}: up to {share:.1%} of a run's inputs do not move, as the loss has no gradient there"
        for name, share in evaluator.still.items()
        if share > 0
    ]
    made = (None, None, None) if tables is None else (tables.confusion(), tables.classes(), tables.calibration())
    conditions = tuple(evaluator.columns.items())
    return Evaluation(out, *made, conditions, tuple(notes), len(evaluator.compiled.keys))


def _other(request: Request, opened: Directory, rows: Sequence[pd.Series]) -> Dataset | None:
    """The data set of `--data`, if there is one."""
    if request.data is None:
        return None
    data = request.data
    if names_code(data):
        data = function_named(data, "--data", opened, rows, request.trust)
    return other_data(data, request.data_dir)


def _functions(request: Request, opened: Directory, rows: Sequence[pd.Series]) -> list[Measure]:
    """The functions of `--measure`."""
    out = []
    for one in request.functions:
        if isinstance(one, Measure):
            out.append(one)
            continue
        takes, name = measures.split_measure(one)
        function = function_named(name, "--measure", opened, rows, request.trust, modules=True)
        out.append(Measure(function, takes, name.rpartition(":")[2]))
    names = [measure.name for measure in out]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RequestError(f"--measure has two functions of the name {twice[0]}: leave one out")
    return out


def _check(
    planned: dict[str, Planned], data: dict[str, Dataset], request: Request, functions: Sequence[Measure]
) -> Kind | None:
    """What the runs say, if that is needed.

    Raises RequestError for what does not suit the runs.
    """
    runs = {run_id: member.run for run_id, member in planned.items()}
    if request.ensemble and len({mixtures.comparable(run, request.split) for run in runs.values()}) > 1:
        raise RequestError(
            "--ensemble: the selected runs differ in data, task, loss or output, so they have no mean prediction; "
            "narrow them with --where"
        )
    needs = request.tells or bool(request.named_measures)
    for run_id, member in planned.items():
        for condition in request.conditions:
            condition.check(member.run, data[run_id])
        if needs and mixture_of(member.run, member.setup.outputs) is None:
            raise RequestError(
                f"task {type(member.run.task).__name__} predicts no targets of its data: leave out --confusion, "
                "--calibration, --measure and --predictions"
            )
        kind = Kind.of(member.run, data[run_id])
        for measure in functions:
            measure.check(member.run, kind.outputs)
        for name in request.named_measures:
            measures.check_named(name, member.run, data[run_id].task, kind.outputs)
    if not request.tells:
        return None
    kinds = {run_id: Kind.of(member.run, data[run_id]) for run_id, member in planned.items()}
    return told.check(kinds, runs, request.confusion, request.calibration)
