"""Which runs of a sweep are meant: by identity, the best combinations, or by the values of their fields."""

import pandas as pd

from lanes.describe import settings
from lanes.errors import RequestError, unknown
from lanes.results.axes import field_columns
from lanes.results.leaderboard import EXCLUDED, leaderboard
from lanes.results.statistics import selection_metric
from lanes.storage.directory import Directory
from lanes.storage.trained import find_run


def chosen(
    opened: Directory,
    table: pd.DataFrame,
    run_ids: tuple[str, ...],
    best: int | None,
    where: tuple[str, ...],
    metric: str | None,
) -> pd.DataFrame:
    """The rows of `lanes.load`'s table that are asked for, the best first where `best` is given."""
    if run_ids and (best is not None or where):
        raise RequestError("--run names the runs: it does not go together with --best or --where; leave one out")
    if best is not None and best < 1:
        raise RequestError(f"--best is {best}: it is a number of combinations and must be at least 1")
    metric = selection_metric(table, metric) if metric is not None or best is not None else None
    if run_ids:
        found = dict.fromkeys(find_run(opened, run_id)["run_id"] for run_id in run_ids)
        return _with_numbers(table.set_index("run_id", drop=False).loc[list(found)], opened)
    for condition in where:
        table = _matching(table, condition)
    if best is None:
        return _with_numbers(table[table["status"].notna()], opened)
    board = leaderboard(table, metric)
    ranked = board.runs[(board.runs["combination"] < best) & board.runs[board.metric].notna()]
    ranked = ranked.sort_values([name for name in ("combination", "seed") if name in ranked], kind="stable")
    return _with_numbers(ranked.drop(columns="combination"), opened)


def _matching(table: pd.DataFrame, condition: str) -> pd.DataFrame:
    path, equals, text = condition.partition("=")
    path = path.strip()
    if not equals or not path:
        raise RequestError(f"--where got {condition!r}: write FIELD=VALUE")
    known = ["run_id", "status", *field_columns(table)]
    if path not in known:
        raise unknown("field", path, known)
    kept = table[[any(settings.same_text(value, part) for part in text.split("|")) for value in table[path]]]
    if kept.empty:
        there = sorted({str(value) for value in table[path]})
        raise RequestError(f"--where {condition} matches no run: {path} is {', '.join(there[:8])}")
    return kept


def _with_numbers(table: pd.DataFrame, opened: Directory) -> pd.DataFrame:
    """The rows without those of diverged and failed runs, which have no metrics."""
    kept = table[~table["status"].isin(EXCLUDED)]
    if len(kept):
        return kept.reset_index(drop=True)
    if len(table):
        raise RequestError(f"all {len(table)} chosen runs of {opened.path} diverged or failed: choose others")
    raise RequestError(f"no chosen run of {opened.path} has ended: run the sweep's command again to train it")
