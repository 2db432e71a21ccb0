"""Selecting runs of a sweep by identity, by rank, or by the values of their fields."""

import pandas as pd

from lanes.describe import settings
from lanes.errors import RequestError, unknown
from lanes.results.axes import field_columns
from lanes.results.groups import single_group
from lanes.results.leaderboard import EXCLUDED, ranked
from lanes.results.replicates import COMBINATION
from lanes.results.statistics import selection_metric
from lanes.results.versions import LEFT_OUT, of_present_versions
from lanes.storage.asked import EARLIER
from lanes.storage.directory import Directory
from lanes.storage.trained import find_run


def select_runs(
    opened: Directory,
    table: pd.DataFrame,
    run_ids: tuple[str, ...],
    best: int | None,
    where: tuple[str, ...],
    metric: str | None,
) -> pd.DataFrame:
    """The selected rows of `lanes.load`'s table, without diverged and failed runs; ranked with `best`, else in table order.

    Runs of an earlier version of their experiment file are selected by `run_ids` or `where` alone (`earlier_version_of=NAME`).

    Args:
        opened: the sweep's directory.
        table: `lanes.load` of it.
        run_ids: identities or prefixes of them; not together with `best` or `where`.
        best: number of best combinations to keep.
        where: `FIELD=VALUE` conditions, alternatives joined by `|`.
        metric: ranks the combinations; see `groups.comparable_groups`.

    Raises RequestError for an invalid selection, one without an evaluable run, and `best` of runs that no metric compares.
    """
    if run_ids and (best is not None or where):
        raise RequestError("--run cannot be combined with --best or --where: leave one out")
    if best is not None and best < 1:
        raise RequestError(f"--best is {best}: the number of combinations must be at least 1")
    metric = selection_metric(table, metric) if metric is not None else None
    if run_ids:
        found = dict.fromkeys(find_run(opened, run_id)["run_id"] for run_id in run_ids)
        return _with_metrics(table.set_index("run_id", drop=False).loc[list(found)], opened)
    if not any(condition.partition("=")[0].strip() == EARLIER for condition in where):
        table, left_out = of_present_versions(table)
        table.attrs = {**table.attrs, LEFT_OUT: left_out}
    for condition in where:
        table = matching_rows(table, condition, "--where")
    if best is None:
        return _with_metrics(table[table["status"].notna()], opened)
    group = single_group(table, metric, f"--best {best}")
    board = ranked(group.runs, group.metric)
    selected = board.runs[(board.runs["combination"] < best) & board.values.notna()]
    selected = selected.sort_values([name for name in ("combination", "seed") if name in selected], kind="stable")
    return _with_metrics(selected.drop(columns="combination"), opened)


def matching_rows(table: pd.DataFrame, condition: str, option: str) -> pd.DataFrame:
    """The rows of `lanes.load`'s table that meet a condition `FIELD=VALUE`, alternatives joined by `|`.

    Raises RequestError for text of another form, an unknown field, and if no row meets it; `option` is where it was written.
    """
    path, equals, text = condition.partition("=")
    path = path.strip()
    if not equals or not path:
        raise RequestError(f"{option} is {condition!r}: write FIELD=VALUE")
    further = [name for name in (EARLIER, COMBINATION) if name in table]
    further += ["dir"] if "dir" in table else []
    known = ["run_id", "status", *further, *field_columns(table)]
    if path not in known:
        raise unknown("field", path, known)
    cells = table[path].astype(object).where(table[path].notna(), None)  # however pandas writes a missing value
    kept = table[settings.matching(cells, text)]
    if kept.empty:
        values = sorted({str(value) for value in cells})
        raise RequestError(f"{option} {condition} matches no run: {path} is {', '.join(values[:8])}")
    return kept


def _with_metrics(table: pd.DataFrame, opened: Directory) -> pd.DataFrame:
    """The rows without diverged and failed runs, which have no metrics."""
    kept = table[~table["status"].isin(EXCLUDED)]
    if len(kept):
        return kept.reset_index(drop=True)
    if len(table):
        raise RequestError(f"all {len(table)} selected runs of {opened.path} diverged or failed: select others")
    raise RequestError(f"no selected run of {opened.path} has ended: run the sweep's command again to train it")
