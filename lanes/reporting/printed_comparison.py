"""What the difference between directories is, in words and numbers: for the terminal and as JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from lanes.reporting.comparison import Comparison, compare
from lanes.results.intervals import Interval, decimals
from lanes.results.leaderboard import Leaderboard, leaderboards
from lanes.results.statistics import metric_words


def comparisons_of(runs: pd.DataFrame, metric: str | None = None) -> list[tuple[Leaderboard, list[Comparison]]]:
    """The leaderboards of a table with a column `dir`, each with its directories compared with the first of them."""
    out = []
    for board in leaderboards(runs, metric):
        several = "dir" in board.runs and board.runs["dir"].nunique() > 1
        table = board.runs.drop(columns="combination")
        out.append((board, compare(table, board.metric, board.evaluations) if several else []))
    return out


# ---- in words ------------------------------------------------------------------------------------------------------


def lines(runs: pd.DataFrame, metric: str | None = None) -> list[str]:
    """The differences in lines; what cannot be compared is said."""
    names = list(dict.fromkeys(runs["dir"])) if "dir" in runs else []
    if len(names) < 2:
        return []
    found = comparisons_of(runs, metric)
    out = [line for board, each in found for one in each for line in _lines(board, one)]
    seen = {name for _, each in found for one in each for name in (one.first, one.second)}
    for name in names[1:]:
        if name not in seen:
            out.append(f"{name} − {names[0]}: no metric compares their runs, so there is no difference to tell")
    return out


def _lines(board: Leaderboard, found: Comparison) -> Iterator[str]:
    named = f" ({board.name})" if board.name else ""
    yield f"{found.second} − {found.first}{named}, paired by seed:"
    for metric, overall in found.overall.items():
        pairs = found.pairs[metric]
        if not pairs:
            continue
        yield f"  {metric}, all {pairs:,} pairs of runs: {signed(overall)} (n = {overall.n} seeds)"
        if len(found.combinations) > 1 and found.best[metric].n:
            best = found.best[metric]
            yield f"  {metric}, best − best, each selected in its own directory: {signed(best)} (n = {best.n} seeds)"
    yield f"  {verdict(board, found)}"
    if found.constants:
        yield f"  they differ in {'; '.join(f'{name} {first} → {second}' for name, first, second in found.constants)}"
    if found.unpaired:
        yield f"  {found.unpaired:,} runs have no partner in the other directory"


def verdict(board: Leaderboard, found: Comparison) -> str:
    """Which directory is better in the ranking metric, as far as the interval over all pairs says so."""
    difference, words = found.overall[board.metric], metric_words(board.metric)
    if not found.pairs[board.metric]:
        return "no two finished runs agree in seed and in the fields that vary, so none can be compared"
    if difference.n == 1:
        return f"one seed has no interval, so it does not say which is better in {words}: add seeds (--seeds 5)"
    if not difference.is_known:
        if difference.mean == 0:
            return f"all {difference.n} seeds have the same {words} in both"
        return f"the same difference in all {difference.n} seeds has no interval, and decides nothing"
    if difference.low <= 0 <= difference.high:
        return f"no difference in {words} is seen: the 95% interval holds 0"
    better = found.first if (difference.mean > 0) == board.lower else found.second
    return f"{better} is better in {words}: the 95% interval excludes 0"


def signed(value: Interval) -> str:
    """`+0.020 ± 0.004`."""
    text = value.text(decimals([value.half], [value.mean]))
    return f"+{text}" if value.mean > 0 else text


# ---- as JSON -------------------------------------------------------------------------------------------------------


def document(runs: pd.DataFrame, metric: str | None = None) -> list[dict[str, Any]]:
    """For each comparison its directories, what differs between them, and the differences second - first.

    `all_pairs` is over all pairs of runs, averaged within each seed, `best` between the best combinations, each selected in
    its own directory; `combinations` has each combination's. A difference has its `mean`, `half_width` of the 95% interval
    over seeds, and `n`.
    """
    return [_document(board, one) for board, each in comparisons_of(runs, metric) for one in each]


def _document(board: Leaderboard, found: Comparison) -> dict[str, Any]:
    return {
        "name": board.name,
        "first": found.first,
        "second": found.second,
        "metric": board.metric,
        "higher_is_better": not board.lower,
        "all_pairs": {name: {**_numbers(each), "pairs": found.pairs[name]} for name, each in found.overall.items()},
        "best": {name: _numbers(each) for name, each in found.best.items()},
        "combinations": [
            {
                "settings": {name: _number(board, name, at[name]) for name in found.fields},
                "metrics": {name: _row(at, name) for name in found.overall},
            }
            for _, at in found.combinations.iterrows()
        ],
        "differing": {name: [first, second] for name, first, second in found.constants},
        "unpaired_runs": found.unpaired,
        "verdict": verdict(board, found),
    }


def _number(board: Leaderboard, name: str, label: str) -> str | float:
    """The number behind a label, where all values of the field are numbers."""
    axis = next((axis for axis in board.axes if axis.name == name and axis.numbers is not None), None)
    return label if axis is None or axis.numbers is None else axis.numbers[axis.values.index(label)]


def _numbers(value: Interval) -> dict[str, Any]:
    return {"mean": value.mean, "half_width": value.half, "n": value.n}


def _row(at: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"mean": at[name], "half_width": at[f"{name} half"], "n": int(at[f"{name} n"])}
