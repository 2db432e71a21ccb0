"""The diagnoses `filters`, `maximized_inputs` and `saliency` as tables: nets in the form of their inputs.

An array is a list of its numbers, the last axis fastest, beside a list with its shape.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from lanes.analysis.filters import NoFilters, first_layer_filters
from lanes.analysis.latent import in_batches
from lanes.analysis.maximized_inputs import maximized_inputs as maximize
from lanes.analysis.saliency import gradients, integrated_gradients
from lanes.data.raw_inputs import in_raw_units
from lanes.errors import RequestError
from lanes.recipe.tasks import PREDICTING
from lanes.results.subjects import Subject

UNITS = 16  # outputs whose inputs are looked for
EXAMPLES = 8  # that have their saliency in the table
STEPS = 128  # of the ascent


def listed(array: Any) -> dict[str, Any]:
    """An array as the columns `shape` and `values`."""
    return {"shape": list(np.shape(array)), "values": numbers(array)}


def numbers(array: Any) -> list[float]:
    """An array's numbers as a list."""
    return np.asarray(array, np.float64).reshape(-1).tolist()


# ---- filters -----------------------------------------------------------------------------------------------------


def filters(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row for each filter of each run's first layer, by falling norm; on inputs as the net sees them.

    Raises RequestError for inputs that are not images or series, and nets whose first layer has no filters of that form.
    """
    rows = []
    for subject in subjects:
        features = tuple(subject.inputs.shape[1:])
        if len(features) < 2 or subject.data.holds_tokens:
            raise RequestError(
                f"filters of run {subject.run_id}: they are drawn in the form of images [H, W, C] or series [T, C], and "
                f"{subject.data.name} has {_form(subject)}"
            )
        try:
            found = first_layer_filters(functools.partial(subject.forward, subject.params), subject.inputs[:1])
        except NoFilters as error:
            raise RequestError(
                f"filters of run {subject.run_id}, net {type(subject.run.net).__name__}: {error}"
            ) from None
        norms = np.sqrt(np.sum(found.reshape(len(found), -1) ** 2, axis=1))
        for unit in np.argsort(-norms, kind="stable").tolist():
            rows.append({"run_id": subject.run_id, "filter": unit, "norm": float(norms[unit]), **listed(found[unit])})
    return {"filters": pd.DataFrame(rows)}


def _form(subject: Subject) -> str:
    features = list(subject.inputs.shape[1:])
    return f"tokens {features}" if subject.data.holds_tokens else f"inputs {features}"


# ---- inputs that maximize an output ------------------------------------------------------------------------------


def maximized_inputs(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row for each output of each run, at most 16: the input in the ball of the examples' root mean square norm, and in
    the range of the training inputs, at which it is largest; in raw units, with the largest value among the examples.

    Raises RequestError for inputs that are not numbers, and tasks that do not predict targets.
    """
    rows = []
    for subject in subjects:
        score = scores(subject, "maximized_inputs")
        inputs = np.asarray(subject.inputs)
        of_examples = in_batches(score, inputs)
        which = range(min(UNITS, of_examples.shape[1]))
        radius = float(np.sqrt(np.mean(np.sum(inputs.reshape(len(inputs), -1).astype(np.float64) ** 2, axis=1))))
        if radius == 0:
            raise RequestError(f"maximized_inputs of run {subject.run_id}: all examples are 0 for the net")
        found = maximize(
            score, which, inputs.shape[1:], jax.random.key(0), radius=radius, bounds=_bounds(subject), steps=STEPS
        )
        for unit, x, value in zip(which, in_raw_units(found.inputs, subject.data), found.values, strict=True):
            row = {"run_id": subject.run_id, "unit": unit, "name": name_of_output(subject, unit)}
            row |= {"value": float(value), "highest_of_examples": float(of_examples[:, unit].max())}
            rows.append(row | listed(x))
    return {"maximized_inputs": pd.DataFrame(rows)}


def _bounds(subject: Subject) -> tuple[Any, Any]:
    """The lowest and the highest number of the training split as the net sees it, of each feature of vectors; 0 lies between."""
    x = subject.data.train.x
    axes = 0 if x.ndim == 2 else None
    ends = [x.min(axes), x.max(axes)]
    filled = np.stack([np.broadcast_to(end, x.shape[1:]) for end in ends])
    seen = np.asarray(subject.examples.standardized(filled))
    return np.minimum(seen.min(axis=0), 0), np.maximum(seen.max(axis=0), 0)


# ---- saliency ----------------------------------------------------------------------------------------------------


def saliency(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row for each of the first eight examples: the input in raw units, the gradient of the predicted class's score by each
    standardized number, and its integrated gradient from the input that the net sees as 0.

    Raises RequestError for inputs that are not numbers, and tasks that do not predict targets.
    """
    rows = []
    for subject in subjects:
        score = scores(subject, "saliency")
        x = subject.inputs[:EXAMPLES]
        values = np.asarray(jax.jit(score)(x))
        targets = values.argmax(axis=1) if subject.data.task == "classes" else np.zeros(len(values), int)
        columns = {
            "gradient": gradients(score, x, targets),
            "integrated_gradient": integrated_gradients(score, x, targets, np.zeros(x.shape[1:], np.float32)),
        }
        raw = in_raw_units(x, subject.data)
        for at, target in enumerate(targets.tolist()):
            row = {"run_id": subject.run_id, "example": int(subject.rows[at]), "target": label_of(subject, at)}
            row |= {"unit": target, "name": name_of_output(subject, target), "score": float(values[at, target])}
            row |= {**listed(raw[at]), **{name: numbers(column[at]) for name, column in columns.items()}}
            rows.append(row)
    return {"saliency": pd.DataFrame(rows)}


def scores(subject: Subject, what: str) -> Callable[[jax.Array], jax.Array]:
    """x [B, …], as the net sees it -> its outputs [B, K] before the output unit.

    Raises RequestError for a run without gradients by its inputs, or whose outputs are no predictions of targets.
    """
    where, data = f"{what} of run {subject.run_id}", subject.data
    if data.holds_tokens:
        raise RequestError(f"{where}: it takes gradients by the inputs, and {data.name} has tokens")
    if data.padded:
        raise RequestError(f"{where}: {data.name} has series of unequal length, whose padding is no number")
    if not any(isinstance(subject.run.task, type(task)) for task in PREDICTING.values()):
        task = type(subject.run.task).__name__
        raise RequestError(f"{where}: task {task} predicts no target; reconstructions and traversals are for such nets")

    def score(x: jax.Array) -> jax.Array:
        prediction = subject.forward(subject.params, x).prediction
        return prediction.reshape(x.shape[0], -1).astype(jnp.float32)

    return score


def name_of_output(subject: Subject, output: int) -> str:
    """The name of an output, or its number."""
    names = subject.data.classes
    return names[output] if output < len(names) else str(output)


def label_of(subject: Subject, example: int) -> str:
    """The target of one of the examples as text."""
    target = subject.raw[1][example]
    if subject.data.task == "classes" and np.ndim(target) == 0:
        return name_of_output(subject, int(target))
    return " ".join(f"{value:.4g}" for value in np.ravel(target)[:4])
