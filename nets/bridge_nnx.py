"""Nets written in Flax NNX, as descriptions that train like any other net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax.extend import core

from nets.bridge import Bridged, net_of, signature
from nets.bridge_kernels import Layout, inputs_first, several
from nets.bridge_leaves import (
    STATE,
    Leaves,
    Names,
    at,
    check_trained,
    checked,
    draws,
    named,
    nested,
    refuse_keys,
    store,
    store_state,
)


def from_nnx(module: Any, /, *, redraw_kernels: bool = False, **arguments: Any) -> Any:
    """A net computed by a Flax NNX module: `net=from_nnx(Net, features=64, width=32)`.

    The module is written as NNX's documentation teaches: a constructor with `rngs`, and `__call__(x)` for a batch x [B, …]
    that returns the prediction [B, outputs] (or `Outputs`). Its fields are the constructor's arguments, `net.width`. The
    constructor's `outputs`, `activation`, `kernel_init` and `dropout`, where it has them, are filled from the data and the
    run; `activation` is a plain function there. The run's `dropout` is traced: the constructor may hand it to `nnx.Dropout`
    or `nnx.MultiHeadAttention`, scale it, and ask whether it is 0; what reads it otherwise is refused, and the rate is then an
    argument of another name, a static field of the net.

    Every `nnx.Param` is trained. All other variables (`nnx.BatchStat`, arrays) change in training and are kept beside them;
    they are updated once per step. Every stream of random numbers in the module gets a new key in each step, derived from
    the run's seed. Training calls `module.train()`, evaluation `module.eval()`. `__call__` may also take `train`, or `rngs`.

    Parameters have the module's own names; those of two axes or more that are not called kernel, embedding, bias or scale
    end in `kernel` (`w.kernel`), so that penalties and weight decay act on them. `net.module(variables)` gives the module
    back.

    Args:
        module: a class, or a function that makes modules, at the top level of a file.
        redraw_kernels: whether the run's `initializer` and `init_scale` draw all kernels anew, whatever the constructor drew.
            Layers stacked by `nnx.vmap` are drawn one by one, attention's kernels as the matrix [in, heads · size];
            embeddings and `nnx.LoRA` keep their own draw.
        arguments: of its constructor, without those that are filled and without `rngs`.

    Raises:
        ValueError: not a class of NNX, or wrong arguments.
    """
    if isinstance(module, nnx.Module) or not callable(module):
        raise ValueError(f"from_nnx got {type(module).__name__}, not a class: give the class and its arguments")
    if isinstance(module, type) and not issubclass(module, nnx.Module):
        raise ValueError(f"from_nnx got {module.__name__}, which is no nnx.Module: give a class of flax.nnx")
    return net_of(from_nnx, NNXNet, module, arguments, {"redraw_kernels": redraw_kernels})


class NNXNet(Bridged):
    """A net that an NNX module computes; see `from_nnx`."""

    key_name: ClassVar[str] = "rngs"
    filled_in_call: ClassVar[tuple[str, ...]] = ("train", "rngs")
    options: ClassVar[tuple[str, ...]] = ("redraw_kernels",)

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
            store_state(self, state, {path: known[path] for path in state if path in known})
        return result

    @nn.nowrap  # or Flax would take the user's Linen modules for children of this one
    def module(self, variables: Mapping[str, Any]) -> Any:
        """The NNX module with these variables, in evaluation mode: `net.module(variables)(x)` after `lanes.restore`."""
        module, _ = self._merged(variables, jax.random.key(0))
        module.eval()
        return module

    @nn.nowrap
    def _built(self, key: jax.Array, *, at_once: bool) -> Any:
        """The user's module, whose arrays that are no variables are data too, as they are outside of traced functions."""
        module = self._constructed(lambda: nnx.Rngs(key), at_once)
        for _, node in nnx.iter_graph(module):
            for name, value in list(vars(node).items()) if isinstance(node, nnx.Module) else ():
                if isinstance(value, jax.Array):
                    setattr(node, name, nnx.data(value))
        return module

    def _draw(self) -> None:
        """Store the initial variables."""
        module = self._built(self.make_rng("params"), at_once=False)
        leaves = _leaves(nnx.state(module))
        params = {named(path, leaf, True): leaf for path, leaf in _of(leaves, "params").items()}
        check_trained(self, params)
        refuse_keys(_of(leaves, STATE).items())
        store(self, "params", params | self._redrawn(_kernels(module, _of(leaves, "params"))))
        store(self, STATE, {named(path, leaf, False): leaf for path, leaf in _of(leaves, STATE).items()})

    @nn.nowrap
    def _merged(self, variables: Mapping[str, Any], key: jax.Array) -> tuple[Any, Leaves]:
        """The module with stored variables and new keys, and its leaves; the constructor is traced for shapes only."""
        graphs: list[Any] = []

        def shapes(key: jax.Array) -> Any:
            graph, state = nnx.split(self._built(key, at_once=True))
            graphs.append(graph)
            return state

        state = jax.eval_shape(shapes, jax.random.key(0))
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
                    f"{'.'.join(path)} changes in the forward pass, as in nnx.SpectralNorm and nnx.WeightNorm: only variables "
                    "that are not nnx.Param may; compute what the pass needs from it without storing it"
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


def _kernels(module: Any, params: Leaves) -> dict[Names, tuple[Any, Layout | None]]:
    """Each kernel's draw and layout, by stored path."""
    owners = {tuple(map(str, path)): node for path, node in nnx.iter_graph(module) if isinstance(node, nnx.Module)}
    out = {}
    for path, leaf in params.items():
        stored, owner = named(path, leaf, True), owners.get(path[:-1])
        if stored[-1] == "kernel" and not isinstance(owner, nnx.LoRA):
            out[stored] = leaf, _layout(owner, leaf)
    return out


def _layout(owner: Any, leaf: Any) -> Layout | None:
    """The layout of a kernel; parameters of the user's own modules are matrices [in, out]."""
    if isinstance(owner, (nnx.Conv, nnx.ConvTranspose)):
        return inputs_first(leaf, leaf.ndim - 2 if isinstance(owner.kernel_size, int) else len(owner.kernel_size))
    if isinstance(owner, nnx.LinearGeneral):
        return several(leaf, len(owner.in_features), len(owner.out_features))
    if isinstance(owner, nnx.Einsum):
        return inputs_first(leaf, len(owner.kernel_shape) - 2)
    return inputs_first(leaf) if leaf.ndim == 2 or isinstance(owner, nnx.Linear) else None


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
