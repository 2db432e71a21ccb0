"""A data set that a user's function made itself, with its arrays as the engine takes them."""

import dataclasses
from typing import Any

import numpy as np

from lanes.data import given
from lanes.data.dataset import Dataset
from lanes.data.given import as_array
from lanes.data.readings import real_targets
from lanes.data.standardizing import check_fine, fitted


def converted(data: Dataset) -> Dataset:
    """A user's Dataset with its arrays as the engine takes them; JAX would narrow any others silently."""
    made: dict[str, Any] = {}
    for name, split in data.splits().items():
        x, y = as_array(split.x, f"data={data.name}: {name} x"), as_array(split.y, f"data={data.name}: {name} y")
        where = f"data set {data.name!r}, split {name}"
        if x.dtype.kind in "iu" and x.dtype not in (np.uint8, np.int32):
            x = given.tokens(x, None, f"{where}: inputs") if x.ndim > 1 else x
        elif x.dtype.kind in "bf" and x.dtype != np.float32:
            check_fine(fitted(x, "feature"), {name: x}, f"{where}: inputs are {x.dtype}, which the engine takes")
            x = x.astype(np.float32)
        if y.dtype.kind in "biu" and data.task in ("classes", "tokens"):
            y = _labels(y, where)
        elif y.dtype.kind in "biuf" and y.dtype != np.float32:
            y = real_targets(y, where)
        made[name] = dataclasses.replace(split, x=x, y=y)
    return dataclasses.replace(data, **made)


def _labels(y: np.ndarray, where: str) -> np.ndarray:
    if y.size and (int(y.min()) < 0 or int(y.max()) > given.INT32_MAX):
        raise ValueError(f"{where}: labels {y.min()} to {y.max()} found; number the classes from 0")
    return y.astype(np.int32, copy=False)
