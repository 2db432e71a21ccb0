"""What runs say of each example: confusion, calibration, further metrics and files of predictions are made of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lanes.analysis.confusion import confusion_matrix, of_classes
from lanes.analysis.reliability import brier, calibration_error, largest_gap, reliability
from lanes.data.loading import Dataset
from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.program.judging import decides, gives_probabilities
from lanes.recipe.tasks_classifying import IntegerCoded, MultiLabel
from lanes.recipe.tasks_regressing import GaussianLikelihood
from lanes.results.measures import Measure

Array = np.ndarray
CLEAN = "clean"  # the condition of inputs as they are


@dataclasses.dataclass(frozen=True)
class Kind:
    """What the runs of an evaluation say.

    Attributes:
        decides: whether they decide for classes or labels.
        labels: whether these do not exclude each other.
        chances: whether they give probabilities.
        spread: whether they predict means and standard deviations.
        outputs: number of classes, labels or targets.
        classes: names of the classes, if known.
    """

    decides: bool
    labels: bool
    chances: bool
    spread: bool
    outputs: int
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Run, data: Dataset) -> "Kind":
        """What a run says of its data."""
        count = 2 if data.task == "binary" else data.outputs
        decided = decides(run)
        names = data.classes if len(data.classes) == count else ()
        return cls(
            decided,
            isinstance(run.task, MultiLabel),
            decided and gives_probabilities(run),
            isinstance(run.task, GaussianLikelihood),
            count,
            tuple(map(str, names)),
        )

    def name_of(self, at: int) -> str:
        """The name of a class."""
        return self.classes[at] if self.classes else str(at)


@dataclasses.dataclass(frozen=True)
class Said:
    """What one run says of N examples (steps of series are examples), as functions of metrics take it.

    Attributes:
        targets: classes [N], labels [N, K], or numbers [N] or [N, D].
        classes: decided for, like the targets; None where a run decides for none.
        chances: probabilities [N, K]; None where there are none.
        predictions: targets [N] or [N, D] in the units of the data, or outputs [N, K].
        deviations: their standard deviations, if the run predicts them.
    """

    targets: Array
    classes: Array | None
    chances: Array | None
    predictions: Array
    deviations: Array | None = None

    def given(self, takes: str) -> Array:
        """What a measure takes."""
        if takes == "positive":
            return np.asarray(self.chances)[:, 1]
        return np.asarray({"classes": self.classes, "probabilities": self.chances}.get(takes, self.predictions))


def said(kind: Kind, predictions: Array, decisions: Array | None, targets: Array) -> Said:
    """What a run says, from arrays of a lane [N, …] as its program returns them."""
    if not kind.decides or decisions is None:
        deviations = None
        if kind.spread:
            half = predictions.shape[-1] // 2
            predictions, deviations = predictions[..., :half], predictions[..., half:]
        single = targets.shape[1:] == (1,)
        flat = [part[:, 0] if single and part is not None else part for part in (targets, predictions, deviations)]
        return Said(flat[0], None, None, flat[1], flat[2])  # type: ignore[arg-type]
    if kind.labels:
        whole = np.rint(targets).astype(np.int32)
        return Said(whole, decisions, predictions if kind.chances else None, predictions)
    outputs = predictions.reshape(-1, predictions.shape[-1])
    chances = outputs if kind.chances else None
    if chances is not None and chances.shape[1] == 1:
        chances = np.concatenate([1 - chances, chances], axis=1)
    return Said(np.rint(targets).astype(np.int32).reshape(-1), decisions.reshape(-1), chances, outputs)


class Tables:
    """The tables that an evaluation makes besides its rows.

    Args:
        kind: what all its runs say.
        confusion, calibration: which are wanted.
        measures: further metrics.

    Attributes:
        matrices: confusion matrix by (run_id, condition).
        diagrams: reliability diagram by (run_id, condition).
    """

    def __init__(self, kind: Kind, confusion: bool, calibration: bool, measures: Sequence[Measure]):
        self.kind, self.measures = kind, measures
        self.confuses, self.calibrates = confusion, calibration
        self.matrices: dict[tuple[str, str], Array] = {}
        self.diagrams: dict[tuple[str, str], Any] = {}

    def add(self, run_id: str, condition: str, one: Said) -> dict[str, float]:
        """Take up what a run says under a condition; returns further metrics."""
        values: dict[str, float] = {}
        if self.confuses and one.classes is not None:
            self.matrices[run_id, condition] = confusion_matrix(one.targets, one.classes, self.kind.outputs)
        if self.calibrates and one.chances is not None:
            finite = bool(np.isfinite(one.chances).all())
            diagram = reliability(one.chances, one.targets) if finite else None
            values["expected_calibration_error"] = calibration_error(diagram) if diagram else np.nan
            values["largest_calibration_gap"] = largest_gap(diagram) if diagram else np.nan
            values["brier"] = brier(one.chances, one.targets)
            if diagram is not None:
                self.diagrams[run_id, condition] = diagram
        return values | {measure.name: measure(one.targets, one.given(measure.takes)) for measure in self.measures}

    def confusion(self) -> pd.DataFrame | None:
        """Columns run_id, condition, target, predicted, examples; None if not wanted."""
        if not self.confuses:
            return None
        names = [self.kind.name_of(at) for at in range(self.kind.outputs)]
        tables = [
            pd.DataFrame(
                {
                    **_key(key),
                    "target": np.repeat(names, len(names)),
                    "predicted": np.tile(names, len(names)),
                    "examples": matrix.reshape(-1),
                }
            )
            for key, matrix in self.matrices.items()
        ]
        return pd.concat(tables, ignore_index=True)

    def classes(self) -> pd.DataFrame | None:
        """Columns run_id, condition, class, precision, recall, f1, examples, predicted; None if not wanted."""
        if not self.confuses:
            return None
        names = [self.kind.name_of(at) for at in range(self.kind.outputs)]
        tables = [
            pd.DataFrame({**_key(key), "class": names, **of_classes(matrix)._asdict()})
            for key, matrix in self.matrices.items()
        ]
        return pd.concat(tables, ignore_index=True)

    def calibration(self) -> pd.DataFrame | None:
        """Columns run_id, condition, low, high, examples, confidence, accuracy: a row for each bin; None if not wanted."""
        if not self.calibrates:
            return None
        tables = [pd.DataFrame({**_key(key), **diagram._asdict()}) for key, diagram in self.diagrams.items()]
        empty = pd.DataFrame(columns=["run_id", "condition", "low", "high", "examples", "confidence", "accuracy"])
        return pd.concat(tables, ignore_index=True) if tables else empty


def _key(key: tuple[str, str]) -> Mapping[str, str]:
    return {"run_id": key[0], "condition": key[1]}


def check(kinds: Mapping[str, Kind], runs: Mapping[str, Run], confusion: bool, calibration: bool) -> Kind:
    """What all the runs say, by run_id.

    Raises RequestError if they say unlike things, or do not say what the tables need.
    """
    distinct = set(kinds.values())
    if len(distinct) > 1:
        raise RequestError(
            "the selected runs predict unlike things, which make no common tables: narrow them with --where"
        )
    (kind,) = distinct
    first = next(iter(runs.values()))
    option = "--confusion" if confusion else "--calibration"
    if (confusion or calibration) and (not kind.decides or kind.labels):
        raise RequestError(
            f"{option} is for classes that exclude each other, and task {type(first.task).__name__} has none"
        )
    if confusion and any(isinstance(run.task, IntegerCoded) for run in runs.values()):
        raise RequestError("--confusion: task IntegerCoded rounds a number, which may be no class: leave it out")
    if calibration and not kind.chances:
        raise RequestError(
            "--calibration: the loss and the output unit of the runs give no probabilities: leave it out"
        )
    return kind
