"""The metric columns of a results table: which ranks, whether higher is better, which are proportions."""

import difflib

import pandas as pd

from lanes.describe import directions
from lanes.describe.comparable import PROPORTIONS
from lanes.describe.runs import FIELDS
from lanes.errors import RequestError
from lanes.results.intervals import finite_values
from losses import METRICS, SET_METRICS

DIRECTIONS = "higher_is_better"  # in the attrs of a table: what the runs' own metrics say, by name
COMPARABLE = "comparable"  # a column of a table, and in its attrs what each of the column's values measures


class Stated(dict):
    """What a table's attrs state of its metrics, the same for all parts of it: pandas copies attrs with every column taken."""

    def __deepcopy__(self, _: object) -> "Stated":
        return self


def metrics_of(runs: pd.DataFrame) -> list[str]:
    """The metric columns of a results table: train_…, valid_…, test_… and `penalty`."""
    columns = [name for name in map(str, runs.columns) if name.split(".")[0] not in FIELDS]
    return [name for name in columns if name.startswith(directions.SPLITS) or name == "penalty"]


def selection_metric(runs: pd.DataFrame, wanted: str | None = None) -> str:
    """The ranking metric: `wanted`, else what all runs monitor, else the first with values of validation accuracy, validation
    loss and training loss.

    `accuracy` means `valid_accuracy`; test metrics are used only under their full name.
    Raises RequestError for a metric that the table does not have.
    """
    known = metrics_of(runs)
    if wanted is not None:
        for name in (wanted, f"valid_{wanted}"):
            if name in known:
                return name
        close = difflib.get_close_matches(wanted, [*known, *(name.removeprefix("valid_") for name in known)], n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise RequestError(f"unknown metric {wanted!r}: {hint}these results have {', '.join(known) or 'none'}")
    for name in (*monitored(runs), "valid_accuracy", "valid_loss", "train_loss"):
        if name in known and direction(runs, name) is not None and finite_values(runs[name]).size:
            return name
    return "valid_loss"


def monitored(runs: pd.DataFrame) -> tuple[str, ...]:
    """The metric that all runs monitor, if they all state the same one."""
    named = set(runs["monitor"].astype(object)) if "monitor" in runs else set()
    return tuple(named) if len(named) == 1 and all(isinstance(name, str) for name in named) else ()


def direction(runs: pd.DataFrame, metric: str) -> bool | None:
    """Whether higher is better of a column of `lanes.load`'s table; None where its metric does not say."""
    return directions.direction(metric, runs.attrs.get(DIRECTIONS, {}))


def ranking_direction(runs: pd.DataFrame, metric: str) -> bool:
    """`direction` of the metric that ranks. Raises RequestError where it does not say."""
    return directions.ranking_direction(metric, runs.attrs.get(DIRECTIONS, {}))


def sibling(metric: str, split: str, runs: pd.DataFrame) -> str | None:
    """The same metric on another split (`valid_accuracy` → `test_accuracy`); None if it has no finite values."""
    name = f"{split}_{metric.split('_', 1)[1]}" if metric.startswith(directions.SPLITS) else ""
    return name if name in metrics_of(runs) and finite_values(runs[name]).size else None


def is_proportion(runs: pd.DataFrame, metric: str) -> bool:
    """Whether a column holds proportions, as the metric itself states it."""
    name = next((metric.removeprefix(split) for split in directions.SPLITS if metric.startswith(split)), metric)
    stated = runs.attrs.get(COMPARABLE, {})
    if stated:
        return any(name in facets.get(PROPORTIONS, "").split() for facets in stated.values())
    built_in = {**METRICS, **SET_METRICS}.get(name)
    return built_in is not None and built_in.proportion


def metric_words(metric: str) -> str:
    """`valid_accuracy` → `validation accuracy`."""
    return metric.replace("valid_", "validation_").replace("_", " ")
