"""What a sweep's results say about the claim that its experiment asks about."""

import dataclasses
import enum
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.errors import RequestError, unknown
from lanes.results.comparisons import paired_difference
from lanes.results.intervals import Interval, mean_interval
from lanes.results.selection import matching_rows
from lanes.results.statistics import is_proportion
from lanes.results.tables import load, load_curves

EXACT = 0.02  # relative difference up to which two numbers without an interval are the same


class Outcome(enum.StrEnum):
    """What becomes of a claim that is measured."""

    HOLDS = "holds"
    CONDITIONALLY = "holds only when"
    FAILS = "does not hold"
    UNDECIDED = "not decided at this n"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What an experiment's results say about its claim: what the function `verdict(results)` of its file returns.

    Attributes:
        outcome: one of `Outcome`, or its text: "holds", "holds only when", "does not hold", "not decided at this n".
        sentence: why, with numbers.
        numbers: what decided it, by name: `lanes.Interval`, or plain numbers, which have no interval.

    Raises RequestError for another outcome, an empty sentence, and without numbers.
    """

    outcome: str
    sentence: str
    numbers: Mapping[str, Interval | float]

    def __post_init__(self) -> None:
        if self.outcome not in (known := [str(one) for one in Outcome]):
            raise unknown("outcome of a verdict", self.outcome, known)
        if not self.sentence.strip() or not self.numbers:
            raise RequestError("a verdict has no sentence or no numbers: say what decided it")
        object.__setattr__(self, "outcome", Outcome(self.outcome))
        object.__setattr__(self, "numbers", {name: _interval(value) for name, value in self.numbers.items()})


def _interval(value: Interval | float) -> Interval:
    return value if isinstance(value, Interval) else Interval(float(value), math.nan, 1)


class Results:
    """The results of an experiment, for its functions `measure`, `verdict` and `figure`.

    Args:
        directory: of its sweep; it need not exist for an experiment without runs.
        measured: what its function `measure(results)` returned; None if it has none.
        runs, curves: in place of what the directory holds.

    Attributes:
        directory: as given.
        measured: as given; raises RequestError if there is none.
        runs: the table of `lanes.load`.
        curves: a row per run and epoch, with the runs' fields (`lanes.load` and the curves joined on `run_id`).
    """

    def __init__(
        self,
        directory: Path,
        measured: pd.DataFrame | None = None,
        runs: pd.DataFrame | None = None,
        curves: pd.DataFrame | None = None,
    ):
        self.directory, self._measured = directory, measured
        self._runs, self._curves = runs, curves

    @property
    def measured(self) -> pd.DataFrame:
        """See the class."""
        if self._measured is None:
            raise RequestError(f"nothing is measured for {self.directory.name}: define measure(results) in its file")
        return self._measured

    @functools.cached_property
    def runs(self) -> pd.DataFrame:
        """See the class."""
        return load(self.directory) if self._runs is None else self._runs

    @functools.cached_property
    def curves(self) -> pd.DataFrame:
        """See the class."""
        if self._curves is not None:
            return self._curves
        curves = load_curves(self.directory)
        fields = [name for name in self.runs if name == "run_id" or name not in curves]
        return curves.merge(self.runs[fields], on="run_id", how="left")

    def used(self) -> dict[str, pd.DataFrame]:
        """The tables that were asked for, and the measured one if there is one, by name."""
        found: dict[str, pd.DataFrame] = {name: vars(self)[name] for name in ("runs", "curves") if name in vars(self)}
        return found if self._measured is None else {**found, "measured": self._measured}

    def where(self, *conditions: str) -> pd.DataFrame:
        """The runs that meet all conditions `FIELD=VALUE` (alternatives joined by `|`).

        Raises RequestError for an unknown field and if no run meets them.
        """
        return functools.reduce(lambda table, text: matching_rows(table, text, "where"), conditions, self.runs)

    def values(self, metric: str, *conditions: str) -> pd.Series:
        """A metric by seed, of runs that meet the conditions: the mean over a seed's runs; NaN where they diverged.

        Raises RequestError for an unknown metric too.
        """
        rows = self.where(*conditions)
        if metric not in rows:
            raise unknown("metric", metric, rows.select_dtypes("number").columns)
        return pd.to_numeric(rows[metric], errors="coerce").astype(float).groupby(rows["seed"]).mean()

    def mean(self, metric: str, *conditions: str) -> Interval:
        """Mean and 95% interval over seeds."""
        found = mean_interval(self.values(metric, *conditions))
        return dataclasses.replace(found, proportion=is_proportion(self.runs, metric))

    def difference(self, metric: str, first: Sequence[str], second: Sequence[str]) -> Interval:
        """Second minus first, paired by seed: the mean of the differences and its 95% interval.

        Args:
            metric: of both.
            first, second: the conditions of each.
        """
        return paired_difference(self.values(metric, *first), self.values(metric, *second))


def differing(recorded: Verdict, found: Verdict) -> list[str]:
    """What is not as recorded, in words; an empty list if all is.

    Numbers with intervals are the same if their difference is within the interval of it, √(h₁² + h₂²) for half-widths h;
    those without one if they are within 2%.
    """
    out = []
    if recorded.outcome != found.outcome:
        out.append(f"{found.outcome!s}, recorded: {recorded.outcome!s}")
    for name in dict.fromkeys([*recorded.numbers, *found.numbers]):
        before, now = recorded.numbers.get(name), found.numbers.get(name)
        if before is None or now is None:
            out.append(f"{name}: {'not recorded' if before is None else 'not measured'}")
        elif not _same(_interval(before), _interval(now)):
            out.append(f"{name}: {shown(now)}, recorded: {shown(before)}")
    return out


def shown(number: Interval | float) -> str:
    """A number of a verdict as a text: with its interval and n, or in four digits without one."""
    value = _interval(number)
    return f"{value.mean:.4g}" if value.n == 1 else str(value)


def _same(one: Interval, other: Interval) -> bool:
    if not (math.isfinite(one.mean) and math.isfinite(other.mean)):
        return math.isfinite(one.mean) == math.isfinite(other.mean)
    apart = abs(one.mean - other.mean)
    if one.is_known and other.is_known:
        return apart <= math.hypot(one.half, other.half)
    return apart <= EXACT * max(abs(one.mean), 1e-12)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a JSON value; a number that is not finite is null."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    numbers = {
        name: {"mean": number(value.mean), "half": number(value.half), "n": value.n, "proportion": value.proportion}
        for name, value in ((name, _interval(value)) for name, value in verdict.numbers.items())
    }
    return {"outcome": str(verdict.outcome), "sentence": verdict.sentence, "numbers": numbers}


def from_json(value: Mapping[str, Any]) -> Verdict:
    """The verdict that `as_json` described.

    Raises RequestError for anything else.
    """

    def number(found: float | None) -> float:
        return math.nan if found is None else float(found)

    try:
        numbers = {
            str(name): Interval(number(one["mean"]), number(one["half"]), int(one["n"]), bool(one["proportion"]))
            for name, one in value["numbers"].items()
        }
        return Verdict(value["outcome"], value["sentence"], numbers)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"a recorded verdict is damaged ({type(error).__name__}: {error}): record it again"
        ) from None
