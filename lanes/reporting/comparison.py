"""Comparing run directories, paired by seed: seeds are the replicates."""

import dataclasses

import pandas as pd

from lanes.results.axes import field_columns, follows, label
from lanes.results.comparisons import clustered_difference, paired_difference
from lanes.results.intervals import Interval, finite_table, grouped_intervals
from lanes.results.leaderboard import FINISHED, Leaderboard, ranked
from lanes.results.replicates import by_replicate

SEED = "seed"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A directory compared with the first; differences are second - first.

    Attributes:
        first, second: names of the directories.
        constants: fields constant within each directory that differ between them: (field, first's value, second's).
        overall: per metric, the difference over all pairs: averaged within each seed, with an interval over seeds.
        pairs: per metric, the number of pairs.
        best: per metric, the difference of the best combinations, each selected within its own directory, paired by seed.
        combinations: a row per combination that has a pair: its varying fields, and `m`, `m half`, `m n` per metric m.
        fields: the varying fields, columns of `combinations`.
        unpaired: number of runs without a partner.
    """

    first: str
    second: str
    constants: list[tuple[str, str, str]]
    overall: dict[str, Interval]
    pairs: dict[str, int]
    best: dict[str, Interval]
    combinations: pd.DataFrame
    fields: list[str]
    unpaired: int


def compare(runs: pd.DataFrame, metric: str, metrics: list[str]) -> list[Comparison]:
    """Compare each directory of a table with a `dir` column with the first.

    Two runs form a pair if they agree in seed and in every field that varies within either directory, so directories that
    differ in a constant (`dropout` 0 in one, 0.5 in the other) are compared run by run.
    """
    names = list(dict.fromkeys(runs["dir"]))
    return [
        _compare(runs[runs["dir"].isin([names[0], other])], names[0], other, metric, metrics) for other in names[1:]
    ]


def _compare(runs: pd.DataFrame, first: str, second: str, metric: str, metrics: list[str]) -> Comparison:
    names = field_columns(runs)
    shown = by_replicate(runs, names)  # each seed's own pretrained run is no field to pair by
    labels = pd.DataFrame({name: label(name, shown[name])[1] for name in names}, index=runs.index)
    sides = {name: runs["dir"] == name for name in (first, second)}
    varying = [name for name in labels if any(labels[name][side].nunique() > 1 for side in sides.values())]
    varies = [
        name for name in varying if (head := name.split(".")[0]) == name or not follows(labels[name], labels[head])
    ]
    keys = [name for name in dict.fromkeys(varies) if name != SEED]
    fixed = [name for name in labels if name not in varying and name != "seed"]
    constant = {name: [str(labels[name][side].iloc[0]) for side in sides.values()] for name in fixed}

    finite = finite_table(runs[metrics]).where(runs["status"].isin(FINISHED))
    labels[SEED] = labels.get(SEED, "–")
    means = [finite[side].groupby([labels[name][side] for name in (*keys, SEED)]).mean() for side in sides.values()]
    partners = labels[[*keys, SEED]].apply(tuple, axis=1).groupby(runs["dir"]).agg(set)
    common = partners[first] & partners[second]
    overall = {name: clustered_difference(means[0][name], means[1][name], SEED) for name in metrics}
    return Comparison(
        first=first,
        second=second,
        constants=[(name, *pair) for name, pair in constant.items() if pair[0] != pair[1]],
        overall={name: interval for name, (interval, _) in overall.items()},
        pairs={name: pairs for name, (_, pairs) in overall.items()},
        best=_best(runs, sides, metric, metrics),
        combinations=_by_combination(means, keys),
        fields=keys,
        unpaired=int(sum(len(own - common) for own in partners)),
    )


def _by_combination(means: list[pd.DataFrame], fields: list[str]) -> pd.DataFrame:
    """Differences of each combination, paired by seed, ordered by the labels of its fields."""
    first, second = means[0].align(means[1], join="inner", axis=0)
    difference = (second - first).reset_index()
    groups = difference.groupby(fields, sort=False).ngroup() if fields else pd.Series(0, index=difference.index)
    values = grouped_intervals(difference[list(means[0].columns)], groups)
    return pd.concat([difference[fields].groupby(groups).first(), values], axis=1)


def _best(runs: pd.DataFrame, sides: dict[str, pd.Series], metric: str, metrics: list[str]) -> dict[str, Interval]:
    boards = [ranked(runs[side].drop(columns="dir"), metric) for side in sides.values()]
    return {name: paired_difference(*(_best_by_seed(board, name) for board in boards)) for name in metrics}


def _best_by_seed(board: Leaderboard, metric: str) -> pd.Series:
    """The metric of the best combination's runs, by seed."""
    runs = board.runs[(board.runs["combination"] == 0) & board.runs["status"].isin(FINISHED)]
    values = pd.to_numeric(runs[metric], errors="coerce").astype(float)
    return values.groupby(runs["seed"]).mean()
