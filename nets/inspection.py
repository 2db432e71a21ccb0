"""A net's layers, shapes, parameters and multiply-adds, found by tracing; nothing is compiled or run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.extend import core

from nets.abilities import ChecksExamples
from nets.fast_convolution import as_stated


class Layer(NamedTuple):
    """A module that owns parameters or multiplies."""

    name: str  # its path in the parameters, "/" between the modules
    shape: tuple[int, ...]  # of its output for one example
    parameters: int
    multiply_adds: int  # for one example, forward


def shapes(net: nn.Module, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    """The variables of `net` as `jax.ShapeDtypeStruct`s, for one example of `shape` (`dtype` int32 for tokens)."""
    x = jax.ShapeDtypeStruct((1, *shape), dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(
        lambda key, x: net.init({"params": key, "dropout": key, "sample": key}, x, train=False), key, x
    )


def parameter_count(net: nn.Module, shape: tuple[int, ...], dtype: Any = jnp.float32) -> int:
    """Number of trained parameters of `net`, without running statistics."""
    return _size(shapes(net, shape, dtype).get("params", {}))


def multiply_adds(net: nn.Module, shape: tuple[int, ...], dtype: Any = jnp.float32) -> int:
    """Multiply-adds of matrix products and convolutions in one example's forward pass (half the FLOPs)."""
    return sum(layer.multiply_adds for layer in layers(net, shape, dtype))


def layers(net: nn.Module, shape: tuple[int, ...], dtype: Any = jnp.float32) -> list[Layer]:
    """The layers of `net` for one example of `shape`, in the order of evaluation.

    A scanned block appears once, with the parameters and multiply-adds of all its repetitions.

    Raises:
        ValueError: from the net's own check of this shape.
    """
    if isinstance(net, ChecksExamples):
        net.check(shape)
    variables = shapes(net, shape, dtype)
    x = jax.ShapeDtypeStruct((1, *shape), dtype)
    with as_stated():
        jaxpr = jax.make_jaxpr(lambda variables, x: net.apply(variables, x, train=False))(variables, x)
    params = variables.get("params", {})
    products: dict[str, int] = {}
    outputs: dict[str, tuple[int, ...]] = {}
    for operation in _operations(jaxpr.jaxpr, (), 1):
        name = _module(params, operation.scopes)
        outputs[name] = operation.shape
        if operation.multiply_adds:
            products[name] = products.get(name, 0) + operation.multiply_adds
    owned = _owned(params, products)
    names = sorted(owned.keys() | products.keys(), key=list(outputs).index)
    return [Layer(name, outputs[name][1:], owned.get(name, 0), products.get(name, 0)) for name in names]


def summary(net: nn.Module, shape: tuple[int, ...], dtype: Any = jnp.float32) -> str:
    """A table of the layers of `net` for one example of `shape`, with totals.

    Raises:
        ValueError: from the net's own check of this shape.
    """
    rows = layers(net, shape, dtype)
    head = ("layer", "output", "parameters", "multiply-adds")
    cells = [(row.name or "(itself)", str(row.shape), f"{row.parameters:,}", f"{row.multiply_adds:,}") for row in rows]
    total = (sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows))
    cells.append(("total", "", f"{total[0]:,}", f"{total[1]:,}"))
    widths = [max(len(line[column]) for line in [head, *cells]) for column in range(4)]

    def line(values: tuple[str, ...]) -> str:
        left = [value.ljust(width) for value, width in zip(values[:2], widths[:2], strict=True)]
        right = [value.rjust(width) for value, width in zip(values[2:], widths[2:], strict=True)]
        return "  ".join(left + right).rstrip()

    rule = "-" * (sum(widths) + 6)
    title = f"{type(net).__name__} on {shape}: {total[0]:,} parameters ({4 * total[0] / 1e6:.2f} MB in float32)"
    return "\n".join([title, line(head), rule, *map(line, cells[:-1]), rule, line(cells[-1])])


class _Operation(NamedTuple):
    scopes: tuple[str, ...]
    shape: tuple[int, ...]
    multiply_adds: int


def _operations(jaxpr: core.Jaxpr, scopes: tuple[str, ...], times: int) -> Iterator[_Operation]:
    """Every operation, including those of inner programs, with the names of the modules it belongs to."""
    for equation in jaxpr.eqns:
        here = (*scopes, *str(equation.source_info.name_stack).split("/"))
        repeated = times * (equation.params["length"] if equation.primitive.name == "scan" else 1)
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if isinstance(inner, core.Jaxpr):
                yield from _operations(inner, here, repeated)
        if equation.outvars:
            shape = getattr(equation.outvars[0].aval, "shape", ())
            yield _Operation(here, tuple(shape), times * _multiply_adds(equation))


def _multiply_adds(equation: Any) -> int:
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        lhs = equation.invars[0].aval.shape
        return math.prod(equation.outvars[0].aval.shape) * math.prod(lhs[axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
        # A transposed convolution spreads its inputs between zeros, whose products do not count.
        zeros = math.prod(equation.params["lhs_dilation"])
        return math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // features // zeros
    return 0


def _module(params: Mapping[str, Any], scopes: tuple[str, ...]) -> str:
    """The path in the parameters that the scopes lead to; names of methods and lifted bodies are skipped."""
    path: list[str] = []
    for scope in scopes:
        if isinstance(params, Mapping) and isinstance(params.get(scope), Mapping):
            params = params[scope]
            path.append(scope)
    return "/".join(path)


def _owned(params: Mapping[str, Any], products: Mapping[str, int]) -> dict[str, int]:
    """Parameters by the module that owns them, or by the module above that multiplies with them (a cell's gates)."""
    owned: dict[str, int] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        names = [entry.key for entry in path[:-1]]
        prefixes = ["/".join(names[:length]) for length in range(len(names), -1, -1)]
        owner = next((p for p in prefixes if p in products and (p or not names)), prefixes[0])
        owned[owner] = owned.get(owner, 0) + math.prod(leaf.shape)
    return owned


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
