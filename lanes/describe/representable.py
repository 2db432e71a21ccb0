"""Whether a run's numbers survive as the float32 and int32 that the compiled program takes."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from lanes.describe import descriptions, runs
from lanes.describe.runs import FIELDS, Run
from lanes.errors import RequestError

COUNTS = 2**31  # int32 ends below it
SMALLEST = float(np.finfo(np.float32).tiny)  # XLA flushes smaller numbers to 0
UNSIGNED = ("seed",)


def check_numbers(run: Run) -> Run:
    """The resolved run with numbers that round to a limit of their range, such as a rate of 0.99999999, at that limit.

    Raises RequestError for a number that float32 makes 0 or infinite, and for an integer beyond int32.
    """
    rounded = _rounded(runs.numbers(run))
    for path, integer in _integers(run):
        _check_integer(path, integer)
    return runs.with_numbers(run, rounded) if rounded else run


def survive(numbers: Mapping[str, Any]) -> bool:
    """Whether no plain number, by path, rounds to a limit of its range.

    Raises RequestError as `check_numbers` does.
    """
    for path, value in numbers.items():
        if isinstance(value, int) and not isinstance(value, bool):
            _check_integer(path, value)
    return not _rounded(numbers)


def _rounded(numbers: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that round to a limit of their range, rounded."""
    out: dict[str, float] = {}
    for path, value in numbers.items():
        if isinstance(value, float) and math.isfinite(value):
            kept = _single(path, value)
            if kept != value and (2 * kept).is_integer():
                out[path] = kept
    return out


def _check_integer(path: str, integer: int) -> None:
    if abs(integer) >= COUNTS and path not in UNSIGNED:
        raise RequestError(f"{path} is {integer}: programs count in 32 bits, so it must be below 2^31 = {COUNTS:,}")


def _single(path: str, value: float) -> float:
    with np.errstate(over="ignore", under="ignore"):
        kept = float(np.float32(value))
    if not np.isfinite(kept):
        raise RequestError(f"{path} is {value}, which float32 cannot hold: it must be at most 3.4e38")
    if value and abs(kept) < SMALLEST:
        off = "" if path == "learning_rate" else ", or 0"
        raise RequestError(f"{path} is {value}, which is 0 as float32: it must be at least 1.2e-38{off}")
    return kept


def _integers(run: Run) -> Iterator[tuple[str, int]]:
    """Integers of the run and of its descriptions, by path; those of the data set and the net stay on the host."""
    for name in FIELDS:
        if name not in ("data", "net", "metrics"):
            yield from _inside(name, getattr(run, name))


def _inside(path: str, value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            yield from _inside(f"{path}.{at}", item)
    elif descriptions.is_description(value) and not isinstance(value, nn.Module):
        for name in descriptions.fields_of(value):
            yield from _inside(f"{path}.{name}", getattr(value, name))


def check_length(run: Run, examples: int) -> None:
    """Raise RequestError for a run of 2^31 steps or more; `examples` is the size of the training split."""
    per_epoch = examples // run.batch_size
    if run.steps is None and per_epoch and run.epochs * per_epoch >= COUNTS:
        raise RequestError(
            f"epochs is {run.epochs} of {per_epoch} steps, which makes {run.epochs * per_epoch:,}: programs count steps in "
            f"32 bits, so epochs must be at most {(COUNTS - 1) // per_epoch:,}"
        )
