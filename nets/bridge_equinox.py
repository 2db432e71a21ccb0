"""Nets written in Equinox, as descriptions that train like any other net. Equinox is imported when one is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.bridge import Bridged, net_of, signature
from nets.bridge_kernels import Layout, outputs_first
from nets.bridge_leaves import STATE, Names, at, check_trained, checked, draws, named, refuse_keys, store, store_state
from nets.bridge_rate import Rate

AXIS = "batch"  # the name of the batch axis where no batch normalization says another


def from_equinox(
    module: Any, /, *, redraw_kernels: bool = False, channels_first: bool = False, **arguments: Any
) -> Any:
    """A net computed by an Equinox module: `net=from_equinox(Net, features=64, width=32)`.

    The module is written as Equinox's documentation teaches: a constructor with `key`, and `__call__(x, key=None)` for one
    example x [features, …] (images are [H, W, C]) that returns its prediction [outputs]. It is mapped over the batch by
    `jax.vmap`, with a key per example. Its fields are the constructor's arguments, `net.width`. The constructor's `outputs`,
    `activation` (a plain function), `kernel_init` and `dropout`, where it has them, are filled from the data and the run.

    Every floating-point array is trained. Other arrays are kept. A module with state (`eqx.nn.BatchNorm`) is called as
    `module(x, state)` and returns (prediction, state); the batch axis has the name that its batch normalization says. The
    keys of a step derive from the run's seed. Evaluation is in `eqx.nn.inference_mode`.

    A run's dropout is traced: the constructor may hand `dropout` to `eqx.nn.Dropout`, scale it, and ask whether it is 0; what
    reads it otherwise is refused, and the rate is then an argument of another name, a static field of the net.

    Parameters have the module's own names; those of two axes or more that are not called bias or scale, nor belong to a
    normalization, end in `kernel` (`hidden.weight.kernel`), so that penalties and weight decay act on them.
    `net.module(variables)` gives the module back.

    Args:
        module: a class, or a function that makes modules (or (module, state)), at the top level of a file.
        redraw_kernels: whether the run's `initializer` and `init_scale` draw all kernels anew, whatever the constructor drew.
            A weight [out, in, *window] is drawn as [*window, in, out], layers stacked by `eqx.filter_vmap` one by one;
            embeddings keep their own draw.
        channels_first: whether an example [*space, channels] is handed over as [channels, *space], as `eqx.nn.Conv` takes it.
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
    options = {"redraw_kernels": redraw_kernels, "channels_first": channels_first}
    return net_of(from_equinox, EquinoxNet, module, arguments, options)


class EquinoxNet(Bridged):
    """A net that an Equinox module computes; see `from_equinox`."""

    key_name: ClassVar[str] = "key"
    filled_in_call: ClassVar[tuple[str, ...]] = ("state", "key")
    options: ClassVar[tuple[str, ...]] = ("redraw_kernels", "channels_first")
    inputs_first: ClassVar[bool] = False
    channels_first: ClassVar[bool] = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> Any:
        if self.is_initializing():
            self._draw()
        module, state = self._merged(self.variables)
        result, after = self._called(module, state, x, draws(self, train), train)
        if train and not self.is_initializing() and self.is_mutable_collection(STATE):
            before, new = (
                {path: leaf for path, (_, leaf) in _leaves(tree, "state").items()} for tree in (state, after)
            )
            store_state(self, before, new)
        return checked(self, result)

    @nn.nowrap  # or Flax would take the user's Linen modules for children of this one
    def module(self, variables: Mapping[str, Any]) -> Any:
        """The Equinox module with these variables, in inference mode; with its state, (module, state), if it has one."""
        module, state = self._merged(variables)
        module = _equinox().nn.inference_mode(module)
        return (module, state) if jax.tree.leaves(state) else module

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ValueError if `channels_first` changes nothing."""
        if self.channels_first and len(shape) < 2:
            raise ValueError(f"channels_first is True, and examples have the shape {shape}: leave it out")

    @nn.nowrap
    def _built(self, key: jax.Array, *, at_once: bool) -> tuple[Any, Any]:
        """The module and its state."""
        layers = _equinox().nn
        made = self._constructed(lambda: key, at_once)
        if isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], layers.State):
            module, state = made
        else:
            module, state = layers.make_with_state(lambda: made)()
        if not callable(module):
            raise ValueError(f"{type(self).__name__} has no __call__")
        return module, state

    def _draw(self) -> None:
        """Store the initial variables."""
        module, state = self._built(self.make_rng("params"), at_once=False)
        leaves = {**_arrays(module), **_leaves(state, "state")}
        refuse_keys((path, leaf) for path, (_, leaf) in leaves.items())
        params = {path: leaf for path, (kind, leaf) in leaves.items() if kind == "params"}
        check_trained(self, params)
        store(self, "params", params | self._redrawn(_kernels(module)))
        store(self, STATE, {path: leaf for path, (kind, leaf) in leaves.items() if kind == STATE})

    @nn.nowrap
    def _merged(self, variables: Mapping[str, Any]) -> tuple[Any, Any]:
        """The module and its state with stored variables; the constructor is traced for shapes only."""
        built: list[Any] = []

        def shapes(key: jax.Array) -> list[jax.Array]:
            built.extend(self._built(key, at_once=True))
            arrays = {**_arrays(built[0]), **_leaves(built[1], "state")}
            return [leaf for _, leaf in arrays.values()]

        jax.eval_shape(shapes, jax.random.key(0))
        module, state = built
        filled = []
        for path, (kind, leaf) in _leaves(module).items():
            stored = jnp.asarray(at(variables[kind], path)) if kind else leaf
            filled.append(stored.read() if isinstance(stored, Rate) else stored)
        states = [jnp.asarray(at(variables[STATE], path)) for path in _leaves(state, "state")]
        module = jax.tree.unflatten(jax.tree.structure(module), filled)
        return module, jax.tree.unflatten(jax.tree.structure(state), states)

    def _called(self, module: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> tuple[Any, Any]:
        """The predictions for a batch, and the state after it."""
        equinox = _equinox()
        module = equinox.nn.inference_mode(module, value=not train)
        takes = signature(type(module).__call__)
        stateful = bool(jax.tree.leaves(state))

        def one(x: jax.Array, state: Any, key: jax.Array) -> tuple[Any, Any]:
            x = jnp.moveaxis(x, -1, 0) if self.channels_first else x
            extra = {"key": key} if "key" in takes else {}
            if stateful and "state" in takes:
                result = module(x, state=state, **extra)
            else:
                result = module(x, *([state] if stateful else []), **extra)
            if stateful and not (isinstance(result, tuple) and len(result) == 2):
                raise ValueError(f"{type(self).__name__} has a state: it must return (prediction, state)")
            return result if stateful else (result, state)

        keys = jax.random.split(key, x.shape[0])
        mapped = jax.vmap(one, in_axes=(0, None, 0), out_axes=(0, None), axis_name=_axis(module))
        try:
            return mapped(x, state, keys)
        except ValueError as error:
            raise ValueError(self._explained(module, x, str(error))).with_traceback(error.__traceback__) from error

    def _explained(self, module: Any, x: jax.Array, message: str) -> str:
        """The message of an error of the forward pass, with what is likely to be wrong."""
        name = type(self).__name__
        if "out_axes" in message:
            return f"the state of {name} differs by example: reduce it over the batch, jax.lax.pmean(…, {AXIS!r})"
        layers = _equinox().nn
        if not self.channels_first and x.ndim > 2 and _holds(module, (layers.Conv, layers.ConvTranspose)):
            shape = tuple(x.shape[1:])
            return (
                f"{message.splitlines()[0]} (examples {shape} have their channels last, and Equinox's convolutions take them "
                f"first: from_equinox({name}, …, channels_first=True))"
            )
        return message


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
        names = _names(path)
        if equinox.is_inexact_array(leaf):
            out[named(names, leaf, not _normalizes(_owner(tree, path)))] = "params", leaf
        else:
            out[names] = STATE if equinox.is_array(leaf) else "", leaf
    return out


def _arrays(module: Any) -> dict[Names, tuple[str, Any]]:
    return {path: found for path, found in _leaves(module).items() if found[0]}


def _names(path: Any) -> Names:
    return tuple(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)


def _owner(module: Any, path: Any) -> Any:
    """The module whose field a leaf is."""
    for key in path[:-1]:
        if isinstance(key, jax.tree_util.GetAttrKey):
            module = getattr(module, key.name)
        else:
            module = module[getattr(key, "key", getattr(key, "idx", None))]
    return module


def _normalizes(owner: Any) -> bool:
    """Whether a module is a normalization, whose weights are no kernels whatever their shape."""
    layers = _equinox().nn
    return isinstance(owner, (layers.LayerNorm, layers.RMSNorm, layers.GroupNorm, layers.BatchNorm, layers.WeightNorm))


def _kernels(module: Any) -> dict[Names, tuple[Any, Layout | None]]:
    """Each kernel's draw and layout, by stored path."""
    layers, out = _equinox().nn, {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(module):
        owner = _owner(module, path)
        stored = named(_names(path), leaf, not _normalizes(owner)) if _equinox().is_inexact_array(leaf) else ("",)
        if stored[-1] == "kernel" and not isinstance(owner, layers.Embedding):
            out[stored] = leaf, _layout(owner, leaf)
    return out


def _layout(owner: Any, leaf: Any) -> Layout | None:
    """The layout of a kernel; arrays of the user's own modules are matrices [out, in], as the documentation writes them."""
    layers = _equinox().nn
    if isinstance(owner, (layers.Conv, layers.ConvTranspose)):
        return outputs_first(leaf, owner.num_spatial_dims)
    if leaf.ndim == 2 or isinstance(owner, (layers.Linear, layers.GRUCell, layers.LSTMCell)):
        return outputs_first(leaf)
    return None


def _holds(module: Any, kinds: Any) -> bool:
    return any(
        isinstance(node, kinds) for node in jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, kinds))
    )


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
