"""The filters of a net's first layer: what each of its units multiplies the inputs with."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from nets.fast_convolution import as_stated

Array = jax.Array

# Operations that an input may pass through before its first layer: affine in it, so that the layer's weights are its own.
REARRANGING = ("reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "rev", "slice", "concatenate")
AFFINE = (*REARRANGING, "pad", "convert_element_type", "copy", "add", "sub", "mul", "div", "neg", "reduce_precision")
INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # parameters of operations that hold a program which runs once
LOOPS = ("scan", "while", "cond")


class NoFilters(ValueError):
    """The net's first layer has no filters in the form of its inputs."""


class _Found(Exception):
    """The first layer: the operation, its operands, and which of them is the input."""

    def __init__(self, equation: Any, operands: list[Any], own: int) -> None:
        super().__init__(equation.primitive.name)
        self.equation, self.operands, self.own = equation, operands, own


def first_layer_filters(forward: Callable[[Array], Any], x: Any) -> np.ndarray:
    """The filters of the first layer that multiplies the inputs, found by following them through the net.

    Works for any net that JAX can trace, whatever its parameters are called: a convolution's kernel, and for a dense layer
    the derivative of each unit's sum by the input, which is its weights in the input's form.

    Formula: F_k = W_k of the convolution, or F_k = ∂z_k / ∂x for z = W x + b

    Args:
        forward: x [B, *shape] -> whatever the net returns, with its variables bound.
        x: an input [1, *shape] of numbers, for its shape and type.

    Returns:
        [K, *window, C] for a convolution over [*space, C] (C of one group, if it is grouped), [K, *shape] for a dense layer.

    Raises:
        NoFilters: the first layer is within a recurrence, multiplies each position by itself, comes after an operation that is
            not affine, or there is none.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise NoFilters(f"its inputs are {x.dtype}, not numbers")
    with as_stated():
        closed = jax.make_jaxpr(forward)(x)
    try:
        _follow(closed.jaxpr, closed.consts, [x], [True])
    except _Found as found:
        if found.equation.primitive.name == "conv_general_dilated":
            return _kernel(found)
        return _dense(closed, found, x)
    raise NoFilters("no layer of its net multiplies the inputs")


def _kernel(found: _Found) -> np.ndarray:
    """[K, *window, C] of a convolution, in whatever layout it has its kernel."""
    if found.own != 0:
        raise NoFilters("the inputs are the kernel of its first convolution")
    out, channels, *window = found.equation.params["dimension_numbers"].rhs_spec
    kernel = np.asarray(found.operands[1], np.float32)
    return kernel.transpose((out, *window, channels))


def _dense(closed: core.ClosedJaxpr, found: _Found, x: Array) -> np.ndarray:
    """[K, *shape]: the derivative of the first product by the input."""

    def product(x: Array) -> Array:
        try:
            _follow(closed.jaxpr, closed.consts, [x], [True])
        except _Found as found:
            return jnp.asarray(found.equation.primitive.bind(*found.operands, **found.equation.params))
        raise AssertionError("the product was found before")

    shape = found.equation.outvars[0].aval.shape
    contracted = found.equation.params["dimension_numbers"][0][found.own]
    over = int(np.prod([found.operands[found.own].shape[axis] for axis in contracted]))
    if over != x.size:
        raise NoFilters(f"its first layer multiplies {over} of an example's {x.size} numbers at a time")
    slopes = jax.jit(jax.jacrev(lambda x: product(x).reshape(-1)))(x)
    return np.asarray(slopes, np.float32).reshape(int(np.prod(shape)), *x.shape[1:])


def _follow(jaxpr: core.Jaxpr, consts: Any, arguments: list[Any], own: list[bool]) -> tuple[list[Any], list[bool]]:
    """Runs a program up to the first product with the input; returns its results, and which of them are affine in the input.

    Raises _Found there, and NoFilters where the input passes through an operation that is not affine before.
    """
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts)) | dict(zip(jaxpr.invars, arguments))
    inputs = {var for var, is_own in zip(jaxpr.invars, own) if is_own}
    for equation in jaxpr.eqns:
        operands = [v.val if isinstance(v, core.Literal) else values[v] for v in equation.invars]
        which = [not isinstance(v, core.Literal) and v in inputs for v in equation.invars]
        name = equation.primitive.name
        inner = next((equation.params[key] for key in INNER if key in equation.params), None)
        if inner is not None and name not in LOOPS:
            program, inner_consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            results, affected = _follow(program, inner_consts, operands, which)
        else:
            if any(which):
                _check(name, equation, operands, which)
            results = equation.primitive.bind(*operands, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
            affected = [any(which)] * len(results)
        values.update(zip(equation.outvars, results))
        inputs.update(var for var, is_own in zip(equation.outvars, affected) if is_own)
    read = [v.val if isinstance(v, core.Literal) else values[v] for v in jaxpr.outvars]
    return read, [not isinstance(v, core.Literal) and v in inputs for v in jaxpr.outvars]


def _check(name: str, equation: Any, operands: list[Any], which: list[bool]) -> None:
    """Raises _Found for a product of the input with something else, NoFilters for what is not affine in it."""
    if name in ("dot_general", "conv_general_dilated") and sum(which) == 1:
        raise _Found(equation, operands, which.index(True))
    if name in LOOPS:
        raise NoFilters("its first layer is within a loop or a recurrence")
    if name not in AFFINE or (name == "mul" and all(which)) or (name == "div" and which[1]):
        raise NoFilters(f"its net computes {name} of the inputs before its first layer")
