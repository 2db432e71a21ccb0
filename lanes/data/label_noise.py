"""Training labels of which a share is drawn anew."""

import dataclasses
from typing import Any

import numpy as np

STREAM = 0x10B  # of the draws, beside the seed


def label_noise_field() -> Any:
    """The field `label_noise` of a description of classes; at 0 it is no part of a run's identity."""
    return dataclasses.field(default=0.0, kw_only=True, metadata={"later": True})


def noisy(y: np.ndarray, classes: int, rate: float, seed: int) -> np.ndarray:
    """The labels y [N], or [N, 1] of 0 and 1, each replaced with probability `rate` by one of all classes, at equal odds.

    The draws do not depend on the rate: whatever a rate replaces, a higher one replaces too, by the same class.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, STREAM])))
    chosen, drawn = random.random(len(y)) < rate, random.integers(0, classes, len(y))
    return np.where(chosen, drawn, np.asarray(y).reshape(-1)).astype(y.dtype).reshape(y.shape)


def classes_of(name: str, task: str, outputs: int, rate: float) -> int:
    """The number of classes among which the labels of a data set are drawn.

    Raises ValueError for a rate that is not in [0, 1], and where targets are not one of two classes or more for each example.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"label_noise={rate}: it is a probability and must be from 0 to 1")
    classes = 2 if task == "binary" else outputs
    if rate and (task not in ("classes", "binary") or classes < 2):
        kind = "one class" if task == "classes" else f"targets of kind {task}"
        raise ValueError(f"label_noise={rate}: it draws from two classes or more, and {name} has {kind}: leave it out")
    return classes
