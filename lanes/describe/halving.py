"""Successive halving: at each rung the better runs go on and the others end.

Reference: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lanes.errors import RequestError

MONITOR = "monitor"  # stands for the metric that the runs monitor


@dataclasses.dataclass(frozen=True)
class Halving:
    """After each rung's epoch only the best ⌊keep · n⌋ of the n runs that reached it go on, at least one.

    Runs are ranked by the best value of the metric up to the rung, ties by run_id. Diverged and failed runs, and those
    without a finite value, come last; a run that stopped early keeps its rank, though it has ended.

    Attributes:
        rungs: epochs, increasing.
        keep: fraction that goes on, above 0 and below 1.
        metric: a metric of the validation split that states whether higher is better: valid_loss, valid_accuracy, …; or
            "monitor", what the runs monitor, which by default is valid_loss.
    """

    rungs: tuple[int, ...]
    keep: float = 0.5
    metric: str = MONITOR

    def __post_init__(self) -> None:
        if isinstance(self.rungs, list):
            object.__setattr__(self, "rungs", tuple(self.rungs))

    def check(self) -> None:
        """Raises RequestError for fields out of range or of the wrong type."""
        rungs = self.rungs
        whole = isinstance(rungs, tuple) and all(type(rung) is int and rung > 0 for rung in rungs)
        if not whole or not rungs or any(a >= b for a, b in itertools.pairwise(rungs)):
            raise RequestError(f"halving rungs are {rungs!r}: give increasing positive epochs, such as 5,10")
        if isinstance(self.keep, bool) or not isinstance(self.keep, (int, float)) or not 0 < self.keep < 1:
            raise RequestError(f"halving keep is {self.keep!r}: it must be above 0 and below 1, such as 0.5")
        if not isinstance(self.metric, str):
            raise RequestError(f"halving metric is {self.metric!r}: give a name, such as valid_loss")

    def following(self, monitors: Iterable[str | None]) -> "Halving":
        """The halving with the metric that its runs monitor in place of "monitor".

        Raises RequestError where they monitor several.
        """
        if self.metric != MONITOR:
            return self
        found = sorted({name or "valid_loss" for name in monitors})
        if len(found) > 1:
            raise RequestError(
                f"halving ranks all runs by one metric, and these monitor {' and '.join(found)}: give it a metric, such as "
                f"Halving(…, metric={found[0]!r})"
            )
        return dataclasses.replace(self, metric=found[0])

    def best(self, history: np.ndarray, rung: int, higher_is_better: bool) -> np.ndarray:
        """The best finite value [P] of the metric's curves [P, E] up to epoch `rung`; NaN if there is none."""
        seen = history[:, :rung].astype(np.float64)
        sign = -1.0 if higher_is_better else 1.0
        best = np.where(np.isfinite(seen), sign * seen, np.inf).min(axis=1, initial=np.inf)
        return np.where(np.isfinite(best), sign * best, np.nan)

    def kept(self, values: Mapping[str, float], higher_is_better: bool) -> list[str]:
        """The run_ids of the runs that go on, best first.

        Args:
            values: the metric by run_id; values that are not finite come last.
            higher_is_better: direction of the metric.
        """
        sign = -1.0 if higher_is_better else 1.0
        costs = {run_id: sign * value if math.isfinite(value) else math.inf for run_id, value in values.items()}
        return sorted(costs, key=lambda run_id: (costs[run_id], run_id))[: self.count(len(values))]

    def count(self, runs: int) -> int:
        """How many of this many runs go on."""
        return max(1, math.floor(round(runs * self.keep, 6)))

    def describe(self, runs: int) -> str:
        """`halving by valid_loss: 192 runs to epoch 5, 96 to epoch 10, 48 to the end`."""
        parts: list[str] = []
        for rung in self.rungs:
            parts.append(f"{runs} {'' if parts else 'runs '}to epoch {rung}")
            runs = self.count(runs)
        return f"halving by {self.metric}: {', '.join(parts)}, {runs} to the end"


OFF = "off"  # in place of rungs on a command line: no halving, though the experiment file has one


def parse_halving(rungs: str | None, keep: float | None, metric: str | None) -> Halving | None:
    """The Halving of a command line (`5,10`, 0.5, valid_loss); None without rungs, or for `off`.

    Raises RequestError for rungs that are not such a list, for `keep` or `metric` without rungs, and as `Halving.check`.
    """
    if rungs is None or rungs == OFF:
        if keep is not None or metric is not None:
            raise RequestError("--keep and --halving-metric go with --halving, as in --halving 5,10 --keep 0.5")
        return None
    if not all(part.strip().isdecimal() and len(part) < 10 for part in rungs.split(",")):
        raise RequestError(f"--halving is {rungs!r}: give increasing positive epochs, such as 5,10, or off")
    options: dict[str, Any] = {name: value for name, value in (("keep", keep), ("metric", metric)) if value is not None}
    halving = Halving(tuple(int(part) for part in rungs.split(",")), **options)
    halving.check()
    return halving
