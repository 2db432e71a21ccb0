"""What is known of the result of one equation of a jaxpr, from what is known of its arguments (`lanes.program.dataflow`)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import JaxprEqn

LARGEST_CONSTANT = 1 << 20  # numbers of a constant whose range is looked at
UNKNOWN = (-math.inf, math.inf)


class Value(NamedTuple):
    """What is known of a value.

    Attributes:
        depends: bit i is set if it depends on input i.
        low, high: bounds of its numbers.
        attained: whether some of its numbers are equal to the bounds.
        columns: of an array of indices [..., n] put together from n columns: each of them.
    """

    depends: int = 0
    low: float = -math.inf
    high: float = math.inf
    attained: bool = False
    columns: tuple["Value", ...] = ()

    @property
    def is_zero(self) -> bool:
        """Whether all its numbers are known to be 0."""
        return self.low == 0 == self.high

    @property
    def is_constant(self) -> bool:
        """Whether all its numbers are known, and equal."""
        return self.low == self.high


def constant(array: Any) -> Value:
    """What is known of an array of the host."""
    if not getattr(array, "size", 1) or jax.dtypes.issubdtype(array.dtype, jax.dtypes.extended):
        return Value()
    if array.size > LARGEST_CONSTANT or not jax.dtypes.issubdtype(array.dtype, np.number) | (array.dtype == bool):
        return Value()
    if jax.dtypes.issubdtype(array.dtype, np.complexfloating):
        return Value()
    low, high = float(np.min(array)), float(np.max(array))
    return Value(0, low, high, True) if low <= high else Value()


def type_of(atom: Any) -> Any:
    """The shape and type of a value."""
    return atom.aval


def union(args: Sequence[Value]) -> int:
    """The inputs that any of the values depends on."""
    depends = 0
    for value in args:
        depends |= value.depends
    return depends


def either(choice: Value, outs: Sequence[Value]) -> Value:
    """One of several values; only bounds are known, unless the choice is."""
    if choice.is_constant and 0 <= choice.low < len(outs):
        return outs[int(choice.low)]
    low, high = min(out.low for out in outs), max(out.high for out in outs)
    return Value(choice.depends | union(outs), low, high, attained=low == high)


FromArguments = Callable[[list[Value]], Value]
FromEquation = Callable[[JaxprEqn, list[Value]], Value]


def _same(args: list[Value]) -> Value:
    return args[0]._replace(columns=())


def _kept(args: list[Value]) -> Value:
    return args[0]


def _part(args: list[Value]) -> Value:
    """Some of the numbers of the first argument: its bounds hold, but may not occur."""
    return Value(union(args), args[0].low, args[0].high, attained=args[0].is_constant)


def _iota(equation: JaxprEqn, args: list[Value]) -> Value:
    del args
    length = equation.params["shape"][equation.params["dimension"]]
    return Value(0, 0, length - 1, attained=True) if length else Value()


def _concatenate(equation: JaxprEqn, args: list[Value]) -> Value:
    low, high = min(value.low for value in args), max(value.high for value in args)
    shape, axis = type_of(equation.outvars[0]).shape, equation.params["dimension"]
    columns = axis == len(shape) - 1 and all(type_of(atom).shape[axis] == 1 for atom in equation.invars)
    attained = all(value.attained for value in args)
    return Value(union(args), low, high, attained, tuple(args) if columns else ())


def _arithmetic(function: Callable[[float, float], float]) -> FromEquation:
    """Sums, differences and products; `function` of two numbers is monotone in each of them."""

    def rule(equation: JaxprEqn, args: list[Value]) -> Value:
        a, b = args
        if function is _times and (a.is_zero or b.is_zero):
            return Value(0, 0, 0, attained=True)
        depends = a.depends | b.depends
        if (a.low, a.high) == UNKNOWN or (b.low, b.high) == UNKNOWN:
            return Value(depends)
        ends = [function(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        if any(math.isnan(end) for end in ends) or not _holds(equation, min(ends), max(ends)):
            return Value(depends)
        attained = (a.is_constant and b.attained) or (b.is_constant and a.attained)
        return Value(depends, min(ends), max(ends), attained)

    return rule


def _plus(a: float, b: float) -> float:
    return a + b


def _minus(a: float, b: float) -> float:
    return a - b


def _times(a: float, b: float) -> float:
    return a * b


def _compare(sure: Callable[[Value, Value], bool], never: Callable[[Value, Value], bool]) -> FromArguments:
    def rule(args: list[Value]) -> Value:
        if sure(*args):
            return Value(0, 1, 1, attained=True)
        if never(*args):
            return Value(0, 0, 0, attained=True)
        return Value(union(args), 0, 1)

    return rule


def _bound(function: Callable[[float, float], float]) -> FromArguments:
    def rule(args: list[Value]) -> Value:
        a, b = args
        attained = (a.is_constant and b.attained) or (b.is_constant and a.attained)
        return Value(a.depends | b.depends, function(a.low, b.low), function(a.high, b.high), attained)

    return rule


def _clamp(args: list[Value]) -> Value:
    low, value, high = args
    return Value(union(args), max(low.low, min(value.low, high.high)), min(high.high, max(value.high, low.low)))


def _remainder(args: list[Value]) -> Value:
    a, b = args
    if a.low >= 0 and b.is_constant and b.low > 0:
        return a if a.high < b.low else Value(union(args), 0, b.low - 1)
    return Value(union(args))


def _select(args: list[Value]) -> Value:
    return either(args[0], args[1:])


def _converted(equation: JaxprEqn, args: list[Value]) -> Value:
    (value,), kind = args, type_of(equation.outvars[0]).dtype
    if value.is_zero or jax.dtypes.issubdtype(kind, np.floating):
        return value
    rounds = jax.dtypes.issubdtype(type_of(equation.invars[0]).dtype, np.floating)
    return value if not rounds and _holds(equation, value.low, value.high) else Value(value.depends)


def _holds(equation: JaxprEqn, low: float, high: float) -> bool:
    """Whether the result's type holds numbers of these bounds: beyond them an integer wraps."""
    kind = type_of(equation.outvars[0]).dtype
    if not jax.dtypes.issubdtype(kind, np.integer):
        return kind != np.dtype(bool)
    return jax.numpy.iinfo(kind).min <= low and high <= jax.numpy.iinfo(kind).max


FROM_ARGUMENTS: dict[str, FromArguments] = {
    **dict.fromkeys(("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "rev"), _same),
    **dict.fromkeys(("copy", "copy_p", "optimization_barrier", "stop_gradient", "reduce_precision"), _kept),
    **dict.fromkeys(("slice", "dynamic_slice", "gather", "reduce_max", "reduce_min"), _part),
    "lt": _compare(lambda a, b: a.high < b.low, lambda a, b: a.low >= b.high),
    "le": _compare(lambda a, b: a.high <= b.low, lambda a, b: a.low > b.high),
    "gt": _compare(lambda a, b: a.low > b.high, lambda a, b: a.high <= b.low),
    "ge": _compare(lambda a, b: a.low >= b.high, lambda a, b: a.high < b.low),
    "max": _bound(max),
    "min": _bound(min),
    "clamp": _clamp,
    "rem": _remainder,
    "select_n": _select,
}
FROM_EQUATION: dict[str, FromEquation] = {
    "convert_element_type": _converted,
    "iota": _iota,
    "concatenate": _concatenate,
    "add": _arithmetic(_plus),
    "sub": _arithmetic(_minus),
    "mul": _arithmetic(_times),
}
