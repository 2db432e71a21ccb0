"""The mean of predictions, over lanes or dropout masks.

Probabilities are averaged: those of softmax or sigmoid if the loss takes logits, otherwise the values of the output unit.
The mean is computed in logarithms, so that a probability that is tiny for all members stays above zero.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from lanes.describe.encoding import encode
from lanes.describe.runs import Run
from lanes.recipe.tasks import PREDICTING
from losses import OUTPUT_UNITS, GaussianNLL, kind_of

Array = jax.Array
Parts = tuple[Array, ...]
INVERTED = ("softmax", "sigmoid", "tanh", "step")  # units whose mean is turned back into raw outputs


@dataclasses.dataclass(frozen=True)
class Mixture:
    """How predictions of an output unit are averaged: `parts` are summed over all members, then turned by `prediction`.

    Attributes:
        unit: its name in OUTPUT_UNITS, or the user's own function.
    """

    unit: str | Callable[[Array], Array]

    @property
    def _logarithmic(self) -> bool:
        return self.unit in ("softmax", "sigmoid")

    def parts(self, raw: Array) -> Parts:
        """What a member adds to the sum, from its raw outputs [N, …]: log-probabilities, or the prediction itself."""
        if self.unit == "softmax":
            return (jax.nn.log_softmax(raw, axis=-1),)
        if self.unit == "sigmoid":
            return jax.nn.log_sigmoid(raw), jax.nn.log_sigmoid(-raw)
        return ((OUTPUT_UNITS[self.unit] if isinstance(self.unit, str) else self.unit)(raw),)

    def add(self, a: Array, b: Array) -> Array:
        """The sum of two parts; logarithmic parts are added as probabilities."""
        return jnp.logaddexp(a, b) if self._logarithmic else a + b

    def mean(self, total: Parts, members: int) -> Parts:
        """The parts of the mean, from the sum of the members' parts."""
        return tuple(part - math.log(members) if self._logarithmic else part / members for part in total)

    def prediction(self, mean: Parts) -> Array:
        """The raw outputs that the unit maps to the mean; for a unit without an inverse, the mean itself."""
        if self.unit == "sigmoid":
            return mean[0] - mean[1]
        if self.unit == "tanh":
            return jnp.arctanh(mean[0])
        return mean[0] - 0.5 if self.unit == "step" else mean[0]  # the majority vote of steps is a step at 0.5

    def judged(self, run: Run) -> Run:
        """The run used to measure `prediction`: without its output unit if the mean already includes it."""
        return run if self.unit in INVERTED else dataclasses.replace(run, output=None)


@dataclasses.dataclass(frozen=True)
class Moments(Mixture):
    """The Gaussian with the mean and the variance of a mixture of Gaussians (Lakshminarayanan, Pritzel and Blundell, 2017).

    Attributes:
        loss: how predictions stand for a mean and a variance.
    """

    loss: GaussianNLL = GaussianNLL()

    def parts(self, raw: Array) -> Parts:
        """Mean, and mean square in a member's own deviations from it."""
        mean, log_variance = self.loss.moments(raw)
        return mean, jnp.exp(log_variance) + mean**2

    def prediction(self, mean: Parts) -> Array:
        """Predictions with these moments."""
        smallest = jnp.finfo(mean[0].dtype).eps * mean[1]
        return self.loss.predictions(mean[0], jnp.maximum(mean[1] - mean[0] ** 2, smallest))


def mixture_of(run: Run, outputs: int) -> Mixture | None:
    """How a run's predictions are averaged; None for a task that does not predict the targets of its data set."""
    if type(run.task) not in map(type, PREDICTING.values()):
        return None
    if isinstance(run.loss, GaussianNLL):
        return Moments("identity", run.loss)
    kind = kind_of(run.loss)
    if kind is not None and kind.from_logits:
        single = outputs == 1 and "sigmoid" in kind.units
        return Mixture("sigmoid" if single else kind.units[0])
    if run.output is None:
        return Mixture("identity")
    return Mixture(next((name for name, unit in OUTPUT_UNITS.items() if unit is run.output), run.output))


def comparable(run: Run, split: str) -> str:
    """A key that is equal for runs whose predictions may be averaged: same examples, task, loss and output unit."""
    names = ("data", "task", "loss", "output", *(() if split == "test" else ("valid_fraction", "train_examples")))
    return str([encode(getattr(run, name)) for name in names])
