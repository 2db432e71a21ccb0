"""Tasks that predict numbers: their targets may be standardized, and their uncertainty predicted."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lanes.recipe.tasks_comparing import as_compared, per_row
from lanes.recipe.tasks_predicting import Task, View, fitted_field, later
from losses import LOSSES, OUTPUT_UNITS, GaussianNLL, kind_of, name_of
from nets import Outputs

Array = jax.Array
QUANTILE = 1.959964  # of the standard normal at 0.975


class Units(NamedTuple):
    """Mean and standard deviation of the training targets; hashable.

    Attributes:
        shape: of an example's target.
        mean, deviation: one number for each entry of it; the deviation of a constant is 1.
    """

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation, float32 of the shape of a batch of one target."""
        mean, deviation = (np.asarray(part, np.float32) for part in (self.mean, self.deviation))
        return mean.reshape(1, *self.shape), deviation.reshape(1, *self.shape)

    def standardized(self, y: Array) -> Array:
        """Targets [B, …] in standard deviations from their mean."""
        mean, deviation = self.arrays
        return (y.astype(jnp.float32) - mean) / deviation

    def original(self, y: Array) -> Array:
        """The inverse of `standardized`."""
        mean, deviation = self.arrays
        return y * deviation + mean


@dataclasses.dataclass(frozen=True)
class Regress(Task):
    """Real targets: y float [B, outputs].

    With `standardize` the net predicts (y - mean) / deviation, of the training split and for each target apart, and the
    loss is in these units. Metrics, `evaluate` and the net that `lanes.restore` returns are in the units of the data. A
    target that is constant in training is centred only.

    Args:
        standardize: whether the net predicts standardized targets.
    """

    standardize: bool = later(False)
    units: Units | None = fitted_field()
    accepts: ClassVar[tuple[str, ...]] = ("real", "binary", "multilabel")

    def fitted(self, run: Any, data: Any) -> "Regress":
        """The task with the units of the training targets, if it standardizes them."""
        del run
        if not self.standardize:
            return self if self.units is None else dataclasses.replace(self, units=None)
        mean, deviation = data.target_scale()
        units = Units(mean.shape, *(tuple(map(float, part.reshape(-1))) for part in (mean, deviation)))
        return dataclasses.replace(self, units=units)

    def check_data(self, run: Any, data: Any) -> None:
        """Also raises ValueError for a loss or an output unit that standardized targets have no meaning for."""
        super().check_data(run, data)
        if not self.standardize:
            return
        kind = kind_of(run.loss)
        if kind is not None and "real" not in kind.targets:
            raise ValueError(
                f"loss {name_of(run.loss)} is for targets of 0 and 1, and standardize=True of the task makes them other "
                "numbers: leave it out, or use squared_error"
            )
        if run.output is not None and run.output is not OUTPUT_UNITS["identity"]:
            raise ValueError(
                "output bounds what the net can predict, and standardize=True of the task makes the targets negative and "
                "positive numbers without bounds: leave one of them out"
            )

    def view(self, x: Array, y: Array, key: Array) -> View:
        return View(self.corrupted(x, key), y if self.units is None else self.units.standardized(y))

    def natural(self, run: Any, prediction: Array) -> Array:
        """The net's raw outputs [B, …] as predictions in the units of the data."""
        return self.original(as_compared(run, prediction))

    def original(self, y: Array) -> Array:
        """Targets [B, …], or predictions of them, as the loss sees them, in the units of the data."""
        return y if self.units is None else self.units.original(y)

    def compared(self, run: Any, outputs: Outputs, view: View) -> tuple[Array, Array]:
        """Predictions and targets [B, …] in the units of the data."""
        return self.original(as_compared(run, outputs.prediction)), self.original(view.target)


@dataclasses.dataclass(frozen=True)
class GaussianLikelihood(Regress):
    """Real targets with their uncertainty: a mean and a variance for each, trained by the Gaussian likelihood.

    The net has two outputs for each target and the loss is `gaussian_nll`. Besides the loss it reports `nll`, the same in
    the units of the data (it differs by Σ log deviation), the `mean_squared_error` of the means, and `coverage_95`, the
    share of targets within 1.96 standard deviations of their means, 0.95 if the uncertainty is right. The net that
    `lanes.restore` returns gives the means, then the standard deviations, [B, 2 D]. Metrics of one's own see the means.

    Args:
        standardize: whether the net predicts standardized targets.

    Formula: L = Σ_d ½ (log σ_d² + (y_d - μ_d)² / σ_d² + log 2π)
    Reference: Nix and Weigend, 1994
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"nll": False, "coverage_95": None}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("nll", "mean_squared_error", "coverage_95")

    def with_loss(self, loss: Any) -> Any:
        """The run's loss, `gaussian_nll` if it is left at its default.

        Raises ValueError for any other.
        """
        if isinstance(loss, GaussianNLL):
            return loss
        if loss is not LOSSES["softmax_cross_entropy"]:
            name = name_of(loss) or getattr(loss, "__name__", type(loss).__name__)
            raise ValueError(f"task gaussian_likelihood has the loss gaussian_nll, not {name}: leave loss out")
        return LOSSES["gaussian_nll"]

    def outputs(self, outputs: int, features: tuple[int, ...]) -> int:
        del features
        return 2 * outputs

    def check_data(self, run: Any, data: Any) -> None:
        """Also raises ValueError for targets that are not a row of numbers for each example, and rules that compare outputs."""
        super().check_data(run, data)
        if run.rule.needs_outputs:
            raise ValueError(
                f"rule {type(run.rule).__name__} compares each output with a target, and task gaussian_likelihood has two "
                "outputs for each: use rule gradient"
            )
        if data.train.y.ndim != 2:
            raise ValueError(
                f"task gaussian_likelihood needs targets [N, D], and those of {data.name} are {list(data.train.y.shape)}: "
                "flatten them"
            )

    def natural(self, run: Any, prediction: Array) -> Array:
        """Means, then standard deviations, [B, 2 D]."""
        mean, log_variance = run.loss.moments(prediction)
        deviation = jnp.exp(0.5 * log_variance)
        deviation = deviation if self.units is None else deviation * self.units.arrays[1]
        return jnp.concatenate([self.original(mean), deviation], axis=-1)

    def compared(self, run: Any, outputs: Outputs, view: View) -> tuple[Array, Array]:
        """The means and the targets [B, D]."""
        mean, _ = run.loss.moments(outputs.prediction)
        return self.original(mean), self.original(view.target)

    def table_metrics(self, run: Any, outputs: Outputs, view: View) -> dict[str, Array]:
        mean, log_variance = run.loss.moments(outputs.prediction)
        inside = jnp.abs(view.target - mean) <= QUANTILE * jnp.exp(0.5 * log_variance)
        per_unit = 0.0 if self.units is None else sum(map(math.log, self.units.deviation))
        return {
            "nll": self.losses(run, outputs, view, train=False) + per_unit,
            "coverage_95": per_row(inside.astype(mean.dtype)),
            **super().table_metrics(run, outputs, view),
        }


__all__ = ["GaussianLikelihood", "Regress", "Units"]
