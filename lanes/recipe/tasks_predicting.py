"""Tasks: how a batch and a net's outputs make a loss per example, and which metrics measure them.

A task is a frozen description whose floats are traced; all tasks share one training step. `None` in a run means the
default for the data set. This file holds the base class. `lanes.recipe.tasks_classifying` holds the tasks that predict
classes, labels and tokens, `lanes.recipe.tasks_regressing` those that predict numbers, `lanes.recipe.tasks_reconstructing`
those without labels, and `lanes.recipe.tasks` the table of all.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax

from lanes.recipe.augmentations_noise import Corruption, MixesTargets
from lanes.recipe.tasks_comparing import as_compared, metrics_of, options_of, per_example, per_row
from losses import METRICS, kind_of, name_of
from losses.metrics import is_over_set, name_of_metric
from nets import Outputs

Array = jax.Array
Tree = Any
Again = Callable[[Array], Outputs]  # the net's outputs for the same examples, sampled with another key

DEFAULTS = {"real": "regress", "tokens": "next_token", "multilabel": "multilabel"}  # else "classify"


def default_name(data_task: str) -> str:
    """The name of the default task for a data set with targets of this kind."""
    return DEFAULTS.get(data_task, "classify")


class View(NamedTuple):
    """A batch as a task sees it: the net's inputs, what its outputs are compared with, and which entries count."""

    inputs: Array  # [B, …]
    target: Array  # [B, …]
    weight: Array | None = None  # of the target's shape, 0 or 1; None: all count


@runtime_checkable
class TaskLike(Protocol):
    """Any task, built in or user-defined; `Task` documents the methods."""

    players: ClassVar[tuple[str, ...]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics reported besides the loss."""
        ...

    def targets(self, data_task: str) -> tuple[str, ...]:
        """Kinds of targets; the loss must accept one of them."""
        ...

    def outputs(self, outputs: int, features: tuple[int, ...]) -> int:
        """How many outputs the net needs."""
        ...

    def check_data(self, run: Any, data: Any) -> None:
        """Raises ValueError, in one line, if the run's other fields or its data set do not fit the task."""
        ...

    def view(self, x: Array, y: Array, key: Array) -> View:
        """The batch as this task sees it."""
        ...

    def losses(self, run: Any, outputs: Outputs, view: View, train: bool) -> Array:
        """The data term of the loss per example [B]."""
        ...

    def paced(self, updates: Tree) -> Tree:
        """The updates to apply, from the optimizer's."""
        ...

    def measure(self, run: Any, outputs: Outputs, view: View, again: Again) -> dict[str, Array]:
        """Every metric per example [B], `loss` first."""
        ...


@runtime_checkable
class StatesDirections(Protocol):
    """A task that states for each of its own metrics whether higher is better."""

    @property
    def higher_is_better(self) -> Mapping[str, bool | None]:
        """Whether higher is better, by name of the metric; None: neither direction is."""
        ...


@runtime_checkable
class FitsData(Protocol):
    """A task that takes something from the training split."""

    def fitted(self, run: Any, data: Any) -> "TaskLike":
        """The task with what it takes; raises ValueError, in one line, where the data do not give it."""
        ...


def fitted_field() -> Any:
    """A field that `fitted` fills: no part of a description, and none for the user to set."""
    metadata = {"engine": True, "later": True}
    return dataclasses.field(default=None, repr=False, kw_only=True, metadata=metadata)


def later(default: Any) -> Any:
    """A keyword whose default stands in no description."""
    return dataclasses.field(default=default, kw_only=True, metadata={"later": True})


@dataclasses.dataclass(frozen=True)
class Task(TaskLike):
    """Base of the tasks: the target is the data set's own.

    Args:
        auxiliary_weight: weight of the losses of auxiliary heads, in training only (0.3 in GoogLeNet).
        corruption: noise on the inputs, as a description of `lanes.recipe.augmentations` (`MaskingNoise(0.3)`), or None. The
            net is to cope with it, so it acts in training and in evaluation, where the draw is the same for all runs
            and epochs.
    """

    auxiliary_weight: float = 0.3
    corruption: Any = None
    accepts: ClassVar[tuple[str, ...]] = ()  # the kinds of data-set targets that it is for
    # Subtrees of the parameters that each descend a loss of their own (`player_losses`).
    players: ClassVar[tuple[str, ...]] = ()
    # Whether higher is better, for those of the task's metrics that are not in METRICS.
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics reported besides the loss."""
        return ()

    # ---- checks ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises ValueError, in one line, for a field out of range."""
        if not (math.isfinite(self.auxiliary_weight) and self.auxiliary_weight >= 0):
            raise ValueError(f"auxiliary_weight={self.auxiliary_weight} of a task must be a finite number of 0 or more")
        if self.corruption is not None:
            if not isinstance(self.corruption, Corruption):
                raise ValueError(
                    f"corruption={self.corruption!r} of a task must be a description of lanes.recipe.augmentations, "
                    "such as MaskingNoise(0.3)"
                )
            self.corruption.check()

    def targets(self, data_task: str) -> tuple[str, ...]:
        """Kinds of targets (as in `losses.pairs.Kind.targets`); the loss must accept one of them.

        Raises ValueError, in one line, if the task is not for data with these targets.
        """
        if data_task not in self.accepts:
            raise ValueError(
                f"task {type(self).__name__} is for data with targets of kind {' or '.join(self.accepts)}, but the data "
                f"set's are {data_task}: use task {default_name(data_task)}"
            )
        return ("classes",) if data_task == "tokens" else (data_task,)

    def outputs(self, outputs: int, features: tuple[int, ...]) -> int:
        """How many outputs the net needs, from the number in the data set and the shape of an example."""
        del features
        return outputs

    def check_data(self, run: Any, data: Any) -> None:
        """Raises ValueError, in one line, if the run's other fields or its data set do not fit the task."""
        mixing = [type(one).__name__ for one in run.augment if isinstance(one, MixesTargets) and one.mixes_targets]
        kind = kind_of(run.loss)
        if mixing and data.task == "classes" and (kind is not None and kind.from_logits and not kind.smoothable):
            raise ValueError(
                f"augment has {mixing[0]}, which mixes classes, and loss {name_of(run.loss)} takes whole ones: use "
                "softmax_cross_entropy, or leave it out"
            )
        if self.corruption is not None:
            if data.task == "tokens" or data.train.x.dtype == "int32":
                raise ValueError(f"corruption of tokens has no meaning, and {data.name} holds tokens: set it to None")
            reason = self.corruption.accepts(tuple(data.train.x.shape[1:]))
            if reason is not None:
                raise ValueError(reason)

    # ---- inside the program --------------------------------------------------------------------------------------

    def view(self, x: Array, y: Array, key: Array) -> View:
        """The batch x [B, …], y [B, …] as this task sees it."""
        return View(self.corrupted(x, key), y)

    def corrupted(self, x: Array, key: Array) -> Array:
        """The inputs x [B, …] of the net, with the corruption applied."""
        return x if self.corruption is None else self.corruption.inputs(key, x)

    def losses(self, run: Any, outputs: Outputs, view: View, train: bool) -> Array:
        """The data term of the loss per example [B]; in training, with label smoothing and auxiliary heads."""
        out = self.data_term(run, outputs.prediction, view, train)
        if train:
            for auxiliary in outputs.auxiliary:
                out = out + self.auxiliary_weight * self.data_term(run, auxiliary, view, train)
        return out

    def data_term(self, run: Any, prediction: Array, view: View, train: bool) -> Array:
        """The run's loss per example [B] of one prediction [B, …]."""
        return per_example(run, prediction, view.target, train)

    def player_losses(self, player: str, outputs: Outputs) -> Array:
        """The loss per example [B] that this one of `players` descends."""
        raise NotImplementedError

    def paced(self, updates: Tree) -> Tree:
        """The updates to apply, from the optimizer's: rescaled where players have rates of their own."""
        return updates

    def measure(self, run: Any, outputs: Outputs, view: View, again: Again) -> dict[str, Array]:
        """Every metric per example [B], `loss` first; `again` reruns the net for metrics that need several samples."""
        del again
        return {"loss": self.losses(run, outputs, view, train=False), **self.table_metrics(run, outputs, view)}

    def compared(self, run: Any, outputs: Outputs, view: View) -> tuple[Array, Array]:
        """Predictions and targets [B, …] as metrics see them."""
        return as_compared(run, outputs.prediction), view.target

    def table_metrics(self, run: Any, outputs: Outputs, view: View) -> dict[str, Array]:
        """Per example [B]: the task's and the run's metrics from METRICS, and the user's own functions; none over a set."""
        prediction, target = self.compared(run, outputs, view)
        metrics = [metric for metric in (*metrics_of(self, run), *run.metrics) if not is_over_set(metric)]
        own = {name_of_metric(metric): metric for metric in metrics if not isinstance(metric, str)}
        named = {name: METRICS[name] for name in metrics if isinstance(name, str) and name in METRICS}
        values = {name: metric(prediction, target, **options_of(run, name)) for name, metric in named.items()}
        values |= {name: metric(prediction, target) for name, metric in own.items()}
        return {name: per_row(value) for name, value in values.items()}


__all__ = [
    "Again",
    "FitsData",
    "StatesDirections",
    "Task",
    "TaskLike",
    "View",
    "default_name",
    "fitted_field",
    "later",
]
