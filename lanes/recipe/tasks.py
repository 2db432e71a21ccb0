"""Every task by name."""

from lanes.recipe.augmentations_noise import GaussianNoise, MaskingNoise
from lanes.recipe.tasks_predicting import PREDICTING, Classify, Task
from lanes.recipe.tasks_reconstructing import Adversarial, Elbo, Impute, Reconstruct

TASKS: dict[str, Task] = {
    **PREDICTING,
    "classify_missing": Classify(corruption=MaskingNoise(0.3)),
    "reconstruct": Reconstruct(),
    "denoise": Reconstruct(corruption=GaussianNoise(0.3)),
    "impute": Impute(),
    "elbo": Elbo(),
    "adversarial": Adversarial(),
}

__all__ = ["TASKS"]
