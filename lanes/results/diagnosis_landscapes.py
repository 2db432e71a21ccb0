"""The diagnoses `interpolation` and `landscape` as tables: the loss along lines between runs, and over a plane through each."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import Array

from lanes.analysis.landscapes import filter_normalized_direction, loss_along_line, loss_barrier, loss_over_plane
from lanes.describe.encoding import encode
from lanes.errors import RequestError
from lanes.program.scheduled import at_full
from lanes.program.step import build_net, stream
from lanes.results.models import Model
from lanes.results.subjects import Programs, Subject
from nets.normalization import recomputed_statistics

LINE = np.linspace(-0.5, 1.5, 41)
PLANE = np.linspace(-1, 1, 25)
SAME = ("data", "net", "activation", "task", "loss", "output", "outputs")  # what makes a loss a function


def interpolation(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """The loss along the lines from the first run to each other one, a row per point; and each line's barrier, a row per run.

    Raises RequestError for fewer than two runs, and for runs whose losses are not one function of the same parameters.
    """
    if len(subjects) < 2:
        raise RequestError("interpolation is along lines between runs, and one is selected: select two or more")
    start, *others = subjects
    _check_single(start)
    for other in others:
        _check_alike(start, other)
    line = Programs(_along_line)
    rows: list[dict[str, Any]] = []
    barriers = [{"run_id": start.run_id, "start_run_id": start.run_id, "barrier": 0.0}]
    for other in others:
        losses = np.asarray(line(start, other.variables), np.float64)
        ends = {"run_id": other.run_id, "start_run_id": start.run_id}
        rows += [ends | {"position": t, "evaluated_loss": loss} for t, loss in zip(LINE.tolist(), losses.tolist())]
        barriers.append(ends | {"barrier": loss_barrier(LINE, losses)})
    return {"interpolation": pd.DataFrame(rows), "interpolation_barriers": pd.DataFrame(barriers)}


def _along_line(model: Model, params: Any, x: Array, y: Array, end: Any) -> Any:
    return loss_along_line(evaluated_loss(model, x, y), {"params": params, **model.rest}, end, LINE)


def landscape(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """The loss over a plane through each run, in two filter-normalized directions: a row per point.

    Raises RequestError for a task whose players have a loss each, and parameters without filters.
    """
    plane, tables = Programs(_over_plane), []
    first, second = (part.reshape(-1) for part in np.meshgrid(PLANE, PLANE, indexing="ij"))
    for subject in subjects:
        _check_single(subject)
        try:
            losses = np.asarray(plane(subject), np.float64).reshape(-1)
        except ValueError as error:
            raise RequestError(f"landscape of run {subject.run_id}: {error}") from None
        columns = {"first": first, "second": second, "evaluated_loss": losses}
        tables.append(pd.DataFrame({"run_id": subject.run_id, **columns}))
    return {"landscape": pd.concat(tables, ignore_index=True)}


def _over_plane(model: Model, params: Any, x: Array, y: Array) -> Any:
    measure = evaluated_loss(model, x, y)
    one, other = (filter_normalized_direction(params, key) for key in jax.random.split(jax.random.key(0)))
    return loss_over_plane(lambda params: measure({"params": params, **model.rest}), params, (one, other), PLANE)


def evaluated_loss(model: Model, x: Array, y: Array) -> Callable[[Any], Array]:
    """The loss on examples, as evaluation measures it, as a function of a net's variables.

    It is the mean data term without penalties, dropout, noise and augmentation. Batch statistics are those of the examples at
    the very parameters: the running ones belong to others.
    """

    def measure(variables: Any) -> Array:
        run = at_full(model.run)
        of_these = _with_statistics(model, variables, x)
        own = dataclasses.replace(model, rest={name: part for name, part in of_these.items() if name != "params"})
        view = own.view(x, y)
        outputs = own.forward(variables["params"], view.inputs)
        return jnp.mean(run.task.losses(run, outputs, view, train=False))

    return measure


def _with_statistics(model: Model, variables: Any, x: Array) -> Any:
    """Variables with the batch statistics that the examples have at these parameters; others as they are."""
    if not variables.get("batch_stats"):
        return variables
    net = build_net(model.setup, dataclasses.replace(model.run, dropout=0.0))
    keys = {name: stream(model.run.seed, name) for name in ("dropout", "sample")}
    return {**variables, "batch_stats": recomputed_statistics(net, variables, [x], keys)}


def _check_single(subject: Subject) -> None:
    """Raises RequestError for a task whose players have a loss each."""
    if subject.run.task.players:
        raise RequestError(
            f"run {subject.run_id}: task {type(subject.run.task).__name__} has a loss for each of its players, and no single one"
        )


def _check_alike(start: Subject, other: Subject) -> None:
    """Raises RequestError for runs whose losses are different functions of the parameters."""
    for name in SAME:
        one, two = (encode(getattr(subject.run, name, None)) for subject in (start, other))
        if one != two:
            raise RequestError(
                f"interpolation: runs {start.run_id} and {other.run_id} differ in {name}, so that no one loss has both on its "
                "surface: narrow them by --run or --where"
            )
