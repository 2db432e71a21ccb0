"""The diagnosis `decision_regions` as tables: what classifiers of two numbers decide over the plane."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
import pandas as pd

from lanes.analysis.decision_regions import decision_regions as decide
from lanes.analysis.latent import in_batches
from lanes.data.raw_inputs import in_raw_units
from lanes.errors import RequestError
from lanes.program.natural import predicted
from lanes.recipe.tasks_classifying import Classify
from lanes.recipe.tasks_comparing import as_compared
from lanes.recipe.tasks_comparing import threshold as threshold_of
from lanes.results.diagnosis_inputs import name_of_output
from lanes.results.subjects import Subject
from losses import OUTPUT_UNITS, kind_of

POINTS = 100  # along each side
MARGIN = 0.1  # of the examples' range, on each side


def decision_regions(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row for each point of a grid over the examples' range, in raw units: the class and its probability; and a row for each
    example, in `decision_region_examples`.

    Raises RequestError for inputs that are not two numbers, and tasks that do not classify.
    """
    tables, examples = [], []
    for subject in subjects:
        _check(subject)

        outputs, threshold, are_probabilities = _outputs(subject)
        inputs = np.asarray(subject.inputs).reshape(-1, 2)
        low, high = inputs.min(axis=0), inputs.max(axis=0)
        width = np.where(high > low, high - low, 1)
        found = decide(outputs, low - MARGIN * width, high + MARGIN * width, points=POINTS, threshold=threshold)
        corners = in_raw_units(
            np.stack([found.x, found.y], axis=1).reshape(POINTS, *subject.raw[0].shape[1:]), subject.data
        )
        x, y = np.meshgrid(*corners.reshape(POINTS, 2).T)
        names = np.array([name_of_output(subject, k) for k in range(max(2, subject.data.outputs))])
        columns = {"x": x.reshape(-1), "y": y.reshape(-1), "class": found.classes.reshape(-1)}
        probability = found.values.reshape(-1) if are_probabilities else np.nan
        columns |= {"name": names[found.classes.reshape(-1)], "probability": probability}
        tables.append(pd.DataFrame({"run_id": subject.run_id, **columns}))
        examples.append(_examples(subject, in_batches(outputs, inputs), threshold, names))
    return {
        "decision_regions": pd.concat(tables, ignore_index=True),
        "decision_region_examples": pd.concat(examples, ignore_index=True),
    }


def _outputs(subject: Subject) -> tuple[Callable[[jax.Array], jax.Array], float, bool]:
    """x [B, 2] -> outputs [B, K] that decide, the threshold of a single one, and whether they are probabilities."""
    run = subject.run
    kind = kind_of(run.loss)
    logits = kind is not None and kind.from_logits and kind.units[0] != "identity"
    are_probabilities = logits or run.output in (OUTPUT_UNITS["softmax"], OUTPUT_UNITS["sigmoid"])
    threshold = 0.5 if are_probabilities else threshold_of(run)

    def outputs(x: jax.Array) -> jax.Array:
        raw = subject.forward(subject.params, x.reshape(x.shape[0], *subject.inputs.shape[1:])).prediction
        return predicted(run, raw) if are_probabilities else as_compared(run, raw)

    return outputs, threshold, are_probabilities


def _examples(subject: Subject, outputs: np.ndarray, threshold: float, names: np.ndarray) -> pd.DataFrame:
    """Each example's place, class and predicted class."""
    decided = (outputs[:, 0] > threshold).astype(int) if outputs.shape[-1] == 1 else outputs.argmax(axis=1)
    target = subject.raw[1].reshape(len(decided), -1)[:, 0].astype(int)
    place = in_raw_units(subject.inputs, subject.data).reshape(-1, 2)
    columns = {"x": place[:, 0], "y": place[:, 1], "target": target, "predicted": decided, "name": names[target]}
    return pd.DataFrame({"run_id": subject.run_id, "example": subject.rows, **columns})


def _check(subject: Subject) -> None:
    where, features = f"decision_regions of run {subject.run_id}", list(subject.inputs.shape[1:])
    if int(np.prod(features)) != 2 or subject.data.holds_tokens:
        raise RequestError(f"{where}: they are drawn for inputs of two numbers, and {subject.data.name} has {features}")
    if type(subject.run.task) is not Classify or subject.data.task not in ("classes", "binary"):
        task = type(subject.run.task).__name__
        raise RequestError(f"{where}: task {task} on {subject.data.name} decides for no class")
    if subject.run.outputs is not None:
        raise RequestError(f"{where}: its net has {subject.run.outputs} outputs, which are not one for each class")
