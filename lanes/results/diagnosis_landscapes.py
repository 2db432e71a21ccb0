"""The diagnoses `interpolation` and `landscape` as tables: the loss along lines between runs, and over a plane through each."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from lanes.analysis.landscapes import filter_normalized_direction, loss_along_line, loss_barrier, loss_over_plane
from lanes.describe.encoding import encode
from lanes.errors import RequestError
from lanes.program.scheduled import at_full
from lanes.program.step import Setup, build_net, stream
from lanes.results.subjects import Subject
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
    for other in others:
        _check_alike(start, other)
    measure = evaluated_loss(start)
    rows, barriers = [], [{"run_id": start.run_id, "start_run_id": start.run_id, "barrier": 0.0}]
    for other in others:
        line = {"run_id": other.run_id, "start_run_id": start.run_id}
        try:
            losses = loss_along_line(measure, start.variables, other.variables, LINE)
        except ValueError as error:
            raise RequestError(f"interpolation between runs {start.run_id} and {other.run_id}: {error}") from None
        rows += [line | {"position": t, "evaluated_loss": float(loss)} for t, loss in zip(LINE.tolist(), losses)]
        barriers.append(line | {"barrier": loss_barrier(LINE, losses)})
    return {"interpolation": pd.DataFrame(rows), "interpolation_barriers": pd.DataFrame(barriers)}


def landscape(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """The loss over a plane through each run, in two filter-normalized directions: a row per point."""
    tables = []
    for subject in subjects:
        loss = evaluated_loss(subject)
        directions = []
        for key in jax.random.split(jax.random.key(0)):
            try:
                directions.append(filter_normalized_direction(subject.params, key))
            except ValueError as error:
                raise RequestError(f"landscape of run {subject.run_id}: {error}") from None

        def measure(params: Any, loss: Any = loss, subject: Subject = subject) -> jax.Array:
            return loss({**subject.variables, "params": params})

        losses = loss_over_plane(measure, subject.params, (directions[0], directions[1]), PLANE)
        a, b = np.meshgrid(PLANE, PLANE, indexing="ij")
        columns = {
            "first": a.reshape(-1),
            "second": b.reshape(-1),
            "evaluated_loss": losses.reshape(-1).astype(np.float64),
        }
        tables.append(pd.DataFrame({"run_id": subject.run_id, **columns}))
    return {"landscape": pd.concat(tables, ignore_index=True)}


def evaluated_loss(subject: Subject) -> Callable[[Any], jax.Array]:
    """The loss on the run's examples, as evaluation measures it, of variables of its net.

    It is the mean data term without penalties, dropout, noise and augmentation. Batch statistics are those of the examples at
    the very parameters: the running ones belong to others.

    Raises RequestError for a task whose players have a loss each.
    """
    run = at_full(subject.run)
    if run.task.players:
        raise RequestError(
            f"run {subject.run_id}: task {type(run.task).__name__} has a loss for each of its players, and no single one"
        )

    x, y, setup = subject.inputs, subject.targets, subject.setup

    def measure(variables: Any) -> jax.Array:
        own = dataclasses.replace(subject, variables=_with_statistics(subject, setup, variables))
        view = run.task.view(x, y, jax.random.fold_in(jax.random.key(0), 0))
        outputs = own.forward(own.params, view.inputs)
        return jnp.mean(run.task.losses(run, outputs, view, train=False))

    return measure


def _with_statistics(subject: Subject, setup: Setup, variables: Any) -> Any:
    """Variables with the batch statistics that the examples have at these parameters; others as they are."""
    if not variables.get("batch_stats"):
        return variables
    net = build_net(setup, dataclasses.replace(subject.run, dropout=0.0))
    keys = {name: stream(subject.run.seed, name) for name in ("dropout", "sample")}
    return {**variables, "batch_stats": recomputed_statistics(net, variables, [subject.inputs], keys)}


def _check_alike(start: Subject, other: Subject) -> None:
    """Raises RequestError for runs whose losses are different functions of the parameters."""
    for name in SAME:
        one, two = (encode(getattr(subject.run, name, None)) for subject in (start, other))
        if one != two:
            raise RequestError(
                f"interpolation: runs {start.run_id} and {other.run_id} differ in {name}, so that no one loss has both on its "
                "surface: narrow them by --run or --where"
            )
