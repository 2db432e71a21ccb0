"""Whether higher or lower is better: as each metric states it, never guessed from its name."""

from collections.abc import Iterable, Mapping

from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.recipe.tasks import TASKS
from lanes.recipe.tasks_predicting import StatesDirections
from losses import METRICS, SET_METRICS, Metric
from losses.metrics import name_of_metric

# Whether higher is better, by a metric's name without the split; None: not stated, or neither direction is better.
Directions = dict[str, bool | None]

SPLITS = ("train_", "valid_", "test_")
LOWER = ("loss", "penalty", "batch_loss", "seconds")  # measured in every run
BUILT_IN: Directions = {
    **dict.fromkeys(LOWER, False),
    **{name: metric.higher_is_better for name, metric in {**METRICS, **SET_METRICS}.items()},
    **{name: higher for task in TASKS.values() for name, higher in task.higher_is_better.items()},
}


def own_directions(runs: Iterable[Run]) -> Directions:
    """The directions that the user's own metrics and tasks state; None for a bare function.

    Raises RequestError if two metrics of the same name disagree.
    """
    out: Directions = {}
    seen: dict[tuple[int, int], Run] = {}  # runs share few values; holding the run keeps their ids from being reused
    for run in runs:
        key = id(run.task), id(run.metrics)
        if key in seen:
            continue
        seen[key] = run
        stated = run.task.higher_is_better if isinstance(run.task, StatesDirections) else {}
        out = merged(out, {name: higher for name, higher in stated.items() if BUILT_IN.get(name) is not higher})
        for metric in run.metrics:
            if not isinstance(metric, str):
                higher = metric.higher_is_better if isinstance(metric, Metric) else None
                out = merged(out, {name_of_metric(metric): higher})
    return out


def merged(first: Mapping[str, bool | None], second: Mapping[str, bool | None]) -> Directions:
    """Both tables in one; a stated direction wins over None.

    Raises RequestError if they disagree with each other or with the built-in metric of the same name.
    """
    out = dict(first)
    for name, higher in second.items():
        stated = [value for value in (out.get(name), BUILT_IN.get(name)) if value is not None]
        if higher is not None and (not higher) in stated:
            raise RequestError(
                f"metric {name} has higher_is_better={higher} here and {not higher} elsewhere: "
                "give the two functions different names"
            )
        out[name] = out.get(name) if higher is None else higher
    return out


def direction(metric: str, own: Mapping[str, bool | None]) -> bool | None:
    """Whether higher is better in a column (`valid_accuracy`); None if not stated, or if neither direction is better.

    Args:
        metric: name of the column.
        own: the directions of the user's own metrics, by name.
    """
    return {**BUILT_IN, **own}.get(_without_split(metric))


def ranking_direction(metric: str, own: Mapping[str, bool | None]) -> bool:
    """`direction` of a metric that ranks runs.

    Raises RequestError if it has none.
    """
    higher = direction(metric, own)
    if higher is None:
        name = _without_split(metric)
        if name in BUILT_IN and name not in own:
            raise RequestError(
                f"metric {metric} cannot rank runs, neither direction is better: use another, such as valid_loss"
            )
        raise RequestError(
            f"metric {name} does not say whether higher is better: write "
            f"metrics=(Metric({name}, higher_is_better=False),), or True if higher is"
        )
    return higher


def _without_split(metric: str) -> str:
    return next((metric.removeprefix(split) for split in SPLITS if metric.startswith(split)), metric)
