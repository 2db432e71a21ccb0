"""Means with 95% intervals over seeds, and paired differences; values that are not finite are left out and counted.

The interval of n values is mean ± t(n-1) s / √n, with t(n-1) the 97.5% point of Student's t distribution and s the
sample standard deviation (n-1 below). One value has no interval.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import special

from lanes.describe.runs import FIELDS
from lanes.errors import RequestError


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean, half the width of its 95% interval (NaN where n < 2), and the number of finite values behind it."""

    mean: float
    half: float
    n: int

    def __str__(self) -> str:
        return f"{format_interval(self.mean, self.half, decimals([self.half], [self.mean]))} (n = {self.n})"

    @property
    def excludes_zero(self) -> bool:
        """True where zero lies outside the interval; False without an interval."""
        return bool(self.n > 1 and abs(self.mean) > self.half)


def half_width(deviation: np.ndarray, n: np.ndarray) -> np.ndarray:
    """t(n-1) s / √n elementwise; NaN where n < 2. `deviation` and `n` are of one shape."""
    count = np.asarray(n, dtype=float)
    enough = count > 1
    safe = np.where(enough, count, 2.0)
    return np.where(
        enough, special.stdtrit(safe - 1, 0.975) * np.asarray(deviation, dtype=float) / np.sqrt(safe), np.nan
    )


def mean_interval(values: Iterable[float]) -> Interval:
    """Mean and 95% interval of the finite ones of `values`."""
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
    """Mean and interval of second - first over the keys (the index) where both are finite.

    Raises ValueError where a key stands twice: pairs would be ambiguous.
    """
    for series in (first, second):
        if not series.index.is_unique:
            raise ValueError("a pair needs unique keys: a run stands twice under one key")
    both = pd.concat({"first": first, "second": second}, axis=1, join="inner")
    return mean_interval(both["second"].to_numpy(dtype=float) - both["first"].to_numpy(dtype=float))


def grouped_intervals(values: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """For each column c and group: `c` (mean of the finite values), `c half` and `c n`; a row per group."""
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
    """The metric columns of a results table: train_…, valid_…, test_… and the penalty."""
    splits = ("train_", "valid_", "test_")
    columns = [name for name in map(str, runs.columns) if name.split(".")[0] not in FIELDS]
    return [name for name in columns if name.startswith(splits) or name == "penalty"]


def selection_metric(runs: pd.DataFrame, wanted: str | None = None) -> str:
    """The metric that ranks: the one wanted, else validation accuracy, else validation loss, else training loss.

    Test metrics are only used where they are asked for by their full name; `accuracy` means `valid_accuracy`.
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
        if name in known and finite_values(runs[name]).size:
            return name
    return "valid_loss"


def sibling(metric: str, split: str, runs: pd.DataFrame) -> str | None:
    """The same metric on another split (`valid_accuracy` → `test_accuracy`); None without finite values of it."""
    name = f"{split}_{metric.split('_', 1)[1]}" if metric.startswith(("train_", "valid_", "test_")) else ""
    return name if name in metrics_of(runs) and finite_values(runs[name]).size else None


# ---- numbers as text ---------------------------------------------------------------------------------------------


def decimals(halves: Iterable[float], means: Iterable[float] = ()) -> int:
    """Decimals for a column: two significant digits of the median interval, at most 6; without intervals, 4 digits."""
    widths = finite_values(halves)
    widths = widths[widths > 0]
    if widths.size:
        return int(np.clip(1 - math.floor(math.log10(float(np.median(widths)))), 0, 6))
    sizes = np.abs(finite_values(means))
    sizes = sizes[sizes > 0]
    return int(np.clip(3 - math.floor(math.log10(float(np.median(sizes)))), 0, 6)) if sizes.size else 4


def format_interval(mean: float, half: float, places: int) -> str:
    """`0.962 ± 0.004`; the mean alone where there is no interval; a dash where there is no value."""
    if not math.isfinite(mean):
        return "–"
    large = abs(mean) >= 1e6 or (math.isfinite(half) and half >= 1e6)
    kind = ".3g" if large else f".{places}f"
    return f"{mean:{kind}} ± {half:{kind}}" if math.isfinite(half) else f"{mean:{kind}}"
