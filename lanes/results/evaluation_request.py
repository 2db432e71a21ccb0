"""What an evaluation is asked for."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

from lanes.errors import RequestError, unknown
from lanes.files import check_writable
from lanes.results.conditions import AttackAt, Condition, attacks, corruptions, is_mixing
from lanes.results.measures import Measure, split_measure
from lanes.results.named_functions import names_code

SPLITS = ("train", "valid", "test", "all")
STATISTICS = ("running", "recomputed")


@dataclasses.dataclass(frozen=True)
class Request:
    """What is evaluated, and how.

    Attributes:
        epoch: "best" or "last".
        data: another data set, a name, a description, a function, or `FILE.py:NAME` or `experiment:NAME` of a function; None
            is each run's own.
        split: "train", "valid", "test" or "all".
        data_dir: where prepared TFDS sets are.
        ensemble: also evaluate the mean prediction of the runs.
        mc_dropout: average the predictions of this many passes with dropout on; None is one pass with dropout off.
        batch_statistics: "running", or "recomputed" on the whole training split.
        prune: sparsities s in [0, 1); also evaluate with the share s of smallest kernel weights set to zero.
        trust: False refuses to execute the directory's copy of the experiment, which is code.
        confusion, calibration: also make these tables.
        predictions: also write what the runs predict for each example to this Parquet file.
        measure: further metrics: texts as `measures.split_measure` takes them, or `Measure`s.
        attack, epsilon, epsilon_in, target_class, attack_steps, step_size, bounds: also evaluate attacked inputs, as
            `conditions.AttackAt`.
        corrupt: also evaluate corrupted inputs: texts `NAME=STRENGTH`, or augmentations.
    """

    epoch: str = "best"
    data: Any = None
    split: str = "test"
    data_dir: str | None = None
    ensemble: bool = False
    mc_dropout: int | None = None
    batch_statistics: str = "running"
    prune: tuple[float, ...] = ()
    trust: bool = True
    confusion: bool = False
    calibration: bool = False
    predictions: str | Path | None = None
    measure: tuple[str | Measure, ...] = ()
    attack: str | None = None
    epsilon: tuple[float, ...] = ()
    epsilon_in: str = "raw"
    target_class: str | None = None
    attack_steps: int | None = None
    step_size: float | None = None
    bounds: tuple[float, float] | None = None
    corrupt: tuple[Any, ...] = ()

    @functools.cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions to evaluate under besides the inputs as they are.

        Raises RequestError for a value out of range.
        """
        attacked = attacks(
            self.attack,
            self.epsilon,
            self.epsilon_in,
            target=None if self.target_class is None else str(self.target_class),
            steps=self.attack_steps,
            step_size=self.step_size,
            bounds=self.bounds,
        )
        return (*attacked, *corruptions(self.corrupt))

    @property
    def tells(self) -> bool:
        """Whether what runs say of each example is needed on the host."""
        return self.confusion or self.calibration or self.predictions is not None or bool(self.functions)

    @property
    def functions(self) -> tuple[str | Measure, ...]:
        """Those of `measure` that are functions."""
        return tuple(one for one in self.measure if not isinstance(one, str) or split_measure(one)[0])

    @property
    def named_measures(self) -> tuple[str, ...]:
        """Those of `measure` that are names of lanes' own metrics."""
        return tuple(one for one in self.measure if isinstance(one, str) and not split_measure(one)[0])

    def check(self) -> None:
        """Raise RequestError for a value out of range, and for what cannot be combined."""
        if self.epoch not in ("best", "last"):
            raise RequestError(f"--epoch is {self.epoch!r}: only the best and the last are kept; choose best or last")
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if self.batch_statistics not in STATISTICS:
            raise unknown("--batch-statistics", self.batch_statistics, STATISTICS)
        if self.mc_dropout is not None and self.mc_dropout < 1:
            raise RequestError(f"--mc-dropout is {self.mc_dropout}: the number of passes must be at least 1")
        for sparsity in self.prune:
            if not 0 <= sparsity < 1:
                raise RequestError(f"--prune is {sparsity}: the share of weights set to zero must be in [0, 1)")
        if self.prune and self.ensemble:
            raise RequestError("--prune evaluates single runs: leave out --ensemble")
        if (
            not self.trust
            and isinstance(self.data, str)
            and self.data.startswith("experiment:")
            and names_code(self.data)
        ):
            raise RequestError(f"--data {self.data} is code of the directory: leave out --no-code if you trust it")
        for one in self.measure:
            if isinstance(one, str):
                split_measure(one)
        self._check_conditions()
        if self.predictions is not None:
            check_writable(Path(self.predictions), "--predictions", (".parquet",))

    def _check_conditions(self) -> None:
        attacked = [one for one in self.conditions if isinstance(one, AttackAt)]
        if attacked and self.ensemble:
            raise RequestError(
                "--attack moves each run's own inputs, so there is no mean prediction: leave out --ensemble"
            )
        if attacked and self.mc_dropout is not None:
            raise RequestError("--attack follows the gradient of a net without dropout: leave out --mc-dropout")
        if self.ensemble and any(map(is_mixing, self.conditions)):
            raise RequestError("--corrupt mixes examples and their targets: leave out --ensemble")
