"""A run's task, and how many outputs its net has: what follows from data and loss, and what must not contradict them."""

import dataclasses

from lanes.data.loading import Dataset
from lanes.describe.columns import display_name
from lanes.describe.runs import TABLES, Run, is_off
from lanes.recipe.tasks import default_task
from lanes.recipe.tasks_classifying import Classify, MultiLabel
from lanes.recipe.tasks_predicting import FitsData
from lanes.recipe.tasks_regressing import GaussianLikelihood, Regress
from losses import GaussianNLL, kind_of, name_of

FREE = (Classify, MultiLabel, Regress)  # tasks that leave the number of outputs to a loss of the user's own


def with_task(run: Run, data: Dataset) -> Run:
    """The run with its task, and the loss that the task brings, filled in.

    Raises ValueError, in one line, for a task and a loss that contradict each other.
    """
    run = run if run.task is not None else dataclasses.replace(run, task=default_task(data.task, run.loss))
    if isinstance(run.task, GaussianLikelihood):
        return dataclasses.replace(run, loss=run.task.with_loss(run.loss))
    if isinstance(run.loss, GaussianNLL):
        raise ValueError(
            "loss gaussian_nll needs two outputs for each number to predict, and task "
            f"{display_name(run.task, TABLES['task'])} has one: use task gaussian_likelihood"
        )
    return run


def fitted(run: Run, data: Dataset) -> Run:
    """The run with what its task takes from the training split.

    Raises ValueError, in one line, where the data do not give it, or where the user has set it.
    """
    if not isinstance(run.task, FitsData):
        return run
    task = run.task.fitted(run, data)
    for field in dataclasses.fields(run.task):  # type: ignore[arg-type]
        before = getattr(run.task, field.name)
        if field.metadata.get("engine") and before is not None and before != getattr(task, field.name):
            raise ValueError(
                f"task {type(run.task).__name__} sets {field.name}, which comes from the training split: leave it out"
            )
    return run if task is run.task else dataclasses.replace(run, task=task)


def check(run: Run, data: Dataset) -> None:
    """Raises ValueError, in one line, for a number of outputs that contradicts the loss or the task, or changes nothing."""
    if run.outputs is None:
        return
    name = name_of(run.loss)
    needed = run.task.outputs(data.outputs, tuple(data.train.x.shape[1:]))
    if type(run.task) not in FREE:
        raise ValueError(
            f"outputs is {run.outputs}, and task {display_name(run.task, TABLES['task'])} needs {needed}: leave it out"
        )
    if name is not None and kind_of(run.loss) is not None and run.outputs != needed:
        raise ValueError(
            f"outputs is {run.outputs}, and loss {name} needs {needed} for {data.name}: leave it out, or write a loss for other "
            "outputs"
        )
    if run.outputs == needed:
        raise ValueError(f"outputs is {run.outputs}, as many as {data.name} needs anyway: leave it out")
    if run.rule.needs_outputs:
        raise ValueError(
            f"outputs is {run.outputs}, and rule {type(run.rule).__name__} compares {needed} outputs with the targets: leave "
            "it out, or use rule gradient"
        )
    if not is_off(run, "label_smoothing"):
        raise ValueError(
            f"outputs is {run.outputs}, and label_smoothing is for one output for each class: set it to 0, and smooth in the "
            "loss"
        )
