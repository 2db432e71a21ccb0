"""Every task by name."""

from lanes.recipe.augmentations_noise import GaussianNoise, MaskingNoise
from lanes.recipe.tasks_classifying import Classify, IntegerCoded, MultiLabel, NextToken
from lanes.recipe.tasks_predicting import Task, default_name
from lanes.recipe.tasks_reconstructing import Adversarial, Elbo, Impute, Reconstruct
from lanes.recipe.tasks_regressing import GaussianLikelihood, Regress
from losses import GaussianNLL

# Those that predict the data set's targets.
PREDICTING: dict[str, Task] = {
    "classify": Classify(),
    "multilabel": MultiLabel(),
    "regress": Regress(),
    "gaussian_likelihood": GaussianLikelihood(),
    "integer_coded": IntegerCoded(),
    "next_token": NextToken(),
}

TASKS: dict[str, Task] = {
    **PREDICTING,
    "classify_missing": Classify(corruption=MaskingNoise(0.3)),
    "reconstruct": Reconstruct(),
    "denoise": Reconstruct(corruption=GaussianNoise(0.3)),
    "impute": Impute(),
    "elbo": Elbo(),
    "adversarial": Adversarial(),
}


def default_task(data_task: str, loss: object = None) -> Task:
    """The default task for a data set with targets of this kind, and a loss."""
    if data_task == "real" and isinstance(loss, GaussianNLL):
        return PREDICTING["gaussian_likelihood"]
    return PREDICTING[default_name(data_task)]


__all__ = ["PREDICTING", "TASKS", "default_task"]
