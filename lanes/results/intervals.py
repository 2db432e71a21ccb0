"""Means with 95% intervals over seeds, over the finite values; n counts them.

`±` is half the width of that interval wherever lanes prints it: of n values mean ± t(n-1) s / √n, where t(n-1) is the 97.5%
quantile of Student's t distribution and s the sample standard deviation (divisor n-1). It covers what differs between
seeds, initialization and the order of examples, for one split of the data and one test set. A single value has no interval.
Nor have n equal values: they say that the spread is small, not that it is zero.
"""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import special

RESOLUTION = 1e-6  # values that differ by less than this, relative to their size, are equal: metrics are float32


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval.

    The interval of a proportion is cut to [0, 1], which no true value lies outside, so that it covers as often as the whole
    one (Mandelkern, Setting confidence intervals for bounded parameters, 2002).

    Attributes:
        mean: of the finite values.
        half: half the width of the uncut interval; NaN if n < 2, 0 for equal values.
        n: number of finite values.
        proportion: whether the values are proportions.
    """

    mean: float
    half: float
    n: int
    proportion: bool = False

    @staticmethod
    def of(values: Iterable[float]) -> "Interval":
        """The interval of values that are independent of each other, such as one per seed; of the finite ones.

        Args:
            values: such as slopes, or logarithms of ratios, one for each seed.
        """
        return mean_interval(values)

    @property
    def is_known(self) -> bool:
        """Whether there is an interval: of two values or more that are not all equal."""
        return math.isfinite(self.half) and self.half > 0

    @property
    def low(self) -> float:
        """The lower end; NaN without an interval."""
        low = self.mean - self.half if self.is_known else math.nan
        return max(low, 0.0) if self.proportion else low

    @property
    def high(self) -> float:
        """The upper end; NaN without an interval."""
        high = self.mean + self.half if self.is_known else math.nan
        return min(high, 1.0) if self.proportion else high

    def text(self, digits: int) -> str:
        """`0.962 ± 0.004`, a proportion's cut interval as `0.992 (0.971 to 1)`, equal values as `0.972 (2 equal)`."""
        if not math.isfinite(self.mean):
            return "–"
        large = abs(self.mean) >= 1e6 or (math.isfinite(self.half) and self.half >= 1e6)
        kind = ".3g" if large else f".{digits}f"
        if self.n > 1 and self.half == 0:
            return f"{self.mean:{kind}} ({self.n} equal)"
        if not self.is_known:
            return f"{self.mean:{kind}}"
        if self.proportion and (self.mean - self.half < 0 or self.mean + self.half > 1):
            low, high = ("0" if end == 0 else "1" if end == 1 else f"{end:{kind}}" for end in (self.low, self.high))
            return f"{self.mean:{kind}} ({low} to {high})"
        return f"{self.mean:{kind}} ± {self.half:{kind}}"

    def __str__(self) -> str:
        return f"{self.text(decimals([self.half], [self.mean]))} (n = {self.n})"


def half_width(deviation: np.ndarray, n: np.ndarray) -> np.ndarray:
    """t(n-1) s / √n elementwise, NaN where n < 2. `deviation` s and `n` have the same shape."""
    count = np.asarray(n, dtype=float)
    enough = count > 1
    safe = np.where(enough, count, 2.0)
    return np.where(
        enough, special.stdtrit(safe - 1, 0.975) * np.asarray(deviation, dtype=float) / np.sqrt(safe), np.nan
    )


def mean_interval(values: Iterable[float], size: float = 0.0) -> Interval:
    """Mean and 95% interval of the finite values.

    Args:
        values: independent of each other, such as one per seed.
        size: for differences, the size of the values that they are differences of, below whose resolution all are equal.
    """
    finite = finite_values(values)
    if finite.size == 0:
        return Interval(math.nan, math.nan, 0)
    deviation = _spread(finite.std(ddof=1), max(size, np.abs(finite).max())) if finite.size > 1 else np.array(math.nan)
    return Interval(float(finite.mean()), float(half_width(deviation, np.array(finite.size))), int(finite.size))


def finite_values(values: Iterable[float]) -> np.ndarray:
    """The finite numbers among `values`, as float64."""
    array = pd.to_numeric(pd.Series(list(values), dtype=object), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return array[np.isfinite(array)]


def finite_table(values: pd.DataFrame) -> pd.DataFrame:
    """The columns as float64, NaN for what is not a finite number."""
    return values.apply(pd.to_numeric, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)


def grouped_intervals(values: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """A row per group; for each column c the mean of its finite values `c`, `c half` and `c n`."""
    finite = finite_table(values)
    grouped = finite.groupby(groups)
    mean, deviation, count = grouped.mean(), grouped.std(ddof=1), grouped.count()
    size = finite.abs().groupby(groups).max()
    columns: dict[str, object] = {}
    for name in finite.columns:
        columns[name] = mean[name]
        spread = _spread(deviation[name].to_numpy(), size[name].to_numpy())
        columns[f"{name} half"] = half_width(spread, count[name].to_numpy())
        columns[f"{name} n"] = count[name]
    return pd.DataFrame(columns, index=mean.index)


def _spread(deviation: np.ndarray, size: np.ndarray | float) -> np.ndarray:
    """The standard deviation, 0 where it is below the resolution of values of this size."""
    deviation = np.asarray(deviation, dtype=float)
    return np.where(deviation <= RESOLUTION * np.asarray(size), 0.0, deviation)


def binomial_error(proportion: float, examples: int) -> float:
    """√(p (1 - p) / n): the standard error of a proportion of n examples, each of which is right or wrong.

    It is the noise of the test set, which all runs share and which their spread does not show; of proportions averaged over
    examples (some of an example's labels) it is an upper bound.
    """
    return math.sqrt(max(proportion * (1 - proportion), 0.0) / examples)


def decimals(halves: Iterable[float], means: Iterable[float] = ()) -> int:
    """Number of decimals for a column, at most 6: two significant digits of the median interval, four of the mean without one."""
    widths = finite_values(halves)
    widths = widths[widths > 0]
    if widths.size:
        return int(np.clip(1 - math.floor(math.log10(float(np.median(widths)))), 0, 6))
    sizes = np.abs(finite_values(means))
    sizes = sizes[sizes > 0]
    return int(np.clip(3 - math.floor(math.log10(float(np.median(sizes)))), 0, 6)) if sizes.size else 4


def format_number(value: float, digits: int) -> str:
    """A number without an interval; a dash without a value."""
    return Interval(value, math.nan, 1).text(digits)
