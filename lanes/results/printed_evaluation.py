"""Printing an evaluation as a table."""

from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lanes.errors import printable
from lanes.results.axes import swept_axes
from lanes.results.evaluation import ENSEMBLE, MEMBER, PREFIX
from lanes.results.statistics import selection_metric, sibling


def print_evaluation(table: pd.DataFrame, metric: str | None = None, console: Console | None = None) -> None:
    """Print the table of `evaluate`: run_ids, swept fields, stored metrics, new metrics."""
    console = console or Console()
    if not console.is_terminal:  # a log file has no width
        console = Console(file=console.file, width=max(console.width, 200))
    members = table[~table["run_id"].isin((MEMBER, ENSEMBLE))]
    axes, labels = swept_axes(members)
    ranking = selection_metric(members, metric)
    evaluated_on = str(table["evaluated_on"].iloc[0])
    same_metric = sibling(ranking, evaluated_on.split()[-1], members)
    stored = dict.fromkeys(name for name in (ranking, same_metric) if name in members)
    names = ["run_id", *(axis.name for axis in axes), "seed", *stored]
    evaluated = [name for name in table.columns if name.startswith(PREFIX) and name != "evaluated_on"]
    shown = Table(
        title=Text(printable(f"{len(members)} runs on {evaluated_on}")), title_justify="left", box=None, pad_edge=False
    )
    for name in names + evaluated:
        numeric = name in stored or name in evaluated
        shown.add_column(
            Text(printable(name)), justify="right" if numeric else "left", no_wrap=numeric or name == "run_id"
        )
    for index, row in table.iterrows():
        labelled = dict(labels.loc[index]) if index in labels.index else {}
        shown.add_row(*(Text(printable(labelled.get(name) or _cell(row[name]))) for name in names + evaluated))
    console.print(shown)


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
