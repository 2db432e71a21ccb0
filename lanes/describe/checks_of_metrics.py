"""Checks of a run's metrics, and of the one that it monitors."""

from collections.abc import Sequence

from lanes.data.loading import Dataset
from lanes.describe import directions, runs
from lanes.describe.runs import Run
from lanes.errors import RequestError, unknown
from lanes.recipe.tasks_comparing import no_probabilities
from losses import METRICS, Metric
from losses.metrics import SET_TARGETS, name_of_metric


def check_metrics(run: Run) -> None:
    """Raise RequestError for what is no metric, and for a name that every run's columns have."""
    for metric in run.metrics:
        if isinstance(metric, Metric):
            try:
                metric.check()
            except ValueError as error:
                raise RequestError(str(error)) from None
        elif isinstance(metric, str):
            if metric not in METRICS:
                raise unknown("metric", metric, METRICS)
        elif not hasattr(metric, "__name__"):
            raise RequestError(
                f"metric {metric!r} is neither a name nor a function: give a name from METRICS or a named function"
            )
        if not isinstance(metric, str) and name_of_metric(metric) in ("loss", "penalty"):
            raise RequestError(
                f"metric {name_of_metric(metric)} has the name of a column that every run has: give the function another name"
            )


def check_targets(run: Run, targets: Sequence[str]) -> None:
    """Raise RequestError for a built-in metric over a set that these targets, or the predictions, have no meaning for."""
    for name in run.metrics:
        accepted = SET_TARGETS.get(name) if isinstance(name, str) else None
        if accepted is not None and not set(targets) & set(accepted):
            fitting = [other for other, kinds in SET_TARGETS.items() if set(targets) & set(kinds)]
            raise RequestError(
                f"metric {name} is for targets of kind {' or '.join(accepted)}, and these are {' or '.join(targets)}: use "
                f"{', '.join(fitting) or 'another'}"
            )
        if name == "expected_calibration_error" and (reason := no_probabilities(run)) is not None:
            raise RequestError(f"metric {name} needs probabilities, and {reason}")


def check_monitor(run: Run, data: Dataset) -> None:
    """Raise RequestError for a monitored metric that is not measured each epoch, or has no direction."""
    monitor = run.monitor
    if monitor is None:
        return
    if data.valid is None:
        raise RequestError(
            f"monitor is {monitor!r}, and {data.name} has no validation split here: set valid_fraction, or leave it out"
        )
    names = [f"valid_{name}" for name in runs.metric_names(run)]
    split = next((split for split in directions.SPLITS if monitor.startswith(split)), "")
    name = monitor.removeprefix(split)
    if monitor not in names and f"valid_{name}" in names:
        raise RequestError(
            f"monitor is {monitor!r}: runs are judged each epoch, on the validation split; write 'valid_{name}'"
        )
    if monitor not in names and name in METRICS:
        raise RequestError(f"monitor is {monitor!r}, which this run does not measure: add {name!r} to metrics")
    if monitor not in names:
        raise unknown("monitored metric", monitor, names)
    directions.ranking_direction(monitor, directions.own_directions([run]))
