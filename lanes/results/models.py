"""A trained run's net and loss as functions of parameters and examples."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lanes.analysis.layers import marked
from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.program.scheduled import at_full
from lanes.program.step import Setup, apply, stream, weight_penalty
from lanes.recipe.tasks_predicting import View
from nets import Outputs

Tree = Any


@dataclasses.dataclass(frozen=True)
class Model:
    """A run's net and loss; inside a program the run's numbers are traced.

    Attributes:
        setup: what is static about the run.
        run: the run.
        rest: the net's variables besides its parameters.
    """

    setup: Setup
    run: Run
    rest: Tree

    def forward(self, params: Tree, x: Array) -> Outputs:
        """What the net makes of inputs as it sees them, [B, …], in evaluation mode."""
        return self._apply(self.run, params, x)

    def marked(self, params: Tree, x: Array) -> Array:
        """The net's prediction, computed so that `lanes.analysis.layers` finds the run's activation, whatever it is."""
        run = self.run
        run = dataclasses.replace(run, activation=marked(run.activation)) if self.takes_activation else run
        return self._apply(run, params, x).prediction

    def sown(self, params: Tree, x: Array) -> list[Array]:
        """The hidden activations that the net sows (`nets.outputs`)."""
        with jax.default_matmul_precision(self.run.matmul_precision):
            keys = {"sample": stream(self.run.seed, "sample")}
            return apply(self.setup, self.run, params, self.rest, x, train=False, keys=keys, capture=True)[2]

    @property
    def takes_activation(self) -> bool:
        """Whether the run's activation is in the net."""
        return "activation" in {field.name for field in dataclasses.fields(self.run.net)}

    def view(self, x: Array, y: Array) -> View:
        """The examples as the task sees them in evaluation; corruption is drawn from a fixed key."""
        return self.run.task.view(x, y, jax.random.fold_in(jax.random.key(0), 0))

    def loss(self, params: Tree, x: Array, y: Array) -> Array:
        """What training lowers, on examples x [B, …] as the net sees them and y [B, …]: the data term's mean plus the weights'
        penalties, in evaluation mode: without dropout, noise and augmentation, with running batch statistics.

        Penalties on activations, codes and encoders are left out. Corruptions and samples are drawn from fixed keys.

        Raises RequestError for a task whose players have a loss each.
        """
        run = at_full(self.run)
        if run.task.players:
            raise RequestError(f"task {type(run.task).__name__} has a loss for each of its players, and no single one")
        view = self.view(x, y)
        with jax.default_matmul_precision(run.matmul_precision):
            data = jnp.mean(run.task.losses(run, self.forward(params, view.inputs), view, train=True))
            return data + weight_penalty(run, params)

    def _apply(self, run: Run, params: Tree, x: Array) -> Outputs:
        keys = {"sample": stream(self.run.seed, "sample")}
        with jax.default_matmul_precision(self.run.matmul_precision):
            return apply(self.setup, run, params, self.rest, x, train=False, keys=keys)[0]
