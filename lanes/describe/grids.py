"""Lists of runs: products of axes, axes side by side, and random samples."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lanes.describe import runs
from lanes.describe.runs import Run
from lanes.errors import RequestError

Axes = Mapping[str, Iterable[Any]]


def grid(base: Run, paths: Axes | None = None, /, **axes: Iterable[Any]) -> list[Run]:
    """Every combination of the axes' values; the last axis varies fastest.

    `grid(BASE, learning_rate=[1e-3, 1e-2], seed=range(5))`; dotted paths go in a mapping:
    `grid(BASE, {"net.widths": [(64,), (64, 64)]}, seed=range(5))`.

    Raises RequestError for an unknown field, or an axis that is not a list of values.
    """
    names, values = _axes(paths, axes)
    return [_set_all(base, names, point) for point in itertools.product(*values)]


def zipped(base: Run, paths: Axes | None = None, /, **axes: Iterable[Any]) -> list[Run]:
    """The axes' values side by side: the first of each, the second of each, …

    Raises RequestError if the axes differ in length, and as `grid`.
    """
    names, values = _axes(paths, axes)
    lengths = {name: len(value) for name, value in zip(names, values)}
    if len(set(lengths.values())) > 1:
        raise RequestError(f"zipped axes have lengths {lengths}: they must be equal; use grid for a product")
    return [_set_all(base, names, point) for point in zip(*values)]


@dataclasses.dataclass(frozen=True)
class uniform:
    """Uniform on [low, high)."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> float:
        """One value."""
        return float(generator.uniform(self.low, self.high))


@dataclasses.dataclass(frozen=True)
class log_uniform:
    """Uniform on a logarithmic scale over [low, high), 0 < low < high."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> float:
        """One value."""
        if not 0 < self.low < self.high:
            raise RequestError(f"log_uniform({self.low}, {self.high}): it must be 0 < low < high")
        return float(np.exp(generator.uniform(np.log(self.low), np.log(self.high))))


@dataclasses.dataclass(frozen=True, init=False)
class choice:
    """One of the values, all equally likely."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any):
        object.__setattr__(self, "values", values)

    def draw(self, generator: np.random.Generator) -> Any:
        """One value."""
        return self.values[int(generator.integers(len(self.values)))]


def sample(
    base: Run, count: int, paths: Mapping[str, Any] | None = None, /, *, sample_seed: int = 0, **axes: Any
) -> list[Run]:
    """`count` random points, the same for the same `sample_seed`; each axis is a `uniform`, `log_uniform` or `choice`.

    Raises RequestError for an axis that is none of these.

    Reference: Bergstra and Bengio, "Random search for hyper-parameter optimization", 2012.
    """
    generator = np.random.default_rng(sample_seed)
    names = [*(paths or {}), *axes]
    distributions = [*(paths or {}).values(), *axes.values()]
    for name, distribution in zip(names, distributions):
        if not hasattr(distribution, "draw"):
            raise RequestError(
                f"sample axis {name} is {distribution!r}: give uniform(a, b), log_uniform(a, b) or choice(…)"
            )
    return [_set_all(base, names, [item.draw(generator) for item in distributions]) for _ in range(count)]


def _axes(paths: Axes | None, axes: Axes) -> tuple[list[str], list[Sequence[Any]]]:
    both = {**(paths or {}), **axes}
    for name, values in both.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise RequestError(f"axis {name} is {values!r}: it must be a list of values")
    return list(both), [list(values) for values in both.values()]


def _set_all(base: Run, names: Sequence[str], point: Sequence[Any]) -> Run:
    plain = {name: value for name, value in zip(names, point) if name in runs.FIELDS}
    base = dataclasses.replace(base, **plain) if plain else base
    for name, value in zip(names, point):
        if name not in plain:
            base = runs.set_field(base, name, value)
    return base
