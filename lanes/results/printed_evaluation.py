"""Printing an evaluation as tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lanes.errors import printable
from lanes.results.axes import swept_axes
from lanes.results.evaluation import Evaluation
from lanes.results.evaluator import ENSEMBLE, MEMBER, PREFIX
from lanes.results.statistics import selection_metric, sibling
from lanes.results.told import CLEAN

WIDE = 1000  # characters of a line in a file


def print_evaluation(found: Evaluation, metric: str | None = None, console: Console | None = None) -> None:
    """Print run_ids, swept fields, stored metrics and new metrics; conditions, confusion and calibration as means over runs."""
    console = console or Console()
    if not console.is_terminal:  # a log file has no width
        console = Console(file=console.file, width=max(console.width, WIDE))
    table = found.runs
    members = table[~table["run_id"].isin((MEMBER, ENSEMBLE))]
    axes, labels = swept_axes(members)
    ranking = selection_metric(members, metric)
    evaluated_on = str(table["evaluated_on"].iloc[0])
    same_metric = sibling(ranking, evaluated_on.split()[-1], members)
    stored = dict.fromkeys(name for name in (ranking, same_metric) if name in members)
    names = ["run_id", *(axis.name for axis in axes), "seed", *stored]
    of_conditions = {name for _, columns in found.conditions for name in columns.values()}
    added = [name for name in table.columns if name.startswith(PREFIX) and name != "evaluated_on"]
    evaluated = [name for name in added if name not in of_conditions]
    title = Text(printable(f"{len(members)} runs on {evaluated_on}"))
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in names + evaluated:
        numeric = name in stored or name in evaluated
        shown.add_column(
            Text(printable(name)), justify="right" if numeric else "left", no_wrap=numeric or name == "run_id"
        )
    for index, row in table.iterrows():
        labelled = dict(labels.loc[index]) if index in labels.index else {}
        shown.add_row(*(Text(printable(labelled.get(name) or _cell(row[name]))) for name in names + evaluated))
    console.print(shown)
    if found.conditions:
        _print_conditions(found, members, console)
    if found.confusion is not None:
        _print_confusion(found, console)
    if found.calibration is not None:
        _print_calibration(found, console)


def _print_conditions(found: Evaluation, members: pd.DataFrame, console: Console) -> None:
    """A row for each condition: the mean of each metric over the runs, and of an ensemble its own."""
    metrics = list(dict.fromkeys(name for _, columns in found.conditions for name in columns))
    clean = {name: f"{PREFIX}{name}" for name in metrics if f"{PREFIX}{name}" in members}
    subjects = [(_runs(len(members), "mean of"), members)]
    ensemble = found.runs[found.runs["run_id"] == ENSEMBLE]
    if len(ensemble):
        subjects.append((ENSEMBLE, ensemble))
    for title, of in subjects:
        rows = [
            [name, *(_cell(float(of[columns[one]].mean())) if one in columns else "–" for one in metrics)]
            for name, columns in ((CLEAN, clean), *found.conditions)
        ]
        _print(console, f"inputs changed: {title}", ["condition", *metrics], rows)


def _print_confusion(found: Evaluation, console: Console) -> None:
    """For each condition the matrix summed over the runs, and the scores of each class as their means."""
    table, classes = found.confusion, found.classes
    assert table is not None
    assert classes is not None
    for condition in table["condition"].unique():
        part = table[table["condition"] == condition]
        for what, of in _subjects(part):
            names = list(dict.fromkeys(of["target"]))
            summed = of.groupby(["target", "predicted"], sort=False)["examples"].sum()
            rows = [[name, *(str(summed[name, other]) for other in names)] for name in names]
            _print(console, f"confusion, {_of(condition, what, 'sum over')}: target by prediction", ["", *names], rows)
        scores = classes[classes["condition"] == condition]
        columns = ["precision", "recall", "f1", "examples", "predicted"]
        for what, of in _subjects(scores):
            means = of.groupby("class", sort=False)[columns].mean()
            rows = [
                [str(name), *(_cell(float(value)) for value in row)] for name, row in zip(means.index, means.values)
            ]
            _print(console, f"classes, {_of(condition, what, 'mean of')}", ["class", *columns], rows)


def _print_calibration(found: Evaluation, console: Console) -> None:
    """For each condition the bins that hold examples, those of all runs together."""
    table = found.calibration
    assert table is not None
    for condition in table["condition"].unique():
        for what, of in _subjects(table[table["condition"] == condition]):
            filled = of[of["examples"] > 0]
            rows = []
            for (low, high), part in filled.groupby(["low", "high"]):
                total = part["examples"].sum()
                means = [float((part[name] * part["examples"]).sum() / total) for name in ("confidence", "accuracy")]
                rows.append([f"{low:.3f} to {high:.3f}", str(total), *map(_cell, means), _cell(means[1] - means[0])])
            header = ["confidence in", "examples", "confidence", "accuracy", "gap"]
            _print(console, f"reliability, {_of(condition, what, 'all examples of')}", header, rows)


def _subjects(table: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    """The runs together, and the ensemble; each with the number of runs or its name."""
    is_ensemble = table["run_id"] == ENSEMBLE
    out: list[tuple[Any, pd.DataFrame]] = [(table[~is_ensemble]["run_id"].nunique(), table[~is_ensemble])]
    return out + ([(ENSEMBLE, table[is_ensemble])] if is_ensemble.any() else [])


def _of(condition: str, what: Any, how: str) -> str:
    of = what if isinstance(what, str) else _runs(what, how)
    return of if condition == CLEAN else f"{condition}, {of}"


def _runs(count: int, how: str) -> str:
    return "1 run" if count == 1 else f"{how} {count} runs"


def _print(console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console.print()
    console.print(Text(printable(title)), soft_wrap=True)
    shown = Table(box=None, pad_edge=False)
    for at, name in enumerate(header):
        shown.add_column(Text(printable(str(name))), justify="right" if at else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*(Text(printable(str(cell))) for cell in row))
    console.print(shown)


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
