"""What the bridges to other libraries share: a description per class of the user's, and named leaves.

A bridged net is a Flax Linen module whose fields are the arguments of the user's constructor. Its parameters are in the
collection "params" and its other arrays (batch statistics, counters, tables) in "state", under the names that they have in
the user's module.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import numpy as np
from flax import linen as nn

from nets.bridge_kernels import Layout, redrawn
from nets.bridge_leaves import Names
from nets.bridge_rate import Rate
from nets.initializers_transforming import ScaledTransformed
from nets.layers import Factory, Initializer, kernel_default, pieces_of, rectifier

FILLED: dict[str, tuple[Any, Any]] = {  # the fields that the engine fills: type and default
    "outputs": (int, 10),
    "activation": (Factory, rectifier),
    "kernel_init": (Initializer, kernel_default),
    "dropout": (Any, 0.0),
}
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Bridged(nn.Module):
    """A net that a class of another library computes; made by `from_nnx` and `from_equinox`, one subclass for each class.

    Attributes:
        made_by: the function that made the subclass.
        made_of: the user's class; `made_by(made_of, **fields)` makes the net again.
    """

    made_by: ClassVar[Callable[..., Any]]
    made_of: ClassVar[Callable[..., Any]]
    key_name: ClassVar[str]
    filled_in_call: ClassVar[tuple[str, ...]]  # arguments of `__call__` besides the examples
    options: ClassVar[tuple[str, ...]]  # of the bridge, not of the constructor; fields where they are given
    inputs_first: ClassVar[bool] = True  # whether kernels are [*window, in, out]
    redraw_kernels: ClassVar[bool] = False

    @nn.nowrap
    def _constructed(self, keys: Callable[[], Any], at_once: bool) -> Any:
        """The user's module, its constructor called with the fields and the random key or keys.

        Args:
            keys: makes the key or keys.
            at_once: compute what follows from numbers alone at once, as it is outside of traced functions, so that closures
                hold no tracers; if False, only for constructors that read an array in Python (`int(jnp.sqrt(width))`).
        """
        takes = signature(self.made_of)
        own = [name for name in fields_of(type(self)) if name not in self.options]
        source: list[Any] = []
        if getattr(self, "vocabulary", 0) is None and takes["vocabulary"].default is inspect.Parameter.empty:
            raise ValueError(f"{type(self).__name__} needs vocabulary, which only data of tokens fill: give it")
        arguments = {name: getattr(self, name) for name in own if name in takes or _variadic(takes)}
        if "outputs" in takes:
            arguments["outputs"] = self.outputs
        if "activation" in takes:
            arguments["activation"] = self._function()
        if "kernel_init" in takes:
            arguments["kernel_init"] = self._initializer()
        if "dropout" in takes:
            arguments["dropout"] = self.dropout if isinstance(self.dropout, (int, float)) else Rate(source)
        takes_keys = self.key_name in takes or _variadic(takes)

        def made(at_once: bool) -> Any:
            with jax.ensure_compile_time_eval() if at_once else contextlib.nullcontext():
                return self.made_of(**arguments, **({self.key_name: keys()} if takes_keys else {}))

        try:
            module = made(at_once)
        except jax.errors.ConcretizationTypeError:
            if at_once:
                raise
            module = made(at_once=True)
        source.append(0.0 if self.scope is not None and self.is_initializing() else getattr(self, "dropout", 0.0))
        return module

    def _redrawn(self, kernels: Mapping[Names, tuple[Any, Layout | None]]) -> dict[Names, jax.Array]:
        """The run's draws of the kernels, by stored path; none unless asked for."""
        if not self.redraw_kernels:
            return {}
        return redrawn(type(self).__name__, self._initializer(), self.make_rng("params"), kernels)

    @nn.nowrap
    def _function(self) -> Any:
        function = self.activation()
        if isinstance(function, nn.Module) or pieces_of(self.activation) != 1:
            raise ValueError(
                f"{type(self).__name__} takes plain functions: its activation must not learn or widen layers"
            )
        return function

    @nn.nowrap
    def _initializer(self) -> Any:
        if isinstance(self.kernel_init, ScaledTransformed):
            own: Any = self.kernel_init
            while hasattr(own, "initializer"):
                own = own.initializer
            raise ValueError(
                f"{type(self).__name__} has no layers of Flax Linen, which initializer {type(own).__name__} transforms: choose "
                "another initializer"
            )
        return self.kernel_init


def net_of(
    made_by: Callable[..., Any], bridge: Any, made_of: Any, arguments: Mapping[str, Any], options: Mapping[str, bool]
) -> Any:
    """The description of a net: an instance of a subclass of `bridge` whose fields are the constructor's arguments.

    Options that are True are fields too, so that a net without them is described as before there were any.

    Raises:
        ValueError: an argument that the constructor does not take or lacks, that the engine fills, or that is no value; an
            argument of `__call__` that nothing fills.
    """
    name = getattr(made_of, "__name__", str(made_of))
    takes = signature(made_of)
    filled = [key for key in arguments if key in FILLED]
    if filled:
        raise ValueError(
            f"{name} is given {', '.join(filled)}, which the engine fills: leave it out, and set the fields of Run"
        )
    _check_options(name, takes, options)
    _check_call(name, made_of, bridge.filled_in_call)
    known = [key for key, p in takes.items() if p.kind not in VARIADIC and key not in FILLED and key != bridge.key_name]
    for key in arguments:
        if key not in known and not _variadic(takes):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(f"{name} has no argument {key!r}: {hint}it takes {', '.join(known) or 'none'}")
        if _is_of_flax(key):
            raise ValueError(f"{name} has an argument {key!r}, which Flax modules use themselves: rename it")
    _check_engine_defaults(name, takes)
    absent = {key: takes[key].default for key in known if key not in arguments}
    if absent.get("vocabulary") is inspect.Parameter.empty:
        absent["vocabulary"] = None  # filled from the data
    lacking = [key for key, default in absent.items() if default is inspect.Parameter.empty]
    if lacking:
        raise ValueError(f"{name} needs {', '.join(lacking)}: give it, {made_by.__name__}({name}, {lacking[0]}=…)")
    values = {key: default for key, default in absent.items() if _is_plain(default) and not _is_of_flax(key)}
    values |= {key: _value(name, key, value) for key, value in arguments.items()}
    values = {key: values[key] for key in (*(k for k in known if k in values), *sorted(values.keys() - set(known)))}
    hints = _hints(made_of)
    values |= {key: True for key, value in options.items() if value}
    if values.get("vocabulary", 0) is None:
        hints["vocabulary"] = int | None
    types = tuple((key, hints.get(key, _type(value))) for key, value in values.items())
    redraws = ("kernel_init",) if options["redraw_kernels"] else ()
    filled_fields = tuple(key for key in FILLED if key in ("outputs", *redraws) or key in takes)
    return _subclass(made_by, bridge, made_of, types, filled_fields)(**values)


def _is_of_flax(name: str) -> bool:
    """Whether Linen modules have an attribute of this name, so that no field may."""
    return name in ("parent", "name") or hasattr(Bridged, name)


@functools.lru_cache(maxsize=512)
def _subclass(
    made_by: Callable[..., Any],
    bridge: Any,
    made_of: Any,
    types: tuple[tuple[str, Any], ...],
    filled: tuple[str, ...],
) -> Any:
    """The subclass for a constructor's arguments, made once, so that equal descriptions are equal."""
    annotations = dict(types) | {name: FILLED[name][0] for name in filled}
    body = {
        "__annotations__": annotations,
        "__module__": made_of.__module__,
        "__qualname__": made_of.__qualname__,
        "__doc__": made_of.__doc__,
        "made_by": staticmethod(made_by),
        "made_of": staticmethod(made_of),
        **dict.fromkeys(dict(types), None),
        **{name: FILLED[name][1] for name in filled},
    }
    return type(made_of.__name__, (bridge,), body)


def signature(made_of: Any) -> dict[str, inspect.Parameter]:
    """The arguments of a class's constructor, or of a function that makes modules."""
    parameters = dict(inspect.signature(_constructor(made_of)).parameters)
    if isinstance(made_of, type):
        parameters.pop(next(iter(parameters)))  # self
    return parameters


def _constructor(made_of: Any) -> Any:
    # Not the class itself: its metaclass may hide the arguments.
    return getattr(made_of, "__init__") if isinstance(made_of, type) else made_of  # noqa: B009


def fields_of(kind: Any) -> list[str]:
    """The fields of a bridged net that the user sets."""
    return [name for name in kind.__dataclass_fields__ if name not in (*FILLED, "parent", "name")]


def _variadic(takes: Mapping[str, inspect.Parameter]) -> bool:
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values())


def _hints(made_of: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(_constructor(made_of))
    except (NameError, TypeError):
        return {}


def _type(value: Any) -> Any:
    if isinstance(value, tuple) and value and all(type(item) is type(value[0]) for item in value):
        return tuple[type(value[0]), ...]  # type: ignore[misc]
    return type(value) if isinstance(value, (bool, int, float, str)) else Any


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _check_options(name: str, takes: Mapping[str, inspect.Parameter], options: Mapping[str, bool]) -> None:
    for key, value in options.items():
        if not isinstance(value, bool):
            raise ValueError(f"{key} is {value!r}: it must be True or False")
        if key in takes:
            raise ValueError(f"{name} has an argument {key!r}, which is one of the bridge itself: rename it")


def _check_call(name: str, made_of: Any, filled: tuple[str, ...]) -> None:
    """Raises ValueError for a required argument of `__call__`, after the examples, that nothing fills."""
    bases = made_of.__mro__ if isinstance(made_of, type) else ()
    call = next((vars(base)["__call__"] for base in bases if "__call__" in vars(base)), None)
    try:
        parameters = list(inspect.signature(call).parameters.values())[2:] if callable(call) else []
    except (TypeError, ValueError):  # without a signature
        return
    required = [p.name for p in parameters if p.kind not in VARIADIC and p.default is inspect.Parameter.empty]
    unfilled = [key for key in required if key not in filled]
    if unfilled:
        raise ValueError(
            f"{name}.__call__ needs {', '.join(unfilled)}, and is called with x{''.join(f', {key}' for key in filled)} alone: "
            "give it a default, or let the constructor take it"
        )


def _check_engine_defaults(name: str, takes: Mapping[str, inspect.Parameter]) -> None:
    """Refuse defaults that the engine would overwrite by other values of the run's own defaults."""
    empty = inspect.Parameter.empty
    own = {key: takes[key].default for key in ("dropout", "activation") if key in takes}
    if own.get("dropout", empty) is not empty and own["dropout"] != 0:
        raise ValueError(
            f"{name} has dropout={own['dropout']!r} by default, but the run's dropout takes its place: remove the default, and "
            f"set Run(dropout={own['dropout']!r}); or rename the argument"
        )
    if own.get("activation", empty) not in (empty, jax.nn.relu, nn.relu):
        raise ValueError(
            f"{name} has an activation by default, but the run's activation takes its place: remove the default, and set "
            "Run(activation=…); or rename the argument"
        )


def _value(name: str, key: str, value: Any) -> Any:
    """The argument as a field: a tuple for a list. Arrays and functions without a name of their own are refused."""
    if isinstance(value, (list, tuple)):
        return tuple(_value(name, key, item) for item in value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, jax.Array, dict, set)):
        raise ValueError(f"{key} of {name} is {type(value).__name__}: give numbers, names, tuples or functions")
    function = value.func if isinstance(value, functools.partial) else value
    qualified = getattr(function, "__qualname__", type(value).__qualname__)
    if "<locals>" in qualified or "<lambda>" in qualified:
        raise ValueError(
            f"{key} of {name} is {qualified}, which has no identity to resume by: give a named function at the top of a file"
        )
    return value


def refusal(value: Any) -> str | None:
    """Why a value cannot be a net as it is: it is a module of another library, or a class of one."""
    kind = value if isinstance(value, type) else type(value)
    for library, base, bridge in (("flax.nnx", "Module", "from_nnx"), ("equinox", "Module", "from_equinox")):
        module = sys.modules.get(library)
        if module is not None and issubclass(kind, getattr(module, base)):
            return (
                f"net is {'the class' if value is kind else 'an instance of'} {kind.__name__} of {library}: write "
                f"`from nets import {bridge}` and net={bridge}({kind.__name__}, …) with the arguments of its constructor"
            )
    return None
