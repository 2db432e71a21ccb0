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
from lanes.recipe.tasks_predicting import Task, View, fitted_field, later
from losses import name_of
from nets import Outputs
from nets.abilities import ReadsBothWays

Array = jax.Array
BALANCED = "balanced"


@dataclasses.dataclass(frozen=True)
class Classify(Task):
    """One of K classes, y int [B]; one of two from a single output, y float [B, 1]; or a class per step, y int [B, T].

    `Classify(corruption=MaskingNoise(0.3))` is classification with missing inputs; a missing feature is 0, the mean of
    standardized inputs.

    Class weights multiply the loss of each example, in training and in evaluation, and are divided by their mean over the
    training examples. So the training loss is Σ_i w_i L_i / Σ_i w_i, and each other split's the mean of w_i L_i with the same
    weights; batches are plain means. Accuracy is not weighted. An example of mixed classes has the mean of their weights.

    Args:
        class_weights: one number for each class, or "balanced", which gives each class the same total, N / (K N_k).

    Reference: King and Zeng, 2001
    """

    class_weights: tuple[float, ...] | str | None = later(None)
    weights: tuple[float, ...] | None = fitted_field()
    accepts: ClassVar[tuple[str, ...]] = ("classes", "binary", "tokens")

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy",)

    def check(self) -> None:
        super().check()
        given = self.class_weights
        if isinstance(given, str) and given != BALANCED:
            raise ValueError(
                f"class_weights={given!r} of task classify must be numbers, one for each class, or {BALANCED!r}"
            )
        if not isinstance(given, tuple):
            return
        if not all(isinstance(one, (int, float)) and math.isfinite(one) and one >= 0 for one in given):
            raise ValueError(f"class_weights={given} of task classify must be finite numbers of 0 or more")
        if len(set(given)) < 2:
            raise ValueError(
                f"class_weights={given} of task classify are all equal, which changes nothing: leave them out"
            )

    def fitted(self, run: Any, data: Any) -> "Classify":
        """The task with its weights; raises ValueError for weights that the training classes do not fit."""
        del run
        if self.class_weights is None:
            return self if self.weights is None else dataclasses.replace(self, weights=None)
        classes = 2 if data.task == "binary" else data.outputs
        counts = np.bincount(np.asarray(data.train.y).reshape(-1).astype(np.int64), minlength=classes)
        if self.class_weights == BALANCED:
            if not counts.all():
                raise ValueError(
                    f"class_weights='balanced', and class {int(counts.argmin())} has no training example in {data.name}: give "
                    "a number for each class"
                )
            given = counts.sum() / (classes * counts)
        else:
            given = np.asarray(self.class_weights, np.float64)
        if len(given) != classes:
            raise ValueError(
                f"class_weights are {len(given)} numbers, and {data.name} has {classes} classes: give one for each"
            )
        mean = float(given @ counts) / counts.sum()
        if not mean > 0:
            raise ValueError(
                f"class_weights are 0 for each class that has a training example in {data.name}: give one of them more"
            )
        return dataclasses.replace(self, weights=tuple(float(one) / mean for one in given))

    def check_data(self, run: Any, data: Any) -> None:
        """Also raises ValueError for class weights of steps or without a loss, and a loss with another boundary than the rule."""
        super().check_data(run, data)
        own = getattr(run.rule, "boundary", None)
        if data.task == "binary" and name_of(run.loss) == "zero_one" and own not in (None, 0.0):
            raise ValueError(
                f"loss zero_one takes an output above 0 for class 1, and rule {type(run.rule).__name__} one above {own:.3g}: use "
                "loss squared_error"
            )
        if self.class_weights is None:
            return
        if data.task == "tokens":
            raise ValueError(
                f"class_weights weigh whole examples, and {data.name} has a class at each step: leave them out"
            )
        if run.rule.needs_outputs:
            raise ValueError(
                f"class_weights weigh the loss, and rule {type(run.rule).__name__} does not use it: use rule gradient"
            )

    def data_term(self, run: Any, prediction: Array, view: View, train: bool) -> Array:
        losses = super().data_term(run, prediction, view, train)
        return losses if self.weights is None else losses * _of_examples(jnp.asarray(self.weights), view.target)


def _of_examples(weights: Array, target: Array) -> Array:
    """The weight of each example [B]: of its class [B], of the mixed classes [B, K], or between those of 0 and 1, [B, 1]."""
    if target.ndim == 1:
        return weights[target]
    if target.shape[1] == 1:
        return weights[0] + (weights[1] - weights[0]) * target[:, 0]
    return target @ weights


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
