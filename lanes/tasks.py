"""Every task by name."""

from lanes.noise import GaussianNoise, MaskingNoise
from lanes.objectives import PREDICTING, Classify, Task
from lanes.reconstruction import Adversarial, Elbo, Impute, Reconstruct

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
