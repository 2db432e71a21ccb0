"""Means with 95% intervals over seeds, and paired differences, over the finite values; n counts them.

The interval of n values is mean ± t(n-1) s / √n, where t(n-1) is the 97.5% quantile of Student's t distribution and s the
sample standard deviation (divisor n-1). A single value has no interval.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import special

from lanes.describe import directions
from lanes.describe.runs import FIELDS
from lanes.errors import RequestError

DIRECTIONS = "higher_is_better"  # in the attrs of a table: what the runs' own metrics say, by name
COMPARABLE = "comparable"  # a column of a table, and in its attrs what each of the column's values measures


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean, half the width of its 95% interval (NaN if n < 2), and the number of finite values n."""

    mean: float
    half: float
    n: int

    def __str__(self) -> str:
        return f"{format_interval(self.mean, self.half, decimals([self.half], [self.mean]))} (n = {self.n})"


def half_width(deviation: np.ndarray, n: np.ndarray) -> np.ndarray:
    """t(n-1) s / √n elementwise, NaN where n < 2. `deviation` s and `n` have the same shape."""
    count = np.asarray(n, dtype=float)
    enough = count > 1
    safe = np.where(enough, count, 2.0)
    return np.where(
        enough, special.stdtrit(safe - 1, 0.975) * np.asarray(deviation, dtype=float) / np.sqrt(safe), np.nan
    )


def mean_interval(values: Iterable[float]) -> Interval:
    """Mean and 95% interval of the finite values."""
    finite = finite_values(values)
    if finite.size == 0:
        return Interval(math.nan, math.nan, 0)
    deviation = float(finite.std(ddof=1)) if finite.size > 1 else math.nan
    return Interval(
        float(finite.mean()), float(half_width(np.array(deviation), np.array(finite.size))), int(finite.size)
    )


def finite_values(values: Iterable[float]) -> np.ndarray:
    """The finite numbers among `values`, as float64."""
    array = pd.to_numeric(pd.Series(list(values), dtype=object), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return array[np.isfinite(array)]


def paired_difference(first: pd.Series, second: pd.Series) -> Interval:
    """Mean and interval of second - first over the index keys at which both are finite.

    Raises ValueError for a duplicate key: its pair would be ambiguous.
    """
    for series in (first, second):
        if not series.index.is_unique:
            raise ValueError("pairs need unique keys: two runs have the same key")
    both = pd.concat({"first": first, "second": second}, axis=1, join="inner")
    return mean_interval(both["second"].to_numpy(dtype=float) - both["first"].to_numpy(dtype=float))


def grouped_intervals(values: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """A row per group; for each column c the mean of its finite values `c`, `c half` and `c n`."""
    finite = values.apply(pd.to_numeric, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    grouped = finite.groupby(groups)
    mean, deviation, count = grouped.mean(), grouped.std(ddof=1), grouped.count()
    columns: dict[str, object] = {}
    for name in finite.columns:
        columns[name] = mean[name]
        columns[f"{name} half"] = half_width(deviation[name].to_numpy(), count[name].to_numpy())
        columns[f"{name} n"] = count[name]
    return pd.DataFrame(columns, index=mean.index)


# ---- metrics -----------------------------------------------------------------------------------------------------


def metrics_of(runs: pd.DataFrame) -> list[str]:
    """The metric columns of a results table: train_…, valid_…, test_… and `penalty`."""
    columns = [name for name in map(str, runs.columns) if name.split(".")[0] not in FIELDS]
    return [name for name in columns if name.startswith(directions.SPLITS) or name == "penalty"]


def selection_metric(runs: pd.DataFrame, wanted: str | None = None) -> str:
    """The ranking metric: `wanted`, else the first with values of validation accuracy, validation loss and training loss.

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
    for name in ("valid_accuracy", "valid_loss", "train_loss"):
        if name in known and direction(runs, name) is not None and finite_values(runs[name]).size:
            return name
    return "valid_loss"


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


# ---- numbers as text ---------------------------------------------------------------------------------------------


def decimals(halves: Iterable[float], means: Iterable[float] = ()) -> int:
    """Number of decimals for a column, at most 6: two significant digits of the median interval, four of the mean without one."""
    widths = finite_values(halves)
    widths = widths[widths > 0]
    if widths.size:
        return int(np.clip(1 - math.floor(math.log10(float(np.median(widths)))), 0, 6))
    sizes = np.abs(finite_values(means))
    sizes = sizes[sizes > 0]
    return int(np.clip(3 - math.floor(math.log10(float(np.median(sizes)))), 0, 6)) if sizes.size else 4


def format_interval(mean: float, half: float, digits: int) -> str:
    """`0.962 ± 0.004`; the mean alone without an interval; a dash without a value."""
    if not math.isfinite(mean):
        return "–"
    large = abs(mean) >= 1e6 or (math.isfinite(half) and half >= 1e6)
    kind = ".3g" if large else f".{digits}f"
    return f"{mean:{kind}} ± {half:{kind}}" if math.isfinite(half) else f"{mean:{kind}}"
