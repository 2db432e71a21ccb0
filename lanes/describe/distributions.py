"""Distributions that `sample` draws the values of an axis from."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lanes.errors import RequestError


@runtime_checkable
class Distribution(Protocol):
    """Anything that `sample` can draw from."""

    def draw(self, generator: np.random.Generator) -> Any:
        """One value."""
        ...


@runtime_checkable
class HasQuantiles(Distribution, Protocol):
    """A distribution that `sample` can also fill evenly."""

    def quantile(self, u: float) -> Any:
        """The value that a share u in [0, 1) of the draws lies below."""
        ...


@dataclasses.dataclass(frozen=True)
class uniform:
    """Uniform on [low, high)."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> float:
        """One value."""
        return float(generator.uniform(self.low, self.high))

    def quantile(self, u: float) -> float:
        """low + u (high - low)."""
        return float(self.low + u * (self.high - self.low))


@dataclasses.dataclass(frozen=True)
class log_uniform:
    """Uniform on a logarithmic scale over [low, high), 0 < low < high."""

    low: float
    high: float

    def check(self) -> None:
        """Raises RequestError unless 0 < low < high."""
        if not 0 < self.low < self.high:
            raise RequestError(f"log_uniform({self.low}, {self.high}): it must be 0 < low < high")

    def draw(self, generator: np.random.Generator) -> float:
        """One value."""
        self.check()
        return float(np.exp(generator.uniform(np.log(self.low), np.log(self.high))))

    def quantile(self, u: float) -> float:
        """low (high / low)^u."""
        self.check()
        return float(np.exp(np.log(self.low) + u * (np.log(self.high) - np.log(self.low))))


@dataclasses.dataclass(frozen=True, init=False)
class choice:
    """One of the values, all equally likely: `choice("relu", "tanh")`.

    Raises RequestError for no value, and for a single list, which stands for its items: `choice(*values)`.
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any):
        if not values:
            raise RequestError('choice() has no values: write them as its arguments, choice("relu", "tanh")')
        if len(values) == 1 and isinstance(values[0], (list, range, set, np.ndarray)):
            raise RequestError(
                f"choice({values[0]!r:.60}) has one value, {_kind(values[0])}: write its items as arguments, "
                f"{as_choice(values[0])}, or a tuple if it is one value"
            )
        object.__setattr__(self, "values", values)

    def draw(self, generator: np.random.Generator) -> Any:
        """One value."""
        return self.values[int(generator.integers(len(self.values)))]

    def quantile(self, u: float) -> Any:
        """Value number ⌊u n⌋."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


def _kind(value: Any) -> str:
    return {"list": "a list", "range": "a range", "set": "a set"}.get(type(value).__name__, "an array")


def as_choice(values: Any) -> str:
    """`choice(1, 2, 3)` for the values of a list; `choice(*…)` for many."""
    items = [f"{item!r:.30}" for item in values]
    return f"choice({', '.join(items)})" if 0 < len(items) <= 4 else "choice(*values)"
