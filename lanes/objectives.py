"""Tasks: how a net's outputs and a batch make a loss per example, and which numbers tell how good they are.

A task is a frozen description over the same step. `None` in a run means the one that the data set's own task and the
loss call for.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from losses import METRICS, kind_of, one_hot, smooth, smooth_binary
from nets import Outputs

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Task:
    """What all tasks share. Subclasses say what the target is and how far the outputs are from it."""

    auxiliary_weight: float = 0.3

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names in METRICS that are reported beside the loss."""
        return ()

    def corrupt(self, x: Array, key: Array) -> Array:
        """The net's training input made from x [B, …]; x itself unless the task is to undo a corruption."""
        del key
        return x

    def target(self, x: Array, y: Array) -> Array:
        """What the prediction is compared with: y [B, …]."""
        del x
        return y

    def losses(self, run: Any, outputs: Outputs, x: Array, y: Array, train: bool) -> Array:
        """Data term per example [B]; in training with label smoothing and the auxiliary heads."""
        target = self.target(x, y)
        out = per_example(run, outputs.prediction, target, train)
        if train:
            for auxiliary in outputs.auxiliary:
                out = out + self.auxiliary_weight * per_example(run, auxiliary, target, train)
        return out

    def measure(self, run: Any, outputs: Outputs, x: Array, y: Array) -> dict[str, Array]:
        """Every metric per example [B], `loss` first."""
        target = self.target(x, y)
        names = dict.fromkeys((*self.metrics, *run.metrics))
        values = {name: _rows(METRICS[name](outputs.prediction, target)) for name in names}
        return {"loss": self.losses(run, outputs, x, y, train=False), **values}


@dataclasses.dataclass(frozen=True)
class Classify(Task):
    """One of K classes: y int [B]; or, from one logit, one of two: y float [B, 1]."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy",)


@dataclasses.dataclass(frozen=True)
class Regress(Task):
    """Real targets: y float [B, outputs]."""


def per_example(run: Any, prediction: Array, target: Array, train: bool) -> Array:
    """The run's loss of a prediction [B, …] per example [B], through the output unit where the loss does not hold it."""
    kind = kind_of(run.loss)
    if run.output is not None and not (kind and kind.from_logits):
        prediction = run.output(prediction)
    if train and not (isinstance(run.label_smoothing, float) and run.label_smoothing == 0):
        target = _smoothed(target, prediction, run.label_smoothing)
    return _rows(run.loss(prediction, target))


def _smoothed(target: Array, prediction: Array, alpha: Any) -> Array:
    """The target with its certainty lowered: over K classes, or between yes and no for one output or labels 0 and 1."""
    if jnp.issubdtype(target.dtype, jnp.integer):
        return smooth(one_hot(target, prediction.shape[-1]), alpha)
    return smooth_binary(target, alpha)


def _rows(values: Array) -> Array:
    """[B, …] as [B]: the mean over everything but the batch."""
    return values if values.ndim == 1 else jnp.mean(values.reshape(values.shape[0], -1), axis=1)


TASKS: dict[str, Task] = {
    "classify": Classify(),
    "regress": Regress(),
}


def default_task(data_task: str) -> Task:
    """The task that a data set's own task calls for."""
    return {"real": TASKS["regress"]}.get(data_task, TASKS["classify"])


__all__ = ["TASKS", "Classify", "Regress", "Task", "default_task", "per_example"]
