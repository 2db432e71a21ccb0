"""Further metrics of a whole split that `lanes evaluate` measures: names of lanes' own, and functions of other libraries."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from lanes.describe.runs import Run
from lanes.errors import RequestError, unknown
from lanes.program.judging import TOP, decides, gives_probabilities
from lanes.recipe.tasks_classifying import MultiLabel
from losses.metrics import SET_TARGETS

TAKES = ("classes", "probabilities", "positive", "predictions")


@dataclasses.dataclass(frozen=True)
class Measure:
    """A function of all targets and predictions of a split that returns one number, as scikit-learn's metrics.

    Attributes:
        function: called as function(targets, predictions).
        takes: what its second argument is: "classes" [N] that are decided for (of labels, [N, K] of 0 and 1),
            "probabilities" [N, K], "positive" [N], the probability of class 1 of two, or "predictions" [N, D], targets in
            the units of the data ([N] if there is one). The steps of a series count as examples.
        name: of its column.
    """

    function: Callable[[np.ndarray, np.ndarray], Any]
    takes: str
    name: str

    def check(self, run: Run, outputs: int) -> None:
        """Raises RequestError for a run that does not give what the function takes."""
        reason = why_not(self.takes, run, outputs)
        if reason is not None:
            raise RequestError(f"--measure {self.takes}={self.name}: {reason}")

    def __call__(self, targets: np.ndarray, given: np.ndarray) -> float:
        """The metric.

        Raises RequestError if the function raises, or returns anything but a number.
        """
        try:
            value = self.function(targets, given)
        except Exception as error:  # whatever the function raises
            line = (str(error).strip().splitlines() or [""])[0]
            raise RequestError(
                f"--measure {self.name} raises {type(error).__name__}: {line}; it is called with targets "
                f"{list(targets.shape)} and {self.takes} {list(given.shape)}"
            ) from error
        if isinstance(value, (list, tuple)) or np.ndim(value) or not np.isscalar(np.asarray(value)[()]):
            raise RequestError(f"--measure {self.name} returns {type(value).__name__}: it must return one number")
        try:
            return float(value)
        except (TypeError, ValueError):
            raise RequestError(
                f"--measure {self.name} returns {type(value).__name__}: it must return one number"
            ) from None


def why_not(takes: str, run: Run, outputs: int) -> str | None:
    """Why a run does not give this, in words; None if it does."""
    task = type(run.task).__name__
    if takes == "predictions":
        return f"task {task} decides for classes; take classes or probabilities" if decides(run) else None
    if not decides(run):
        return f"task {task} predicts no classes; take predictions"
    if takes == "classes":
        return None
    if not gives_probabilities(run):
        return "the loss and the output unit of the runs give no probabilities; take classes"
    if takes == "positive" and (outputs > 2 or isinstance(run.task, MultiLabel)):
        return f"positive is the probability of class 1 of two, and there are {outputs}; take probabilities"
    return None


def split_measure(text: str) -> tuple[str, str]:
    """(what it takes, the function's name) of a text `TAKES=NAME`; ("", name) of a metric of lanes' own.

    Raises RequestError for anything else.
    """
    takes, equals, name = text.partition("=")
    if equals:
        if takes not in TAKES:
            raise unknown("argument of --measure", takes, TAKES)
        return takes, name
    if text in SET_TARGETS or (text.startswith(TOP) and text.removeprefix(TOP).isdecimal()):
        return "", text
    if ":" in text:
        raise RequestError(
            f"--measure is {text!r}: say what the function takes besides the targets, {'='.join(('classes', text))} for "
            "predicted classes, or probabilities=…, positive=… (of class 1 of two), predictions=…"
        )
    raise unknown("metric", text, [*SET_TARGETS, "top_5"])


def check_named(name: str, run: Run, targets: str, outputs: int) -> None:
    """Raise RequestError for a metric of lanes' own that a run on data of these targets does not have."""
    if name.startswith(TOP):
        k = int(name.removeprefix(TOP))
        if not decides(run) or targets not in ("classes", "tokens") or not 1 <= k <= outputs or outputs < 2:
            raise RequestError(f"--measure {name}: it is for 1 to K of K classes, and the runs have {outputs} outputs")
        return
    kinds = ("classes",) if targets == "tokens" else (targets,)
    if not set(kinds) & set(SET_TARGETS[name]) or (targets != "real" and not decides(run)):
        raise RequestError(f"--measure {name} is for targets of kind {' or '.join(SET_TARGETS[name])}")
    if name in ("auroc", "expected_calibration_error") and not gives_probabilities(run):
        raise RequestError(f"--measure {name}: the loss and the output unit of the runs give no probabilities")
