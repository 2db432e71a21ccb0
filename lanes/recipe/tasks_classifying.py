"""Tasks that predict classes, labels and tokens."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lanes.recipe.augmentations_noise import MixesTargets
from lanes.recipe.tasks_comparing import as_compared, per_example, per_row
from lanes.recipe.tasks_predicting import Task, View
from nets import Outputs
from nets.abilities import ReadsBothWays

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Classify(Task):
    """One of K classes, y int [B]; one of two from a single output, y float [B, 1]; or a class per step, y int [B, T].

    `Classify(corruption=MaskingNoise(0.3))` is classification with missing inputs; a missing feature is 0, the mean of
    standardized inputs.
    """

    accepts: ClassVar[tuple[str, ...]] = ("classes", "binary", "tokens")

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy",)


@dataclasses.dataclass(frozen=True)
class MultiLabel(Task):
    """K non-exclusive labels: y float [B, K] of 0 and 1."""

    accepts: ClassVar[tuple[str, ...]] = ("multilabel", "binary")

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("label_accuracy", "exact_match")


@dataclasses.dataclass(frozen=True)
class IntegerCoded(Task):
    """Classes coded as the integers 0, 1, 2, … and predicted by one number, rounded to the nearest integer.

    The coding imposes an order that classes do not have; it is included for comparison with one-hot targets.
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

    def check_data(self, run: Any, data: Any) -> None:
        """Also raises ValueError for an augmentation that mixes classes: a code between two classes is a third."""
        super().check_data(run, data)
        if any(isinstance(one, MixesTargets) and one.mixes_targets for one in run.augment):
            raise ValueError("augment mixes classes, and task integer_coded has one number for each: use task classify")

    def view(self, x: Array, y: Array, key: Array) -> View:
        return View(self.corrupted(x, key), y.astype(jnp.float32)[:, None])

    def table_metrics(self, run: Any, outputs: Outputs, view: View) -> dict[str, Array]:
        right = jnp.round(as_compared(run, outputs.prediction)) == view.target
        return {"accuracy": per_row(right.astype(jnp.float32))}


@dataclasses.dataclass(frozen=True)
class NextToken(Task):
    """The next token at every step: tokens x [B, T], y [B, T], logits [B, T, K] of a net that sees only the past.

    The loss is the mean over the T steps, in nats per token; `bits` is the same in bits. Perplexity is e^loss.
    """

    accepts: ClassVar[tuple[str, ...]] = ("tokens",)
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"bits": False}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy", "bits")

    def check_data(self, run: Any, data: Any) -> None:
        """Also raises ValueError for a bidirectional net if the targets are its inputs one step later: it would read them."""
        super().check_data(run, data)
        if not (isinstance(run.net, ReadsBothWays) and run.net.bidirectional):
            return
        x, y = (np.asarray(part[:8]) for part in (data.train.x, data.train.y))
        if x.shape == y.shape and np.array_equal(x[:, 1:], y[:, :-1]):
            raise ValueError(
                f"net.bidirectional is True and the targets of {data.name} are its inputs one step later, which a net "
                "that reads backwards can see: set it to False"
            )

    def data_term(self, run: Any, prediction: Array, view: View, train: bool) -> Array:
        if prediction.shape[:-1] != view.target.shape:
            raise ValueError(
                f"task next_token needs logits for every step [B, T, K], got {prediction.shape} for targets "
                f"{view.target.shape}: use head='each' in a recurrent net"
            )
        return super().data_term(run, prediction, view, train)

    def table_metrics(self, run: Any, outputs: Outputs, view: View) -> dict[str, Array]:
        nats = per_example(run, outputs.prediction, view.target, train=False)
        return {**super().table_metrics(run, outputs, view), "bits": nats / math.log(2)}


__all__ = ["Classify", "IntegerCoded", "MultiLabel", "NextToken"]
