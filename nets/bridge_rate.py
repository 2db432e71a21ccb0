"""A dropout rate that is traced, for constructors that ask about it in Python."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp


class Rate:
    """slope · p + offset for a traced dropout rate p in (0, 1), which constructors and layers may compute with.

    A rate that is off is the plain number 0 instead. Comparisons with numbers are decided where they are the same for all p
    (`dropout > 0`, `dropout == 0`, `if dropout`); all others, and conversions to float, raise TypeError. Sums and products
    with numbers are rates again while the constructor runs, and arrays afterwards, as layers need them.

    Args:
        source: [p], or [] while the constructor runs.
    """

    def __init__(self, source: list[Any], slope: float = 1.0, offset: float = 0.0):
        self.source, self.slope, self.offset = source, slope, offset

    def read(self) -> Any:
        """The rate as an array, after the constructor has run."""
        (p,) = self.source
        p = p if self.slope == 1 else self.slope * p
        return p if self.offset == 0 else p + self.offset

    def _with(self, other: Any, operation: Callable[[Any, Any], Any], slope: Any, offset: Any) -> Any:
        if self.source:
            return operation(self.read(), other)
        if not isinstance(other, (int, float)):
            return NotImplemented
        return Rate(self.source, slope(other), offset(other)) if slope(other) else offset(other)

    def __add__(self, other: Any) -> Any:
        return self._with(other, operator.add, lambda _: self.slope, lambda c: self.offset + c)

    def __sub__(self, other: Any) -> Any:
        return self._with(other, operator.sub, lambda _: self.slope, lambda c: self.offset - c)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda p, c: c - p, lambda _: -self.slope, lambda c: c - self.offset)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, operator.mul, lambda c: self.slope * c, lambda c: self.offset * c)

    def __truediv__(self, other: Any) -> Any:
        return self._with(other, operator.truediv, lambda c: self.slope / c, lambda c: self.offset / c)

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.read() if self.source else self._refuse()

    def __neg__(self) -> Any:
        return self * -1

    __radd__, __rmul__ = __add__, __mul__

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (int, float)):
            return self is other
        if self._is_below(other) or self._is_above(other):
            return False
        self._refuse()

    def __gt__(self, other: Any) -> bool:
        return self._decided(self._is_above(other), self._is_below(other))

    def __lt__(self, other: Any) -> bool:
        return self._decided(self._is_below(other), self._is_above(other))

    __ge__, __le__ = __gt__, __lt__  # p is never equal to a number that lies outside of its range

    def __bool__(self) -> bool:
        return self != 0

    def _is_above(self, number: Any) -> bool:
        return isinstance(number, (int, float)) and min(self.offset, self.offset + self.slope) >= number

    def _is_below(self, number: Any) -> bool:
        return isinstance(number, (int, float)) and max(self.offset, self.offset + self.slope) <= number

    def _decided(self, holds: bool, fails: bool) -> bool:
        return holds if holds or fails else self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(
            "the run's dropout is traced, so Python cannot read it here: hand it to the library's dropout layer, or take the "
            "rate as an argument of another name (`rate`), a field of the net that is static: net.rate, a program for each"
        )

    __float__ = __int__ = __index__ = __round__ = __pow__ = __rpow__ = __format__ = _refuse

    def __jax_array__(self) -> jax.Array:
        return jnp.asarray(self.read()) if self.source else self._refuse()
