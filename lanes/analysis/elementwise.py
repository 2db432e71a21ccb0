"""Elementwise functions of one array in a traced program: what a net's activations look like there."""

from collections.abc import Sequence, Set
from typing import Any

from jax.extend import core

LINEAR = ("add", "sub", "mul", "div", "neg", "convert_element_type", "copy", "copy_p", "stop_gradient", "name")
# An operation that makes a function an activation; exp, log, powers and roots alone belong to softmax and normalization.
BENT = (
    "tanh",
    "logistic",
    "erf",
    "erfc",
    "max",
    "min",
    "clamp",
    "abs",
    "sign",
    "sin",
    "cos",
    "select_n",
    "relu",
    "relu6",
)
NAMES = {"logistic": "sigmoid", "select_n": "where"}
COMPARING = ("gt", "lt", "ge", "le", "eq", "ne", "and", "or", "not", "xor", "is_finite")
CURVED = (
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "pow",
    "integer_pow",
    "sqrt",
    "rsqrt",
    "cbrt",
    "square",
    "tan",
    "atan2",
)
ROUNDING = ("floor", "ceil", "round", "rem", "asinh", "sinh", "cosh", "atan", "erf_inv")
BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # names under which operations hold programs
ELEMENTWISE = {*LINEAR, *BENT, *COMPARING, *CURVED, *ROUNDING}


def inner(equation: Any) -> core.Jaxpr | None:
    """The body of an operation that calls one program, once: of `jit`, a custom derivative, a checkpoint."""
    if equation.primitive.name in ("scan", "while", "cond"):
        return None
    for name in BODIES:
        if name in equation.params:
            found = equation.params[name]
            return getattr(found, "jaxpr", found)
    return None


def is_elementwise(equation: Any) -> bool:
    """Whether an operation computes each of its numbers from the numbers at the same place."""
    body = inner(equation)
    if body is not None:
        shapes = {v.aval.shape for v in (*equation.invars, *equation.outvars)} - {()}
        return len(shapes) <= 1 and all(is_elementwise(each) or _spreads(each) for each in body.eqns)
    return equation.primitive.name in ELEMENTWISE


def _spreads(equation: Any) -> bool:
    """Whether an operation repeats a single number."""
    return equation.primitive.name == "broadcast_in_dim" and equation.invars[0].aval.shape == ()


def kind(equations: Sequence[Any]) -> str:
    """A function's name: that of a function of `jax.nn`, or of its last operation that is not linear; "" if it is linear."""
    found = ""
    for equation in equations:
        body = inner(equation)
        if body is None:
            found = (
                NAMES.get(equation.primitive.name, equation.primitive.name)
                if equation.primitive.name in BENT
                else found
            )
        elif nested := kind(body.eqns):
            name = str(equation.params.get("name") or nested)
            found = nested if name.startswith("_") else name
    return found


def group(
    equations: Sequence[Any], first: int, uniform: Set[Any], needed: Sequence[Any]
) -> tuple[int, Any, Any] | None:
    """The largest activation that starts at an operation: (operations in it, its argument z, its value h).

    It is a run of elementwise operations on one array and on single numbers, of whose results only one is used after it. None
    if there is no such run, or only linear ones.

    Args:
        equations: of a program.
        first: position of the operation.
        uniform: variables that hold a single number, repeated or not.
        needed: the program's results.
    """
    z, made, alike = None, set(), set(uniform)
    best = None
    for at in range(first, len(equations)):
        equation = equations[at]
        operands = [v for v in equation.invars if not _is_number(v, alike)]
        if not operands and (_spreads(equation) or is_elementwise(equation)):
            alike |= set(equation.outvars)
            continue
        others = [v for v in operands if v not in made]
        z = z if z is not None else others[0]
        if not is_elementwise(equation) or any(v is not z for v in others):
            break
        made |= set(equation.outvars)
        used = {v for later in equations[at + 1 :] for v in later.invars if not isinstance(v, core.Literal)}
        used |= {v for v in needed if not isinstance(v, core.Literal)}
        out = [v for v in equation.outvars if v in used]
        if len(made & used) == 1 and len(out) == 1 and out[0].aval.shape == z.aval.shape:
            best = at + 1 - first, z, out[0]
    if best is None or not kind(equations[first : first + best[0]]):
        return None
    return best


def _is_number(variable: Any, uniform: Set[Any]) -> bool:
    return isinstance(variable, core.Literal) or variable.aval.shape == () or variable in uniform
