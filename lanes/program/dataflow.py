"""What a traced function's outputs depend on, and which of its indices lie outside their arrays; nothing is computed.

JAX clamps an index that is out of range, or drops the update, without a word. Here every value of a jaxpr carries the set
of inputs it depends on and, where that is known (constants, counters, integer data), the range of its numbers. Multiplying
by a constant zero, and choosing by a constant condition, cut a dependence.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params

from lanes.program.dataflow_rules import FROM_ARGUMENTS, FROM_EQUATION, Value, constant, either, type_of, union


@dataclasses.dataclass(frozen=True)
class OutOfRange:
    """An index that lies outside its array.

    Attributes:
        index: the index, as JAX takes it; -1 for one that is negative even when counted from the end.
        size: length of the axis.
        equations: the one that uses it, after those that call the function it is in.
    """

    index: int
    size: int
    equations: tuple[JaxprEqn, ...]


def calls_host(jaxpr: Jaxpr) -> bool:
    """Whether a function of Python runs inside the program."""
    return any(
        "callback" in equation.primitive.name
        or any(calls_host(_open(inner)) for inner in jaxprs_in_params(equation.params))
        for equation in jaxpr.eqns
    )


def analyse(jaxpr: ClosedJaxpr, inputs: Sequence[Value]) -> tuple[list[Value], list[OutOfRange]]:
    """What is known of each output, from what is known of each input, and the indices out of range."""
    analysis = _Analysis([], [])
    return analysis.closed(jaxpr, inputs), analysis.found


@dataclasses.dataclass
class _Analysis:
    found: list[OutOfRange]
    within: list[JaxprEqn]  # the equations whose functions are being followed

    def closed(self, jaxpr: ClosedJaxpr, inputs: Sequence[Value]) -> list[Value]:
        return self.run(jaxpr.jaxpr, [constant(const) for const in jaxpr.consts], inputs)

    def run(self, jaxpr: Jaxpr, consts: Sequence[Value], inputs: Sequence[Value]) -> list[Value]:
        values: dict[Any, Value] = dict(zip(jaxpr.constvars, consts))
        values.update(zip(jaxpr.invars, inputs))

        def read(atom: Any) -> Value:
            return constant(np.asarray(atom.val)) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            args = [read(atom) for atom in equation.invars]
            values.update(zip(equation.outvars, self.equation(equation, args)))
        return [read(atom) for atom in jaxpr.outvars]

    def equation(self, equation: JaxprEqn, args: list[Value]) -> list[Value]:
        """What is known of the results of one equation."""
        self.within.append(equation)
        try:
            return self._results(equation, args)
        finally:
            self.within.pop()

    def _results(self, equation: JaxprEqn, args: list[Value]) -> list[Value]:
        name, params = equation.primitive.name, equation.params
        if name == "while":
            return self._while(params, args)
        if name == "scan":
            return self._scan(equation, args)
        if name == "cond":
            branches = [self._inner(branch, args[1:]) for branch in params["branches"]]
            return [either(args[0], outs) for outs in zip(*branches)]
        called = next((params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in params), None)
        if isinstance(called, (ClosedJaxpr, Jaxpr)) and len(_open(called).invars) == len(args):
            return self._inner(called, args)
        self._check_indices(equation, args)
        if len(equation.outvars) == 1 and name in FROM_ARGUMENTS:
            return [FROM_ARGUMENTS[name](args)]
        if len(equation.outvars) == 1 and name in FROM_EQUATION:
            return [FROM_EQUATION[name](equation, args)]
        return [Value(union(args))] * len(equation.outvars)

    def _inner(self, jaxpr: Any, args: Sequence[Value]) -> list[Value]:
        return self.closed(jaxpr, args) if isinstance(jaxpr, ClosedJaxpr) else self.run(jaxpr, (), args)

    def _while(self, params: dict[str, Any], args: list[Value]) -> list[Value]:
        first, last = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        of_condition, of_body, carry = args[:first], args[first:last], _forgotten(args[last:])
        while True:
            (going,) = self._inner(params["cond_jaxpr"], [*of_condition, *carry])
            after = self._inner(params["body_jaxpr"], [*of_body, *carry])
            new = [Value(old.depends | out.depends | going.depends) for old, out in zip(carry, after)]
            if new == carry:
                return carry
            carry = new

    def _scan(self, equation: JaxprEqn, args: list[Value]) -> list[Value]:
        params, inner = equation.params, _open(equation.params["jaxpr"])
        # Constants and carry have the shapes that they have in the body; rows have one more axis.
        count, whole = _alike(equation.outvars, inner.outvars), _alike(equation.invars, inner.invars)
        first = whole - count
        consts, carry = args[:first], _forgotten(args[first : first + count])
        rows = [value._replace(attained=False, columns=()) for value in args[first + count :]]
        while True:
            after = self._inner(params["jaxpr"], [*consts, *carry, *rows])
            new = [Value(old.depends | out.depends) for old, out in zip(carry, after)]
            if new == carry:
                return [*carry, *_forgotten(after[count:])]
            carry = new

    def _check_indices(self, equation: JaxprEqn, args: list[Value]) -> None:
        if not equation.invars:
            return
        name, params, operand = equation.primitive.name, equation.params, type_of(equation.invars[0])
        if name == "dynamic_slice":
            sizes, starts = params["slice_sizes"], args[1:]
            for length, size, start in zip(operand.shape, sizes, starts):
                self._check_index(start, length, length - size)
        elif name == "dynamic_update_slice":
            for length, size, start in zip(operand.shape, type_of(equation.invars[1]).shape, args[2:]):
                self._check_index(start, length, length - size)
        elif name == "gather":
            axes = params["dimension_numbers"].start_index_map
            for at, axis in enumerate(axes):
                length = operand.shape[axis]
                self._check_index(_column(args[1], at, axes), length, length - params["slice_sizes"][axis])
        elif name.startswith("scatter"):
            numbers = params["dimension_numbers"]
            axes = numbers.scatter_dims_to_operand_dims
            for at, axis in enumerate(axes):
                length = operand.shape[axis]
                # Other axes are written in windows, whose starts are 0 in jnp's indexing.
                most = length - 1 if axis in numbers.inserted_window_dims else length
                self._check_index(_column(args[1], at, axes), length, most)

    def _check_index(self, index: Value, length: int, most: int) -> None:
        """Note an index that is beyond `most` or negative: all of its numbers, or the extreme ones if they occur."""
        beyond = index.high if index.attained else index.low
        below = index.low if index.attained else index.high
        if math.isfinite(beyond) and beyond > most:
            self.found.append(OutOfRange(int(beyond), length, tuple(self.within)))
        elif math.isfinite(below) and below < 0:
            self.found.append(OutOfRange(-1, length, tuple(self.within)))


def _alike(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """How many values have the same number of axes outside of a loop as in its body."""
    return sum(type_of(one).ndim == type_of(other).ndim for one, other in zip(outside, inside))


def _open(jaxpr: Any) -> Jaxpr:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


def _forgotten(values: Sequence[Value]) -> list[Value]:
    """The values with their dependences only."""
    return [Value(value.depends) for value in values]


def _column(index: Value, at: int, axes: Sequence[int]) -> Value:
    """What is known of one column of an array of indices."""
    if len(index.columns) == len(axes):
        return index.columns[at]
    return index if len(axes) == 1 or index.is_constant else Value()
