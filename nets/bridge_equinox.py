"""Nets written in Equinox, as descriptions that train like any other net. Equinox is imported when one is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.bridge import (
    STATE,
    Bridged,
    Names,
    at,
    check_trained,
    checked,
    draws,
    named,
    net_of,
    refuse_keys,
    signature,
    store,
)

AXIS = "batch"  # the name of the batch axis where no batch normalization says another


def from_equinox(module: Any, **arguments: Any) -> Any:
    """A net computed by an Equinox module: `net=from_equinox(Net, features=64, width=32)`.

    The module is written as Equinox's documentation teaches: a constructor with `key`, and `__call__(x, key=None)` for one
    example x [features, …] (images are [H, W, C]) that returns its prediction [outputs]. It is mapped over the batch by
    `jax.vmap`, with a key per example. Its fields are the constructor's arguments, `net.width`. The constructor's `outputs`,
    `activation` (a plain function), `kernel_init` and `dropout`, where it has them, are filled from the data and the run.

    Every floating-point array is trained. Other arrays are kept. A module with state (`eqx.nn.BatchNorm`) is called as
    `module(x, state)` and returns (prediction, state); the batch axis has the name that its batch normalization says. The
    keys of a step derive from the run's seed. Evaluation is in `eqx.nn.inference_mode`.

    Parameters have the module's own names; those of two axes or more that are not called bias or scale, nor belong to a
    normalization, end in `kernel` (`hidden.weight.kernel`), so that penalties and weight decay act on them.
    `net.module(variables)` gives the module back.

    Args:
        module: a class, or a function that makes modules, at the top level of a file.
        arguments: of its constructor, without those that are filled and without `key`.

    Raises:
        ValueError: not a class of Equinox, or wrong arguments.
        ModuleNotFoundError: Equinox is not installed.
    """
    equinox = _equinox()
    if isinstance(module, equinox.Module) or not callable(module):
        raise ValueError(f"from_equinox got {type(module).__name__}, not a class: give the class and its arguments")
    if isinstance(module, type) and not issubclass(module, equinox.Module):
        raise ValueError(f"from_equinox got {module.__name__}, which is no equinox.Module: give a class of Equinox")
    return net_of(from_equinox, EquinoxNet, module, arguments)


class EquinoxNet(Bridged):
    """A net that an Equinox module computes; see `from_equinox`."""

    key_name: ClassVar[str] = "key"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> Any:
        if self.is_initializing():
            self._draw()
        module, state = self._merged(self.variables)
        result, after = self._called(module, state, x, draws(self, train), train)
        if train and not self.is_initializing() and self.is_mutable_collection(STATE):
            store(self, STATE, {path: leaf for path, (_, leaf) in _leaves(after, "state").items()})
        return checked(self, result)

    def module(self, variables: Mapping[str, Any]) -> Any:
        """The Equinox module with these variables, in inference mode; with its state, (module, state), if it has one."""
        module, state = self._merged(variables)
        module = _equinox().nn.inference_mode(module)
        return (module, state) if jax.tree.leaves(state) else module

    def _built(self, key: jax.Array) -> tuple[Any, Any]:
        """The module and its state."""
        module, state = _equinox().nn.make_with_state(self.built)(key)
        if jax.tree.leaves(state) and not callable(module):
            raise ValueError(f"{type(self).__name__} has no __call__")
        return module, state

    def _draw(self) -> None:
        """Store the initial variables."""
        module, state = self._built(self.make_rng("params"))
        leaves = {**self._arrays(module), **_leaves(state, "state")}
        refuse_keys((path, leaf) for path, (_, leaf) in leaves.items())
        check_trained(self, {path: leaf for path, (kind, leaf) in leaves.items() if kind == "params"})
        for collection in ("params", STATE):
            store(self, collection, {path: leaf for path, (kind, leaf) in leaves.items() if kind == collection})

    def _arrays(self, module: Any) -> dict[Names, tuple[str, Any]]:
        return {
            path: found
            for path, found in _leaves(module).items()
            if found[0] and found[1] is not getattr(self, "dropout", None)
        }

    def _merged(self, variables: Mapping[str, Any]) -> tuple[Any, Any]:
        """The module and its state with stored variables; the constructor is traced for shapes only."""
        built: list[Any] = []

        def shapes() -> list[jax.Array]:
            built.extend(self._built(jax.random.key(0)))
            arrays = {**self._arrays(built[0]), **_leaves(built[1], "state")}
            return [leaf for _, leaf in arrays.values()]

        jax.eval_shape(shapes)
        module, state = built
        kept = self._arrays(module)
        paths = list(_leaves(module))
        leaves, structure = jax.tree.flatten(module)
        filled = [
            jnp.asarray(at(variables[kept[path][0]], path)) if path in kept else leaf
            for path, leaf in zip(paths, leaves)
        ]
        states = [jnp.asarray(at(variables[STATE], path)) for path in _leaves(state, "state")]
        return jax.tree.unflatten(structure, filled), jax.tree.unflatten(jax.tree.structure(state), states)

    def _called(self, module: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> tuple[Any, Any]:
        """The predictions for a batch, and the state after it."""
        equinox = _equinox()
        module = equinox.nn.inference_mode(module, value=not train)
        keyed = "key" in signature(type(module).__call__)
        stateful = bool(jax.tree.leaves(state))

        def one(x: jax.Array, state: Any, key: jax.Array) -> tuple[Any, Any]:
            extra = {"key": key} if keyed else {}
            result = module(x, state, **extra) if stateful else module(x, **extra)
            if stateful and not (isinstance(result, tuple) and len(result) == 2):
                raise ValueError(f"{type(self).__name__} has a state: it must return (prediction, state)")
            return result if stateful else (result, state)

        keys = jax.random.split(key, x.shape[0])
        mapped = jax.vmap(one, in_axes=(0, None, 0), out_axes=(0, None), axis_name=_axis(module))
        try:
            return mapped(x, state, keys)
        except ValueError as error:
            if "out_axes" not in str(error):
                raise
            raise ValueError(
                f"the state of {type(self).__name__} differs by example: reduce it over the batch, jax.lax.pmean(…, {AXIS!r})"
            ) from error


def _equinox() -> Any:
    """The package.

    Raises:
        ModuleNotFoundError: with how to install it.
    """
    try:
        return importlib.import_module("equinox")
    except ModuleNotFoundError as error:
        if error.name != "equinox":
            raise
        raise ModuleNotFoundError("Equinox is not installed: pip install equinox (the extra `equinox`)") from None


def _leaves(tree: Any, prefix: str | None = None) -> dict[Names, tuple[str, Any]]:
    """(collection, leaf) by stored path, in the order of `jax.tree.leaves`; the collection is "" for what is no array.

    Args:
        tree: a module, or its state.
        prefix: for a state, whose leaves are numbered below it.
    """
    equinox = _equinox()
    out: dict[Names, tuple[str, Any]] = {}
    for index, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(tree)):
        if prefix is not None:
            out[prefix, str(index)] = STATE, leaf
            continue
        names = tuple(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)
        if equinox.is_inexact_array(leaf):
            out[named(names, leaf, not _normalizes(tree, path[:-1]))] = "params", leaf
        else:
            out[names] = STATE if equinox.is_array(leaf) else "", leaf
    return out


def _normalizes(module: Any, path: Any) -> bool:
    """Whether the module at a path is a normalization, whose weights are no kernels whatever their shape."""
    layers = _equinox().nn
    for key in path:
        if isinstance(key, jax.tree_util.GetAttrKey):
            module = getattr(module, key.name)
        else:
            module = module[getattr(key, "key", getattr(key, "idx", None))]
    return isinstance(module, (layers.LayerNorm, layers.RMSNorm, layers.GroupNorm, layers.BatchNorm))


def _axis(module: Any) -> Any:
    """The name of the batch axis that the module's batch normalizations reduce over.

    Raises:
        ValueError: they name several.
    """
    kind = _equinox().nn.BatchNorm
    found = [
        node for node in jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, kind)) if isinstance(node, kind)
    ]
    names = {node.axis_name for node in found} or {AXIS}
    if len(names) > 1 or not isinstance(next(iter(names)), str):
        raise ValueError(
            f"batch normalizations have the axes {sorted(map(str, names))}: give all of them the same name"
        )
    return names.pop()
