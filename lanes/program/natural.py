"""Nets that predict in the units of the data, where training sees other units."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from lanes.describe.runs import Run
from lanes.recipe.tasks_regressing import GaussianLikelihood, Regress
from losses import OUTPUT_UNITS, kind_of
from nets import Outputs, outputs_of


class InNaturalUnits(nn.Module):
    """A trained net, with the same variables, whose prediction is in the units of the data (`Regress.natural`).

    Attributes:
        net: gives raw outputs.
        run: the trained run.
    """

    net: nn.Module
    run: Run

    def setup(self) -> None:
        """Take the net's own variables, without a level of names for it."""
        nn.share_scope(self, self.net)

    def __call__(self, x: jax.Array, *, train: bool = False) -> Any:
        """The net's outputs, with the prediction in the units of the data."""
        result = self.net(x, train=train)
        prediction = self.run.task.natural(self.run, outputs_of(result).prediction)
        return dataclasses.replace(result, prediction=prediction) if isinstance(result, Outputs) else prediction


def predicted(run: Run, raw: jax.Array) -> jax.Array:
    """A net's raw outputs [B, …] as predictions: probabilities where the loss takes logits, targets in the units of the data.

    Otherwise what the output unit makes of them; of a loss of the user's own, the outputs as they are.
    """
    if isinstance(run.task, Regress):
        return run.task.natural(run, raw)
    kind = kind_of(run.loss)
    if kind is None or not kind.from_logits:
        return raw if run.output is None else run.output(raw)
    single = raw.shape[-1] == 1 and "sigmoid" in kind.units
    return OUTPUT_UNITS["sigmoid" if single else kind.units[0]](raw)


def in_natural_units(net: nn.Module, run: Run) -> nn.Module:
    """The net, wrapped if its raw outputs are not in the units of the data."""
    task = run.task
    wrapped = isinstance(task, GaussianLikelihood) or (isinstance(task, Regress) and task.units is not None)
    return InNaturalUnits(net, run) if wrapped else net
