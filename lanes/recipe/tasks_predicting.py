"""Tasks: how a batch and a net's outputs make a loss per example, and which numbers tell how good they are.

A task is a frozen description over the same step; its floats are traced. `None` in a run means the one that the data
set's own task calls for. This file holds what all tasks share and those that predict the data set's targets;
`lanes.recipe.tasks_reconstructing` those that predict the input; `TASKS` is the table of all.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from lanes.recipe.augmentations_noise import Corruption
from lanes.recipe.tasks_comparing import as_compared, per_example, per_row, threshold
from losses import METRICS
from losses.metrics import name_of_metric
from nets import Outputs
from nets.abilities import ReadsBothWays

Array = jax.Array
Tree = Any
Again = Callable[[Array], Outputs]  # the same examples through the net again, with another key for what it samples

THRESHOLDED = ("accuracy", "label_accuracy", "exact_match")  # metrics that need to know where a yes begins


class View(NamedTuple):
    """A batch as a task sees it: what goes into the net, what it is compared with, and which entries count."""

    inputs: Array  # [B, …]
    target: Array  # [B, …]
    weight: Array | None = None  # of the target's shape, 0 or 1; None: all count


@runtime_checkable
class TaskLike(Protocol):
    """Any task, ours or the user's own; `Task` says what each part is for."""

    players: ClassVar[tuple[str, ...]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what is reported beside the loss."""
        ...

    def targets(self, data_task: str) -> tuple[str, ...]:
        """Kinds of targets that the loss may see."""
        ...

    def outputs(self, outputs: int, features: tuple[int, ...]) -> int:
        """Outputs that a net needs."""
        ...

    def check_data(self, run: Any, data: Any) -> None:
        """Raises ValueError, in one line, where the run's other fields or its data set do not fit the task."""
        ...

    def view(self, x: Array, y: Array, key: Array) -> View:
        """The batch as this task sees it."""
        ...

    def losses(self, run: Any, outputs: Outputs, view: View, train: bool) -> Array:
        """Data term per example [B]."""
        ...

    def paced(self, updates: Tree) -> Tree:
        """The optimizer's updates as they are applied."""
        ...

    def measure(self, run: Any, outputs: Outputs, view: View, again: Again) -> dict[str, Array]:
        """Every metric per example [B], `loss` first."""
        ...


@runtime_checkable
class StatesDirections(Protocol):
    """A task with metrics of its own that says of each whether higher is better."""

    @property
    def higher_is_better(self) -> Mapping[str, bool]:
        """By name of the metric."""
        ...


@dataclasses.dataclass(frozen=True)
class Task(TaskLike):
    """What all tasks share: the target is the data set's own.

    Args:
        auxiliary_weight: of the losses of auxiliary heads in training, beside the main one (0.3 in GoogLeNet).
        corruption: what is done to the inputs, as a description of `lanes.recipe.augmentations` (`MaskingNoise(0.3)`): the net
            is to succeed in spite of it, so it acts in training and in evaluation, where the draw is the same for all
            runs and epochs. None: nothing.
    """

    auxiliary_weight: float = 0.3
    corruption: Any = None
    accepts: ClassVar[tuple[str, ...]] = ()  # tasks of data sets that it is for
    # Parts of the parameters that have losses of their own (`player_losses`), each descending only its own.
    players: ClassVar[tuple[str, ...]] = ()
    # Of the task's metrics that METRICS does not have: whether higher is better, by name.
    higher_is_better: ClassVar[Mapping[str, bool]] = {}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what is reported beside the loss."""
        return ()

    # ---- what fits what ------------------------------------------------------------------------------------------

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
        """Kinds of targets that the loss may see (names of `losses.pairs.Kind.targets`).

        Raises ValueError, in one line, where the task is not for a data set of this task.
        """
        if data_task not in self.accepts:
            raise ValueError(
                f"task {_name(self)} is for data with targets of kind {' or '.join(self.accepts)}, but the data set's "
                f"are {data_task}: use task {_name(default_task(data_task))}"
            )
        return ("classes",) if data_task == "tokens" else (data_task,)

    def outputs(self, outputs: int, features: tuple[int, ...]) -> int:
        """Outputs that a net needs, from the data set's own number and the shape of an example."""
        del features
        return outputs

    def check_data(self, run: Any, data: Any) -> None:
        """Raises ValueError, in one line, where the run's other fields or its data set do not fit the task."""
        del run
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
        """The net's inputs."""
        return x if self.corruption is None else self.corruption.inputs(key, x)

    def losses(self, run: Any, outputs: Outputs, view: View, train: bool) -> Array:
        """Data term per example [B]; in training with label smoothing and the auxiliary heads."""
        out = self.data_term(run, outputs.prediction, view, train)
        if train:
            for auxiliary in outputs.auxiliary:
                out = out + self.auxiliary_weight * self.data_term(run, auxiliary, view, train)
        return out

    def data_term(self, run: Any, prediction: Array, view: View, train: bool) -> Array:
        """The run's loss of one prediction per example [B]."""
        return per_example(run, prediction, view.target, train)

    def player_losses(self, player: str, outputs: Outputs) -> Array:
        """The loss per example [B] that one of `players` descends."""
        raise NotImplementedError

    def paced(self, updates: Tree) -> Tree:
        """The optimizer's updates as they are applied: where players have rates of their own."""
        return updates

    def measure(self, run: Any, outputs: Outputs, view: View, again: Again) -> dict[str, Array]:
        """Every metric per example [B], `loss` first; `again` is for those that need several samples."""
        del again
        return {"loss": self.losses(run, outputs, view, train=False), **self.table_metrics(run, outputs, view)}

    def table_metrics(self, run: Any, outputs: Outputs, view: View) -> dict[str, Array]:
        """Metrics of METRICS, the task's and the run's, and the user's own functions, per example [B]."""
        prediction = as_compared(run, outputs.prediction)
        own = {name_of_metric(metric): metric for metric in run.metrics if not isinstance(metric, str)}
        named = {
            name: METRICS[name] for name in (*self.metrics, *run.metrics) if isinstance(name, str) and name in METRICS
        }
        knobs = {name: {"threshold": threshold(run)} if name in THRESHOLDED else {} for name in named}
        values = {name: metric(prediction, view.target, **knobs[name]) for name, metric in named.items()}
        values |= {name: metric(prediction, view.target) for name, metric in own.items()}
        return {name: per_row(value) for name, value in values.items()}


@dataclasses.dataclass(frozen=True)
class Classify(Task):
    """One of K classes, y int [B]; or, from one output, one of two, y float [B, 1]; or classes per step, y int [B, T].

    With a `corruption` it is classification with missing inputs: `Classify(corruption=MaskingNoise(0.3))`; a feature
    that is missing is 0, the mean of standardized inputs.
    """

    accepts: ClassVar[tuple[str, ...]] = ("classes", "binary", "tokens")

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy",)


@dataclasses.dataclass(frozen=True)
class MultiLabel(Task):
    """K labels that do not exclude each other: y float [B, K] of 0 and 1."""

    accepts: ClassVar[tuple[str, ...]] = ("multilabel", "binary")

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("label_accuracy", "exact_match")


@dataclasses.dataclass(frozen=True)
class Regress(Task):
    """Real targets: y float [B, outputs]."""

    accepts: ClassVar[tuple[str, ...]] = ("real", "binary", "multilabel")


@dataclasses.dataclass(frozen=True)
class IntegerCoded(Task):
    """Classes coded as the integers 0, 1, 2, … and predicted by one number, the nearest integer being the answer.

    The coding imposes an order that classes do not have; it is here to be compared with one-hot targets.
    """

    accepts: ClassVar[tuple[str, ...]] = ("classes",)

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy",)

    def targets(self, data_task: str) -> tuple[str, ...]:
        super().targets(data_task)
        return ("real",)

    def outputs(self, outputs: int, features: tuple[int, ...]) -> int:
        del outputs, features
        return 1

    def view(self, x: Array, y: Array, key: Array) -> View:
        return View(self.corrupted(x, key), y.astype(jnp.float32)[:, None])

    def table_metrics(self, run: Any, outputs: Outputs, view: View) -> dict[str, Array]:
        right = jnp.round(as_compared(run, outputs.prediction)) == view.target
        return {"accuracy": per_row(right.astype(jnp.float32))}


@dataclasses.dataclass(frozen=True)
class NextToken(Task):
    """The next token at every step: tokens x [B, T], y [B, T], logits [B, T, K] of a net that looks at the past only.

    The loss is the mean over the T steps, in nats per token; `bits` is the same in bits. Perplexity is e^loss.
    """

    accepts: ClassVar[tuple[str, ...]] = ("tokens",)
    higher_is_better: ClassVar[Mapping[str, bool]] = {"bits": False}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy", "bits")

    def check_data(self, run: Any, data: Any) -> None:
        """A bidirectional net would read the answers where the targets are the inputs one step later."""
        super().check_data(run, data)
        if not (isinstance(run.net, ReadsBothWays) and run.net.bidirectional):
            return
        x, y = (np.asarray(part[:8]) for part in (data.train.x, data.train.y))
        if x.shape == y.shape and np.array_equal(x[:, 1:], y[:, :-1]):
            raise ValueError(
                f"net.bidirectional is True and the targets of {data.name} are its inputs one step later, which a net "
                "that reads backwards sees: set it to False"
            )

    def data_term(self, run: Any, prediction: Array, view: View, train: bool) -> Array:
        if prediction.shape[:-1] != view.target.shape:
            raise ValueError(
                f"the next token needs logits of every step [B, T, K], got {prediction.shape} for targets "
                f"{view.target.shape}: use head='each' in a recurrent net"
            )
        return super().data_term(run, prediction, view, train)

    def table_metrics(self, run: Any, outputs: Outputs, view: View) -> dict[str, Array]:
        nats = per_example(run, outputs.prediction, view.target, train=False)
        return {**super().table_metrics(run, outputs, view), "bits": nats / math.log(2)}


def _name(task: Task) -> str:
    return next((name for name, entry in PREDICTING.items() if type(entry) is type(task)), type(task).__name__.lower())


PREDICTING: dict[str, Task] = {
    "classify": Classify(),
    "multilabel": MultiLabel(),
    "regress": Regress(),
    "integer_coded": IntegerCoded(),
    "next_token": NextToken(),
}

DEFAULTS = {"real": "regress", "tokens": "next_token", "multilabel": "multilabel"}


def default_task(data_task: str) -> Task:
    """The task that a data set's own task calls for."""
    return PREDICTING[DEFAULTS.get(data_task, "classify")]


__all__ = [
    "PREDICTING",
    "Again",
    "Classify",
    "IntegerCoded",
    "MultiLabel",
    "NextToken",
    "Regress",
    "Task",
    "View",
    "default_task",
]
