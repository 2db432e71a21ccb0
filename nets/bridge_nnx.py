"""Nets written in Flax NNX, as descriptions that train like any other net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax.extend import core

from nets.bridge import (
    STATE,
    Bridged,
    Leaves,
    Names,
    at,
    check_trained,
    checked,
    draws,
    named,
    nested,
    net_of,
    refuse_keys,
    signature,
    store,
)


def from_nnx(module: Any, **arguments: Any) -> Any:
    """A net computed by a Flax NNX module: `net=from_nnx(Net, features=64, width=32)`.

    The module is written as NNX's documentation teaches: a constructor with `rngs`, and `__call__(x)` for a batch x [B, …]
    that returns the prediction [B, outputs] (or `Outputs`). Its fields are the constructor's arguments, `net.width`. The
    constructor's `outputs`, `activation`, `kernel_init` and `dropout`, where it has them, are filled from the data and the
    run; `activation` is a plain function there, and `dropout` a rate for `nnx.Dropout`, which may be traced.

    Every `nnx.Param` is trained. All other variables (`nnx.BatchStat`, arrays) change in training and are kept beside them;
    they are updated once per step. Every stream of random numbers in the module gets a new key in each step, derived from
    the run's seed. Training calls `module.train()`, evaluation `module.eval()`. `__call__` may also take `train`, or `rngs`.

    Parameters have the module's own names; those of two axes or more that are not called kernel, embedding, bias or scale
    end in `kernel` (`w.kernel`), so that penalties and weight decay act on them. `net.module(variables)` gives the module
    back.

    Args:
        module: a class, or a function that makes modules, at the top level of a file.
        arguments: of its constructor, without those that are filled and without `rngs`.

    Raises:
        ValueError: not a class of NNX, or wrong arguments.
    """
    if isinstance(module, nnx.Module) or not callable(module):
        raise ValueError(f"from_nnx got {type(module).__name__}, not a class: give the class and its arguments")
    if isinstance(module, type) and not issubclass(module, nnx.Module):
        raise ValueError(f"from_nnx got {module.__name__}, which is no nnx.Module: give a class of flax.nnx")
    return net_of(from_nnx, NNXNet, module, arguments)


class Rate:
    """A traced dropout rate as `nnx.Dropout` needs it, which asks whether its rate is 0 or 1: a traced one is neither.

    It may be multiplied or divided by a number, and is read when `nnx.Dropout` takes it from 1.
    """

    def __init__(self, value: Any, factor: float = 1.0):
        self.value, self.factor = value, factor

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __rsub__(self, other: Any) -> Any:
        return other - self.factor * self.value

    def __mul__(self, other: float) -> Rate:
        return Rate(self.value, self.factor * other)

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> Rate:
        return Rate(self.value, self.factor / other)


class NNXNet(Bridged):
    """A net that an NNX module computes; see `from_nnx`."""

    key_name: ClassVar[str] = "rngs"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> Any:
        if self.is_initializing():
            self._draw()
        module, state = self._merged(self.variables, draws(self, train))
        result = checked(self, self._called(module, x, train))
        after = _leaves(nnx.state(module))
        before = {path: state[path] for path in _of(after, "params")}
        if any(leaf is not before[path] for path, leaf in _of(after, "params").items()):
            self._refuse_changes(before, x, train)
        if train and not self.is_initializing() and self.is_mutable_collection(STATE):
            known = _of(after, STATE)
            store(self, STATE, {path: known[path] for path, leaf in state.items() if path in known})
        return result

    def module(self, variables: Mapping[str, Any]) -> Any:
        """The NNX module with these variables, in evaluation mode: `net.module(variables)(x)` after `lanes.restore`."""
        module, _ = self._merged(variables, jax.random.key(0))
        module.eval()
        return module

    def rate(self) -> Any:
        """The run's dropout rate as the constructor gets it."""
        return self.dropout if isinstance(self.dropout, (int, float)) else Rate(self.dropout)

    def _built(self, key: jax.Array) -> Any:
        """The user's module, whose arrays that are no variables are data too, as they are outside of traced functions."""
        module = self.built(nnx.Rngs(key))
        for _, node in nnx.iter_graph(module):
            for name, value in list(vars(node).items()) if isinstance(node, nnx.Module) else ():
                if isinstance(value, jax.Array):
                    setattr(node, name, nnx.data(value))
        return module

    def _draw(self) -> None:
        """Store the initial variables."""
        leaves = _leaves(nnx.state(self._built(self.make_rng("params"))))
        check_trained(self, _of(leaves, "params"))
        refuse_keys(_of(leaves, STATE).items())
        for collection in ("params", STATE):
            store(
                self, collection, {named(p, v, collection == "params"): v for p, v in _of(leaves, collection).items()}
            )

    def _merged(self, variables: Mapping[str, Any], key: jax.Array) -> tuple[Any, Leaves]:
        """The module with stored variables and new keys, and its leaves; the constructor is traced for shapes only."""
        graphs: list[Any] = []

        def shapes() -> Any:
            graph, state = nnx.split(self._built(jax.random.key(0)))
            graphs.append(graph)
            return state

        state = jax.eval_shape(shapes)
        leaves = {}
        for index, (path, (kind, leaf)) in enumerate(_leaves(state).items()):
            if kind == "key":
                fresh = jax.random.fold_in(key, index)
                leaves[path] = jax.random.split(fresh, leaf.shape) if leaf.shape else fresh
            elif kind == "count":
                leaves[path] = jnp.zeros(leaf.shape, leaf.dtype)
            else:
                leaves[path] = jnp.asarray(at(variables[kind], named(path, leaf, kind == "params")))
        filled = jax.tree.unflatten(jax.tree.structure(state), list(leaves.values()))
        return nnx.merge(graphs[0], filled), leaves

    def _refuse_changes(self, before: Leaves, x: jax.Array, train: bool) -> None:
        """Raises ValueError for a parameter that the forward pass changes; `nnx.jit` and `nnx.remat` only copy them."""
        names = {path: named(path, leaf, True) for path, leaf in before.items()}

        def passed(values: list[jax.Array]) -> list[jax.Array]:
            variables = {**self.variables, "params": nested(dict(zip(names.values(), values)))}
            module, _ = self._merged(variables, jax.random.key(0))
            self._called(module, x, train)
            after = _of(_leaves(nnx.state(module)), "params")
            return [after[path] for path in names]

        jaxpr = jax.make_jaxpr(passed)(list(before.values())).jaxpr
        for index, (path, result) in enumerate(zip(names, jaxpr.outvars)):
            if _source(jaxpr, result) != index:
                raise ValueError(
                    f"{'.'.join(path)} changes in the forward pass: only variables that are not nnx.Param may"
                )

    def _called(self, module: Any, x: jax.Array, train: bool) -> Any:
        (module.train if train else module.eval)()
        takes = signature(type(module).__call__)
        extra: dict[str, Any] = {"train": train} if "train" in takes else {}
        if "rngs" in takes:
            extra["rngs"] = nnx.Rngs(draws(self, train))
        return module(x, **extra)


def _leaves(state: Any) -> dict[Names, tuple[str, Any]]:
    """(kind, leaf) by path, in the order of `jax.tree.leaves`: kind is params, state, key or count."""
    variables = {tuple(map(str, path)): variable for path, variable in nnx.to_flat_state(state)}
    out = {}
    for path, variable in variables.items():
        for inner, leaf in jax.tree_util.tree_leaves_with_path(variable):
            out[(*path, *_inner(inner, variable))] = _kind(variable), leaf
    return out


def _inner(path: Any, variable: Any) -> Names:
    """The path inside a variable that holds a tree of arrays; () for a plain one."""
    keys = path[1:] if isinstance(variable, nnx.Variable) else path
    return tuple(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in keys)


def _kind(variable: Any) -> str:
    if isinstance(variable, nnx.RngKey):
        return "key"
    if isinstance(variable, nnx.RngCount):
        return "count"
    if isinstance(variable, nnx.Intermediate):
        return "intermediate"
    return "params" if isinstance(variable, nnx.Param) else STATE


def _source(jaxpr: core.Jaxpr, variable: Any) -> int | None:
    """Which input of a program an output is a copy of, through calls of inner programs; None if it is computed."""
    if variable in jaxpr.invars:
        return jaxpr.invars.index(variable)
    for equation in jaxpr.eqns:
        if variable in equation.outvars:
            inner = equation.params.get("jaxpr")
            inner = getattr(inner, "jaxpr", inner)
            if not isinstance(inner, core.Jaxpr) or len(inner.invars) != len(equation.invars):
                return None
            place = _source(inner, inner.outvars[equation.outvars.index(variable)])
            return None if place is None else _source(jaxpr, equation.invars[place])
    return None


def _of(leaves: Mapping[Names, tuple[str, Any]], kind: str) -> Leaves:
    return {path: leaf for path, (own, leaf) in leaves.items() if own == kind}
