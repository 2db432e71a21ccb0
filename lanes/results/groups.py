"""Runs apart by what their metrics mean: a ranking compares runs only where its metric is one function of the same data."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from lanes.describe import comparable
from lanes.describe.comparable import Facets
from lanes.errors import RequestError
from lanes.results import statistics
from lanes.results.axes import ABSENT, field_columns, label
from lanes.results.intervals import finite_values
from lanes.results.replicates import by_replicate
from lanes.results.statistics import COMPARABLE

# The fields on which the meaning of a metric depends: their values name the groups.
NAMING = ("data", "valid_fraction", "train_examples", "task", "loss", "metrics", "penalties", "l1", "l2")
DEFAULTS = ("valid_accuracy", "valid_loss", "train_loss")


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that a metric compares.

    Attributes:
        metric: the ranking metric.
        name: what tells these runs from those of the other groups, such as "loss huber"; empty for a single group.
        runs: their rows of `lanes.load`'s table.
    """

    metric: str
    name: str
    runs: pd.DataFrame


def comparable_groups(runs: pd.DataFrame, metric: str | None = None) -> list[Group]:
    """The runs in groups that a metric compares, in the order of the plan.

    Args:
        runs: `lanes.load`'s table.
        metric: ranks the runs. By default, for all runs on the same data, the first that compares them all of what all of
            them monitor, validation accuracy, validation loss, a validation metric of their own and training loss; if none
            does, they are apart by loss and task, each group with its own default.

    Raises RequestError for a metric that the table does not have, or that does not say whether higher is better.
    """
    if metric is not None:
        metric = statistics.selection_metric(runs, metric)
        statistics.ranking_direction(runs, metric)
        found = [(metric, part) for part in _apart(runs, metric)]
    else:
        found = []
        data = [_facets(runs).get(key, {}).get("valid *", "") for key in _keys(runs)]
        for part in _split(runs, _of_replicates(runs, data)):
            found += _by_default(part)
    names = _names([part for _, part in found], runs)
    return [Group(chosen, name, part) for (chosen, part), name in zip(found, names, strict=True)]


def single_group(runs: pd.DataFrame, metric: str | None, option: str) -> Group:
    """All runs as one group.

    Raises RequestError, with the remedy, if no metric compares them all or the given one does not; `option` is what ranks.
    """
    groups = comparable_groups(runs, metric)
    if len(groups) == 1:
        return groups[0]
    remedy = remedies(runs)
    raise RequestError(
        f"{option} would compare runs that differ in {difference(runs, groups)}: {remedy}"
        f"{', or ' if remedy else ''}choose among them with --where"
    )


def difference(runs: pd.DataFrame, groups: Sequence[Group]) -> str:
    """Words for what keeps groups apart: `data and loss or task`."""
    stated = _facets(runs)
    several = [stated[key] for key in dict.fromkeys(_keys(runs)) if key in stated]
    words = dict.fromkeys(word for group in groups for word in comparable.differing(several, group.metric))
    return " and ".join(words) or "what they measure"


def common_metrics(runs: pd.DataFrame) -> list[str]:
    """The metrics that compare all runs and that all of them have, training and test metrics last."""
    names = [name for name in statistics.metrics_of(runs) if name != "penalty" and _common(runs, name)]
    return sorted(names, key=lambda name: (not name.startswith("valid_"), name.startswith("test_")))


def remedies(runs: pd.DataFrame) -> str:
    """What to write to rank all runs together; empty if nothing does."""
    common = [name for name in common_metrics(runs) if name.startswith("valid_")]
    ranking = [name for name in common if statistics.direction(runs, name) is not None]
    if ranking:
        return f"rank by a metric that all have (--metric {' or '.join(ranking[:3])})"
    if common:
        name = common[0].removeprefix("valid_")
        return (
            f"{common[0]}, which all have, does not say whether higher is better: "
            f"write metrics=(Metric({name}, higher_is_better=False),), or True if higher is"
        )
    return ""


def _keys(runs: pd.DataFrame) -> list[str]:
    """What each run measures; one and the same for a table that does not say."""
    return [str(key) for key in runs[COMPARABLE]] if COMPARABLE in runs else [""] * len(runs)


def _facets(runs: pd.DataFrame) -> dict[str, Facets]:
    return runs.attrs.get(COMPARABLE, {})


def _measured(runs: pd.DataFrame, metric: str) -> list[str]:
    """For each run a key that is equal where the metric's values compare."""
    stated = _facets(runs)
    keys = [comparable.measures(stated[key], metric) if key in stated else key for key in _keys(runs)]
    return _of_replicates(runs, keys)


def _of_replicates(runs: pd.DataFrame, keys: list[str]) -> list[str]:
    """The keys, one and the same for the seeds of a combination where each seed has its own draw of the data."""
    if len(set(keys)) < 2:
        return keys
    return [str(key) for key in by_replicate(runs.assign(key=keys), ["key"])["key"]]


def _split(runs: pd.DataFrame, keys: Sequence[str]) -> list[pd.DataFrame]:
    """The runs with equal keys, in the order of the plan; each part keeps what the table says of its metrics."""
    if len(set(keys)) < 2:
        return [runs]
    column = pd.Series(list(keys), index=runs.index)
    return [runs[column == key] for key in dict.fromkeys(keys)]


def _apart(runs: pd.DataFrame, metric: str) -> list[pd.DataFrame]:
    return _split(runs, _measured(runs, metric))


def _has(runs: pd.DataFrame, metric: str) -> bool:
    return metric in runs and bool(finite_values(runs[metric]).size)


def _common(runs: pd.DataFrame, metric: str) -> bool:
    """Whether a metric compares all runs, and has values in each kind of run that has values at all."""
    if len(set(_measured(runs, metric))) > 1:
        return False
    values = runs[[name for name in dict.fromkeys((*DEFAULTS, metric)) if name in runs]]
    kinds = [part for part in _split(values, _keys(runs)) if any(_has(part, name) for name in DEFAULTS)]
    return bool(kinds) and all(_has(part, metric) for part in kinds)


def _by_default(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Runs on the same data with the metric that ranks them by default: together, or apart by what their losses mean."""
    if len(set(_keys(runs))) < 2:
        return [(statistics.selection_metric(runs), runs)]
    own = {metric for name in runs.get("metrics", ()) for metric in str(name).split(",")}
    further = [name for name in statistics.metrics_of(runs) if name.removeprefix("valid_") in own]
    for name in (*statistics.monitored(runs), "valid_accuracy", "valid_loss", *further, "train_loss"):
        if statistics.direction(runs, name) is not None and _common(runs, name):
            return [(name, runs)]
    return [(statistics.selection_metric(part), part) for part in _apart(runs, "valid_loss")]


def _names(parts: Sequence[pd.DataFrame], runs: pd.DataFrame) -> list[str]:
    """For each part the values that tell it from the others, of fields that are constant in all parts; as few as do."""
    if len(parts) < 2:
        return ["" for _ in parts]
    columns = [name for name in field_columns(runs) if name.split(".")[0] in NAMING]
    columns.sort(key=lambda name: ("." in name, NAMING.index(name.split(".")[0])))
    columns += [name for name in ("dir",) if name in runs]  # the same description may be of other arrays there
    labels = {name: label(name, runs[name])[1] for name in columns}
    names: list[tuple[str, ...]] = [() for _ in parts]
    for name, column in labels.items():
        values = [column.loc[part.index].unique() for part in parts]
        if all(len(found) == 1 for found in values):
            longer = [(*known, f"{name} {found[0]}") for known, found in zip(names, values)]
            if len(set(longer)) > len(set(names)):
                names = longer
    texts = [", ".join(part for part in name if not part.endswith(f" {ABSENT}")) for name in names]
    if len(set(texts)) == len(texts) and all(texts):
        return texts
    return [f"group {at + 1}{f' ({text})' if text else ''}" for at, text in enumerate(texts)]
