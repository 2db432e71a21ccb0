"""Descriptions: resolving names, dotted paths, and traced numbers.

A *description* is a frozen dataclass (`LeakyReLU(slope=0.1)`, `Adam(b1=0.95)`). Its float fields are traced: they become
inputs of the compiled program. Its other fields are static. A Flax module is a description whose fields are all static.
Functions serve as well: they are values without fields.
"""

import contextlib
import dataclasses
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lanes.describe.blanks import Blank
from lanes.errors import RequestError, unknown
from lanes.recipe import optimizers_own, schedules_own
from lanes.recipe.partials import bound_arguments, changed, parameters_of, with_arguments

ENGINE_FIELDS = ("outputs", "activation", "kernel_init", "dropout", "reads_padding", "parent", "name")


def is_description(value: Any) -> bool:
    """Whether a value is an instance of a dataclass, such as a Flax module."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def fields_of(value: Any) -> list[str]:
    """The fields of a description that a user sets; those that the engine fills, of a net or a task, are left out."""
    hidden = ENGINE_FIELDS if isinstance(value, nn.Module) else ()
    fields = [field for field in dataclasses.fields(value) if field.init and not field.metadata.get("engine")]
    return [field.name for field in fields if field.name not in hidden]


def described_fields(value: Any) -> list[str]:
    """`fields_of` without those left out of descriptions (`is_left_out`)."""
    left_out = {field.name for field in dataclasses.fields(value) if is_left_out(field, getattr(value, field.name))}
    return [name for name in fields_of(value) if name not in left_out]


def is_left_out(field: dataclasses.Field, value: Any) -> bool:
    """Whether descriptions leave out a field with this value: one marked `{"later": True}`, at its default.

    A field that a new version adds is marked so, and what earlier versions described keeps its identity.
    """
    return bool(field.metadata.get("later")) and type(value) is type(field.default) and value == field.default


def resolve(value: Any, table: Mapping[str, Any], kind: str) -> Any:
    """The entry of `table` with this name; functions and descriptions are returned as they are.

    Raises RequestError for a name that is not in the table, and for a function without an identity.
    """
    if isinstance(value, str):
        if value not in table:
            raise unknown(kind, value, table)
        return table[value]
    if not callable(value) and not is_description(value):
        raise RequestError(
            f"{kind} is {value!r}: give a name ({', '.join(sorted(table)[:4])}, …), a function or a description"
        )
    check_identity(value, kind)
    return value


def check_identity(value: Any, kind: str) -> None:
    """Refuse lambdas, closures and functions inside functions, which have no name to be identified and found by.

    Raises RequestError.
    """
    if isinstance(value, functools.partial):
        check_identity(value.func, kind)
        return
    name = getattr(value if inspect.isroutine(value) or isinstance(value, type) else type(value), "__qualname__", "")
    if "<lambda>" in name:
        raise RequestError(
            f"{kind} is a lambda, which has no identity to resume by: write it as a named function at the top of a file"
        )
    if "<locals>" in name:
        raise RequestError(
            f"{kind} is {name!r}, defined inside a function: move it to the top level of the file, its values as dataclass fields"
        )


# ---- dotted paths ------------------------------------------------------------------------------------------------


def replace_path(value: Any, path: str, new: Any) -> Any:
    """`dataclasses.replace` along a dotted path (`"net.widths"`, `"optimizer.b1"`); an argument of a function is bound to it.

    Raises RequestError for an unknown field or argument, suggesting the nearest.
    """
    head, _, rest = path.partition(".")
    if is_function(value):
        return _with_argument(value, head, rest, new)
    if not is_description(value) or head not in fields_of(value):
        kind = (
            f"field of {type(value).__name__}"
            if is_description(value)
            else f"field (a {type(value).__name__} has none)"
        )
        raise unknown(kind, head, fields_of(value) if is_description(value) else ())
    inner = replace_path(getattr(value, head), rest, new) if rest else new
    return _with_fields(value, {head: inner})


def is_function(value: Any) -> bool:
    """Whether a value is a function or a partial: `replace_path` binds arguments to it."""
    return inspect.isroutine(value) or isinstance(value, functools.partial)


def _function_name(value: Any) -> str:
    while isinstance(value, functools.partial):
        value = value.func
    return getattr(value, "__name__", type(value).__name__)


def _with_argument(value: Any, name: str, rest: str, new: Any) -> functools.partial:
    parameters = parameters_of(value.func if isinstance(value, functools.partial) else value)
    bound = bound_arguments(value) if isinstance(value, functools.partial) else {}
    parameter = parameters.get(name)
    named = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if name not in named and name not in bound and not open_ended:
        raise unknown(f"argument of {_function_name(value)}", name, named)
    default = parameter.default if parameter is not None else bound.get(name)
    if rest:
        new = replace_path(bound.get(name, default), rest, new)
    is_whole = isinstance(new, numbers.Integral) and not isinstance(new, (bool, np.bool_))
    if is_whole and (isinstance(default, float) or isinstance(bound.get(name), float)):
        new = float(new)  # equal numbers make the same run, and a float is traced however it is written
    return changed(value if isinstance(value, functools.partial) else functools.partial(value), {name: new})


def plain(value: Any, annotation: Any = Any) -> Any:
    """The value with NumPy numbers as Python's and whole numbers in float fields as floats (`Cosine(warmup=100)`).

    Equal numbers then make the same run, and a float field is traced however it was written. A value that needs no change
    is returned itself.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, numbers.Integral):
        kinds = typing.get_args(annotation) or (annotation,)
        return float(value) if float in kinds and int not in kinds else int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, (tuple, list)):
        inner = next((typing.get_args(kind) for kind in kinds_of(annotation) if typing.get_origin(kind) is tuple), ())
        items = tuple(plain(item, inner[0] if inner else Any) for item in value)
        return value if type(value) is tuple and all(new is old for new, old in zip(items, value)) else items
    if isinstance(value, functools.partial):
        args, keywords = plain(value.args), {name: plain(item) for name, item in value.keywords.items()}
        is_plain = args is value.args and all(item is value.keywords[name] for name, item in keywords.items())
        return value if is_plain else functools.partial(value.func, *args, **keywords)
    if not is_description(value):
        return value
    hints = type_hints(value.__class__)
    fields = {name: getattr(value, name) for name in fields_of(value)}
    new = {name: plain(old, hints.get(name, Any)) for name, old in fields.items()}
    changed = {name: item for name, item in new.items() if item is not fields[name]}
    return _with_fields(value, changed) if changed else value


def kinds_of(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a type, or the type alone."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def _with_fields(value: Any, changed: Mapping[str, Any]) -> Any:
    return value.clone(**changed) if isinstance(value, nn.Module) else dataclasses.replace(value, **changed)


@functools.lru_cache(maxsize=512)
def type_hints(cls: Hashable) -> dict[str, Any]:
    """The field types of a class; empty if they cannot be resolved."""
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError):
        return {}


def parse_text(text: str, annotation: Any, what: str) -> Any:
    """The value of a field of type `annotation`, parsed from a command line's `text`; `what` names the field in errors.

    Raises RequestError if the text is not of that type.
    """
    kinds = kinds_of(annotation)
    if text.lower() in ("none", "null") and (type(None) in kinds or annotation is Any):
        return None
    for kind in kinds:
        if typing.get_origin(kind) is tuple:
            inner = typing.get_args(kind)[0]
            return tuple(parse_text(part, inner, what) for part in text.strip("()[] ").split(",") if part.strip())
        if kind is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    if any(kind in (str, Any) for kind in kinds) or not all(kind in (int, float, bool, type(None)) for kind in kinds):
        return text.strip()
    expected = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise RequestError(f"{what} is {text!r}: it must be of type {expected}")


def item_of(value: Any, name: str) -> Any:
    """A field of a description, an argument bound to a partial, or an item of a tuple; None if there is none."""
    if isinstance(value, tuple):
        return value[int(name)] if name.isdigit() and int(name) < len(value) else None
    if isinstance(value, functools.partial):
        return bound_arguments(value).get(name)
    return getattr(value, name, None)


def parse_argument(function: Any, name: str, text: str, what: str) -> Any:
    """An argument of a function, parsed from a command line's `text` by its annotation, its present value or its default.

    Raises RequestError for a text of another type, and for a function that has no such argument.
    """
    parameter = parameters_of(function).get(name)
    default = inspect.Parameter.empty if parameter is None else parameter.default
    stated = None if isinstance(function, functools.partial) else type_hints(function).get(name)
    value = item_of(function, name) if isinstance(function, functools.partial) else None
    for example in (value, default):
        if example is not None and example is not inspect.Parameter.empty:
            kinds = {bool: bool, int: int | float, float: float, str: str}
            return parse_text(text, kinds.get(type(example), Any), what)
    if stated is not None:
        return parse_text(text, stated, what)
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return parse_text(text, Any, what)


# ---- static and traced -------------------------------------------------------------------------------------------


# Fields whose functions are called in the program with the numbers bound to them, by the last name of the path: what of
# these numbers they read in Python.
READ_IN_PYTHON: dict[str, Callable[[Any], frozenset[str]]] = {
    "optimizer": optimizers_own.static_arguments,
    "schedule": schedules_own.static_arguments,
}


def inner_values(path: str, value: Any) -> dict[str, Any]:
    """What may hold traced numbers in a value, by name: fields of a description, items of a tuple, bound arguments.

    Numbers that a function reads in Python are left out: they are static, as are all that are bound to functions of fields
    other than the optimizer and the schedule.
    """
    if isinstance(value, tuple):
        return {str(at): item for at, item in enumerate(value) if is_description(item)}
    read = READ_IN_PYTHON.get(path.rpartition(".")[2])
    if isinstance(value, functools.partial):
        inside = {} if read is None else bound_arguments(value)
    elif is_description(value) and not isinstance(value, nn.Module):
        inside = {name: getattr(value, name) for name in fields_of(value)}
    else:
        return {}
    if read is not None and any(isinstance(item, float) for item in inside.values()):
        # Of a value with blanks or tracers, the numbers that are left are static.
        filled = any(isinstance(item, (Blank, jax.Array)) for item in inside.values())
        static = {name for name, item in inside.items() if isinstance(item, float)} if filled else read(value)
        inside = {name: item for name, item in inside.items() if name not in static}
    return inside


def traced_numbers(path: str, value: Any) -> dict[str, Any]:
    """The traced numbers of a value by dotted path: floats of a description, of inner descriptions, and of a partial."""
    if isinstance(value, (float, Blank)):
        return {path: value}
    if value is None or isinstance(value, (int, str)) or inspect.isfunction(value):
        return {}  # most values, as this is called for each field of each run
    inside = inner_values(path, value)
    return {k: v for name, item in inside.items() for k, v in traced_numbers(f"{path}.{name}", item).items()}


def fill(path: str, value: Any, numbers: Mapping[str, Any]) -> Any:
    """The description with `numbers` (tracers, inside a program) in place of its traced fields."""
    return map_traced(path, value, lambda at, number: numbers.get(at, number))


def map_traced(path: str, value: Any, function: Callable[[str, Any], Any]) -> Any:
    """The description with `function(path, number)` in place of each traced number."""
    if isinstance(value, (float, Blank)):
        return function(path, value)
    inside = inner_values(path, value)
    new = {name: map_traced(f"{path}.{name}", item, function) for name, item in inside.items()}
    if isinstance(value, tuple):
        return tuple(new.get(str(at), item) for at, item in enumerate(value)) if new else value
    if isinstance(value, functools.partial):
        return changed(value, new) if path.rpartition(".")[2] in READ_IN_PYTHON else value
    return with_arguments(value, new)
