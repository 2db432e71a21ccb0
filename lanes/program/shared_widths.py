"""One program for multilayer perceptrons of other widths: a net as wide as the widest, of which each run has its own part.

Units that a run lacks give 0, their weights start at 0, and so do all derivatives with respect to these: whatever updates each
number by itself leaves them at 0. Only the order differs in which products sum, so that a run's last digits depend on the
program's widths, not on the other runs. Weights are drawn at a run's own widths (`nets.initializers_of_part`), and restored at
these.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lanes.describe import runs
from lanes.describe.descriptions import is_description
from lanes.describe.runs import SWITCHED, Run
from lanes.program.shared_activation import branch_of
from lanes.recipe.averages import EMA, SWA
from lanes.recipe.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, Momentum, Nesterov, RMSProp
from lanes.recipe.optimizers_own import optimizer_of
from lanes.recipe.rules import Gradient
from nets import MLP

Tree = Any
# What changes each number by itself, and leaves at 0 what has a gradient of 0.
OPTIMIZERS = (SGD, Momentum, Nesterov, Adagrad, Adadelta, RMSProp, Adam, AdamW, Lion)
AVERAGES = (type(None), EMA, SWA)
HIDDEN, OUTPUT = "hidden_", "output"  # names of a perceptron's layers


def may_share(run: Run) -> bool:
    """Whether a resolved run may have fewer units than its program's net.

    Only a perceptron's sizes are known here, and some settings depend on them: draws in a layer, norms of single arrays.
    """
    net, optimizer = run.net, optimizer_of(run.optimizer)
    return (
        type(net) is MLP
        and bool(net.widths)
        and not net.scanned
        and net.norm is None
        and branch_of(run.activation) is not None
        and type(optimizer) in OPTIMIZERS
        and type(run.rule) is Gradient
        and type(run.average) in AVERAGES
        and type(run.task).__module__.partition(".")[0] == "lanes"
        and not run.penalties
        and run.init_from is None
        and runs.is_off(run, "dropout")
        and not any(is_description(getattr(run, name)) for name in SWITCHED)
    )


def fits(run: Run, widths: Sequence[int]) -> bool:
    """Whether a run may be trained by a program of these widths."""
    if not may_share(run) or len(run.net.widths) != len(widths):
        return False
    return all(own <= width for own, width in zip(run.net.widths, widths, strict=True))


def resized(params: Tree, widths: Sequence[int]) -> Tree:
    """The shapes of a perceptron's parameters at other widths, from those at its own."""

    def of_leaf(path: Any, leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(_shape(path, leaf.shape, widths), leaf.dtype)

    return jax.tree_util.tree_map_with_path(of_leaf, params)


def parameters(params: Tree, widths: Sequence[int]) -> int:
    """The number of a perceptron's parameters at these widths, from their shapes at its own."""
    ends = params[f"{HIDDEN}0"]["dense"]["kernel"].shape[0], params[OUTPUT]["kernel"].shape[-1]
    sizes = (ends[0], *widths, ends[1])
    return sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(sizes))


def own_part(params: Tree, widths: Sequence[int]) -> Tree:
    """The parameters of a perceptron of these widths among those of a wider one."""

    def of_leaf(path: Any, leaf: Any) -> Any:
        return leaf[tuple(slice(size) for size in _shape(path, leaf.shape, widths))]

    return jax.tree_util.tree_map_with_path(of_leaf, params)


def fan_ins(widths: Sequence[Any]) -> dict[str, Any]:
    """The inputs of a perceptron's layers after the first, from the widths of its hidden layers."""
    layers = [f"{HIDDEN}{at}" for at in range(1, len(widths))]
    return dict(zip([*layers, *[OUTPUT] * bool(widths)], widths, strict=True))


def cleared(params: Tree, widths: Sequence[Any]) -> Tree:
    """The parameters of a perceptron, 0 where one of these widths, which may be traced, has none."""

    def of_leaf(path: Any, leaf: Any) -> Any:
        inside = jnp.ones(leaf.shape, bool)
        for axis, size in enumerate(_shape(path, leaf.shape, widths)):
            inside &= lax.broadcasted_iota(jnp.float32, leaf.shape, axis) < size
        return jnp.where(inside, leaf, jnp.zeros((), leaf.dtype))

    return jax.tree_util.tree_map_with_path(of_leaf, params)


def _shape(path: Any, shape: tuple[int, ...], widths: Sequence[Any]) -> tuple[Any, ...]:
    """The shape of one of a perceptron's arrays at these widths; it has another one in `shape`."""
    layer = str(path[0].key)
    at = len(widths) if layer == OUTPUT else int(layer.removeprefix(HIDDEN))
    inputs = shape[:-1] if at == 0 else (widths[at - 1],) * (len(shape) - 1)
    return *inputs, (shape[-1] if layer == OUTPUT else widths[at])
