"""Checks that a run's net can be built for its data and trained; they use shapes only, before anything is compiled."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lanes.data.dataset import Dataset
from lanes.describe.runs import Run, metric_names
from lanes.errors import RequestError
from lanes.program import initialization
from lanes.program.step import Setup, apply, objective, perturb, standardize
from lanes.recipe.optimizers_own import FromFactory, optimizer_of
from lanes.storage import initial_weights


def check_buildable(setup: Setup, run: Run, data: Dataset) -> list[tuple[int, ...]]:
    """The shapes of the net's parameters, from tracing its initialization and one pass.

    Raises RequestError if the net cannot be built for the data.
    """
    examples = (np.asarray(data.train.x[:2]), np.asarray(data.offset), np.asarray(data.scale))
    try:
        variables = jax.eval_shape(lambda: initialization.initial_variables(setup, run, examples))
    except (TypeError, ValueError, AttributeError, AssertionError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RequestError(
            f"net {type(run.net).__name__} cannot be built for examples of shape {setup.features}: {line}"
        ) from error
    try:
        jax.eval_shape(functools.partial(_pass, setup, run, data), variables)
    except (TypeError, ValueError, AttributeError, AssertionError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RequestError(
            f"net {type(run.net).__name__} does not fit the task, a penalty or an augmentation: {line}"
        ) from error
    optimizer = optimizer_of(run.optimizer)
    if isinstance(optimizer, FromFactory):
        try:
            optimizer.check_update(variables["params"])
        except ValueError as error:
            raise RequestError(str(error)) from error
    return [leaf.shape for leaf in jax.tree.leaves(variables["params"])]


def check_init_from(init_from: str, setup: Setup, run: Run, data: Dataset) -> None:
    """Raise RequestError if the trained run does not exist, or none of its parameters fit the net."""
    examples = (np.asarray(data.train.x[:2]), np.asarray(data.offset), np.asarray(data.scale))
    variables = jax.eval_shape(lambda: initialization.initial_variables(setup, run, examples))
    initial_weights.check(init_from, variables["params"])


def _pass(setup: Setup, run: Run, data: Dataset, variables: Any) -> Any:
    """The training loss and every metric of a batch of two examples, from the net's variables."""
    x = standardize(*(jnp.asarray(part) for part in (data.train.x[:2], data.offset, data.scale)))
    x, y = perturb(run, (x, jnp.asarray(data.train.y[:2])), jnp.int32(0))
    view = run.task.view(x, y, jax.random.key(0))
    params, rest = variables["params"], variables["rest"]

    def forward(key: jax.Array) -> Any:
        return apply(setup, run, params, rest, view.inputs, train=False, keys={"sample": key})[0]

    measured = run.task.measure(run, forward(jax.random.key(0)), view, forward)
    missing = [name for name in metric_names(run) if name not in measured]
    if missing:
        raise ValueError(
            f"task {type(run.task).__name__} does not measure {', '.join(missing)}: leave them out of metrics"
        )
    return objective(setup, run, params, rest, view, jnp.int32(0))[0], measured
