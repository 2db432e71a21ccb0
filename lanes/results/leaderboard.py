"""The leaderboard of a sweep: combinations of the swept axes, ranked by a validation metric's mean over seeds."""

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lanes.describe.comparable import examples_key
from lanes.results import statistics
from lanes.results.axes import Axis, coarse, coarse_values, swept_axes
from lanes.results.comparisons import AgainstBest, against_best, paired_difference
from lanes.results.designs import OneAtATime, one_at_a_time
from lanes.results.groups import Group, comparable_groups, difference, remedies, single_group
from lanes.results.intervals import Interval, decimals, finite_table, format_number, grouped_intervals
from lanes.results.statistics import COMPARABLE
from lanes.results.versions import of_present_versions

EXCLUDED = ("diverged", "failed")  # counted, but never part of a mean: they have no metrics
FINISHED = ("done", "stopped_early")  # the runs that means are over: pruned ones are counted, and stand apart
LOST = ("diverged", "failed", "pruned")
STATUSES = ("done", "stopped_early", "pruned", "diverged", "failed", "pending")


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """Combinations of the swept axes in rank order.

    Attributes:
        metric: the ranking metric; `test` and `train` are the same metric on those splits, None without values.
        lower: whether lower values are better.
        axes: the swept axes.
        runs: `lanes.load`'s table with `status` filled ("pending") and `combination`, the row in `table` of each run.
        labels: the axis labels of each run.
        table: a row per combination: the axes' labels, `runs`, a count per status, and for each metric m the mean `m`,
            half the width of its 95% interval `m half`, and the number of values `m n`, over finished runs; for a
            combination with pruned runs the ranking metric's mean over those pruned last, `early`, their epoch `early epoch`
            and number `early n`.
        name: what tells its runs from those of the other boards, if they are ranked apart; otherwise empty.
    """

    metric: str
    lower: bool
    test: str | None
    train: str | None
    axes: list[Axis]
    runs: pd.DataFrame
    labels: pd.DataFrame
    table: pd.DataFrame
    name: str = ""

    @property
    def has_best(self) -> bool:
        """Whether any combination has a value of the metric."""
        return bool(len(self.table)) and bool(np.isfinite(self.table[self.metric].iloc[0]))

    @property
    def shown(self) -> list[str]:
        """The metrics to show: the ranking metric, then the same on test and train."""
        return list(dict.fromkeys(name for name in (self.metric, self.test, self.train) if name))

    @property
    def evaluations(self) -> list[str]:
        """The ranking metric and the same on the test split."""
        return [name for name in (self.metric, self.test) if name]

    @functools.cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of `table` as dictionaries: a row of a table with columns of many types takes half a millisecond."""
        return [{str(name): cell for name, cell in row.items()} for row in self.table.to_dict(orient="records")]

    def interval(self, row: int, metric: str) -> Interval:
        """Mean and interval of a combination's metric."""
        at = self.rows[row]
        return Interval(
            float(at[metric]), float(at[f"{metric} half"]), int(at[f"{metric} n"]), metric in self.proportions
        )

    @functools.cached_property
    def design(self) -> OneAtATime | None:
        """The base and the one change of each other combination, if the sweep is one-at-a-time."""
        return one_at_a_time(self.axes, self.table)

    @functools.cached_property
    def has_pruned(self) -> bool:
        """Whether halving pruned any run."""
        return bool(self.table["pruned"].any())

    @functools.cached_property
    def proportions(self) -> frozenset[str]:
        """The metrics whose values are proportions."""
        return frozenset(name for name in self.digits if statistics.is_proportion(self.runs, name))

    @functools.cached_property
    def digits(self) -> dict[str, int]:
        """Number of decimals for each metric's column."""
        metrics = statistics.metrics_of(self.table)
        return {
            name: decimals(self.table[f"{name} half"], self.table[name])
            for name in metrics
            if f"{name} half" in self.table
        }

    def cell(self, row: int, metric: str) -> str:
        """Mean and interval of a combination's metric as text."""
        return self.interval(row, metric).text(self.digits[metric])

    def examples(self, metric: str) -> int | None:
        """The number of examples of the metric's split; None if the directory does not say."""
        found = {facets.get(examples_key(metric)) for facets in self.runs.attrs.get(COMPARABLE, {}).values()}
        (count,) = found if len(found) == 1 else (None,)
        return int(count) if count else None

    def early(self, row: int) -> str:
        """The ranking metric of a combination's pruned runs, `0.853 at epoch 5 (n = 3)`; empty if none was pruned."""
        at = self.rows[row]
        if not at["early n"]:
            return ""
        mean = format_number(at["early"], self.digits[self.metric])
        return f"{mean} at epoch {at['early epoch']:.0f} (n = {at['early n']:.0f})"

    @property
    def values(self) -> pd.Series:
        """The ranking metric of each finished run; NaN for the others."""
        return self.values_of(self.metric)

    def values_of(self, metric: str) -> pd.Series:
        """A metric of each finished run; NaN for the others."""
        return finite_table(self.runs[[metric]])[metric].where(self.runs["status"].isin(FINISHED))

    def combinations_of(self, runs: pd.Series) -> pd.Series:
        """A column of `self.runs` as a table of combinations (rows) and seeds (columns)."""
        seeds = self.runs["seed"] if "seed" in self.runs else self.runs.groupby("combination").cumcount()
        return runs.groupby([self.runs["combination"], seeds]).mean().unstack()

    def repeated(self) -> int:
        """Number of runs that share combination and seed with another: they differ in something without a column."""
        if "seed" not in self.runs:
            return 0
        return int(self.runs.duplicated(["combination", "seed"]).sum())


def leaderboard(runs: pd.DataFrame, metric: str | None = None) -> Leaderboard:
    """The leaderboard of `lanes.load`'s table, all of whose runs the metric compares, without runs of earlier versions.

    Raises RequestError for runs that it does not compare, and as `leaderboards`.
    """
    runs, _ = of_present_versions(runs)
    group = single_group(runs, metric, f"a ranking by {metric}" if metric else "one ranking")
    return ranked(group.runs, group.metric)


def leaderboards(runs: pd.DataFrame, metric: str | None = None) -> list[Leaderboard]:
    """The leaderboards of `lanes.load`'s table: one, or several of runs that the metric does not compare (`comparable_groups`).

    Runs of an earlier version of their experiment file are left out.

    Raises RequestError for a metric that the table does not have, or that does not say whether higher is better.
    """
    return ranking(runs, metric).boards


class Ranking(NamedTuple):
    """Runs of present versions, ranked.

    Attributes:
        runs: the table of them.
        boards: as of `leaderboards`.
        apart: why they are ranked apart, and what would rank them together; empty if they are not.
        left_out: how many runs of earlier versions the table had besides; empty if none.
    """

    runs: pd.DataFrame
    boards: list[Leaderboard]
    apart: str
    left_out: str

    @property
    def notes(self) -> list[str]:
        """What is ranked apart or left out, a line each."""
        return [note for note in (self.apart, self.left_out) if note]


def ranking(runs: pd.DataFrame, metric: str | None = None) -> Ranking:
    """`leaderboards`, with what is to be said of them. Raises RequestError as that."""
    runs, left_out = of_present_versions(runs)
    groups = comparable_groups(runs, metric)
    boards = [ranked(group.runs, group.metric, group.name) for group in groups]
    return Ranking(runs, boards, _apart(runs, groups), left_out)


def _apart(runs: pd.DataFrame, groups: list[Group]) -> str:
    if len(groups) < 2:
        return ""
    remedy = remedies(runs)
    chosen = list(dict.fromkeys(group.metric for group in groups))
    what = f"{chosen[0]} does not compare them" if len(chosen) == 1 else "no metric compares them all"
    return f"Runs that differ in {difference(runs, groups)} are ranked apart: {what}{'; ' + remedy if remedy else ''}."


def ranked(runs: pd.DataFrame, chosen: str, name: str = "") -> Leaderboard:
    """The leaderboard of runs that the metric `chosen` compares.

    Combinations are ranked by the metric's mean over the seeds whose runs finished, best first, ties by validation loss.
    Combinations that lost half or more of their ended runs, diverged, failed or pruned, rank after the others, since the mean
    of the survivors flatters them. Combinations without a finished run come last: those with pruned runs by the epoch of
    pruning, the later first, then by the metric there.

    Raises RequestError for a metric that does not say whether higher is better.
    """
    lower = not statistics.ranking_direction(runs, chosen)
    axes, labels = swept_axes(runs)
    status = runs["status"].astype(object).where(runs["status"].notna(), "pending")
    names = list(dict.fromkeys([*statistics.metrics_of(runs), chosen, "seconds"]))
    values = runs.reindex(columns=names).astype(object).where(status.isin(FINISHED), np.nan)
    group = labels.groupby(list(labels.columns), sort=False).ngroup() if axes else pd.Series(0, index=runs.index)

    counts = pd.crosstab(group, status).reindex(columns=list(STATUSES), fill_value=0)
    table = pd.concat([labels.groupby(group).first(), counts, grouped_intervals(values, group)], axis=1)
    table = table.join(_early(runs.assign(status=status), chosen, group))
    table.insert(len(axes), "runs", counts.sum(axis=1))
    ended = table["runs"] - table["pending"]
    table["unstable"] = table[list(LOST)].sum(axis=1) * 2 >= ended.clip(lower=1)
    if chosen.startswith(("valid_", "test_")) and (train := statistics.sibling(chosen, "train", runs)):
        gap = table[train] - table[_evaluated(chosen, runs)]
        table["gap"] = -gap if lower else gap
    # accuracies are counts over examples: their means tie except for rounding
    by = table[chosen] if lower else -table[chosen].round(6)
    tie = table.get("valid_loss", by)
    early = table["early"] if lower else -table["early"]
    pruned = {"epoch": -table["early epoch"].where(by.isna()), "early": early.where(by.isna())}
    keys = {"missing": by.isna(), "unstable": table["unstable"] & by.notna(), "by": by, **pruned, "tie": tie}
    order = pd.DataFrame(keys).sort_values(list(keys), kind="stable")
    rank = pd.Series(range(len(order)), index=order.index)
    return Leaderboard(
        metric=chosen,
        lower=lower,
        test=statistics.sibling(chosen, "test", runs),
        train=statistics.sibling(chosen, "train", runs),
        axes=axes,
        runs=runs.assign(status=status, combination=group.map(rank)),
        labels=labels,
        table=table.loc[order.index].reset_index(drop=True),
        name=name,
    )


def _early(runs: pd.DataFrame, metric: str, groups: pd.Series) -> pd.DataFrame:
    """For each combination the mean of the metric over its runs that were pruned last, their epoch, and their number."""
    epochs = runs["epochs_done"] if "epochs_done" in runs else pd.Series(0, index=runs.index)
    pruned = runs.assign(group=groups, epoch=pd.to_numeric(epochs, errors="coerce"))[runs["status"] == "pruned"]
    last = pruned[pruned["epoch"] == pruned.groupby("group")["epoch"].transform("max")]
    value = finite_table(last.reindex(columns=[metric]))[metric].groupby(last["group"])
    columns = {"early": value.mean(), "early epoch": last.groupby("group")["epoch"].first(), "early n": value.count()}
    table = pd.DataFrame(columns).reindex(sorted(groups.unique())).astype(float)
    return table.fillna({"early n": 0})


def _evaluated(metric: str, runs: pd.DataFrame) -> str:
    """The metric to compare training with: on test if there is one, else the ranking metric itself."""
    return statistics.sibling(metric, "test", runs) or metric


def marginals(board: Leaderboard, axis: Axis) -> pd.DataFrame:
    """For each value of an axis (or bin of a sampled axis): the best combination with it, and medians over all of them.

    Columns: `value`, `best` (row of `board.table`; -1 if none has a value), `combinations`, `runs`, `diverged`, `median`
    (of the metric, over the combinations that have a value) and `gap` (median).
    """
    shown = board.table[axis.name].map(coarse(axis))
    rows = []
    for value in coarse_values(axis):
        part = board.table[shown == value]
        ranked = part[part[board.metric].notna()]
        row: dict[str, object] = {"value": value, "best": int(ranked.index[0]) if len(ranked) else -1}
        row |= {"combinations": len(part), "runs": int(part["runs"].sum()), "diverged": int(part["diverged"].sum())}
        row["median"] = float(ranked[board.metric].median()) if len(ranked) else np.nan
        if "gap" in part:
            row["gap"] = float(part["gap"].median()) if part["gap"].notna().any() else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


@dataclasses.dataclass(frozen=True)
class Separation:
    """How clearly the best combination leads, by differences to the others paired by seed.

    Attributes:
        runner_up: the metric's difference best - second, with its interval over seeds.
        compared: number of other combinations that share at least two seeds with the best.
        tied: number of those that cannot be told apart from it, corrected for all comparisons (`against_best`).
    """

    runner_up: Interval
    compared: int
    tied: int


def compared_with_best(board: Leaderboard) -> AgainstBest:
    """Each combination of a board against its best, in rank order without the best."""
    by_seed = board.combinations_of(board.values).reindex(range(len(board.table)))
    return against_best(by_seed.to_numpy(dtype=float))


def separation(board: Leaderboard) -> Separation | None:
    """How clearly the best leads; None without a best or a second."""
    if not board.has_best or len(board.table) < 2:
        return None
    found = compared_with_best(board)
    by_seed = board.combinations_of(board.values).reindex(range(len(board.table)))
    first, second = by_seed.iloc[0], by_seed.iloc[1]
    compared = int(found.compared.sum())
    return Separation(paired_difference(second, first), compared, compared - int(found.told_apart.sum()))
