"""The data that runs are evaluated on: their own or another set, standardized as in training."""

from typing import Any

import numpy as np

from lanes.data.dataset import joined
from lanes.data.loading import Dataset, Split, load_dataset
from lanes.describe.reading import read_as
from lanes.describe.runs import Run
from lanes.errors import RequestError


def other_data(data: Any, data_dir: str | None) -> Dataset:
    """The data set of `--data`.

    Raises RequestError if it cannot be loaded.
    """
    try:
        return load_dataset(data, data_dir=data_dir)
    except RequestError:
        raise
    except Exception as error:  # whatever a function of the user's raises
        if isinstance(data, str) or isinstance(error, ValueError):
            raise RequestError(str(error)) from error
        name = getattr(data, "__name__", type(data).__name__)
        raise RequestError(f"--data: {name} raises {type(error).__name__}: {error}") from error


def evaluated_splits(run: Run, own: Dataset, other: Dataset | None, split: str) -> dict[str, Split]:
    """The splits of the data set that a run is evaluated on, as it reads it; `all` joins them if it is asked for.

    Raises RequestError for data that do not suit the net, and for a split that they have not.
    """
    data = own if other is None else fitting(read_as(run, other, own), own)
    available = data.splits()
    if split == "all":
        first, *rest = available.values()
        for part in rest:
            first = joined(first, part)
        return {"all": first}
    if split not in available:
        raise RequestError(f"--split is {split}: {data.name} has {', '.join(available)}; choose one of these")
    return available


def fitting(data: Dataset, own: Dataset) -> Dataset:
    """`data`, checked to suit a net that was trained on `own`.

    Raises RequestError if inputs or targets differ in shape or kind.
    """
    fewer = data.task in ("classes", "tokens") and data.outputs < own.outputs
    if _shape(data) != _shape(own) or not (fewer or data.outputs == own.outputs):
        raise RequestError(
            f"--data is {_described(data)}; the runs were trained on {_described(own)}: shapes and task must be equal"
        )
    try:
        return data.seen_by(own)
    except ValueError as error:
        raise RequestError(f"--data: {error}") from None


def _described(data: Dataset) -> str:
    return f"{data.name} (inputs {list(data.train.x.shape[1:])}, {data.outputs} outputs, task {data.task})"


def _shape(data: Dataset) -> tuple[str, list[int], bool]:
    return data.task, list(data.train.x.shape[1:]), data.train.x.dtype == np.int32
