"""Descriptions: resolving names, dotted paths, and traced numbers.

A *description* is a frozen dataclass (`LeakyReLU(slope=0.1)`, `Adam(b1=0.95)`). Its float fields are traced: they become
inputs of the compiled program. Its other fields are static. A Flax module is a description whose fields are all static.
Functions serve as well: they are values without fields.
"""

import dataclasses
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from lanes.describe.blanks import Blank
from lanes.errors import RequestError, unknown

ENGINE_FIELDS = ("outputs", "activation", "kernel_init", "dropout", "parent", "name")


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
    """`dataclasses.replace` along a dotted path (`"net.widths"`, `"optimizer.b1"`).

    Raises RequestError for an unknown field, suggesting the nearest.
    """
    head, _, rest = path.partition(".")
    if not is_description(value) or head not in fields_of(value):
        kind = (
            f"field of {type(value).__name__}"
            if is_description(value)
            else f"field (a {type(value).__name__} has none)"
        )
        raise unknown(kind, head, fields_of(value) if is_description(value) else ())
    inner = replace_path(getattr(value, head), rest, new) if rest else new
    return _with_fields(value, {head: inner})


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
        inner = typing.get_args(annotation) if typing.get_origin(annotation) is tuple else ()
        items = tuple(plain(item, inner[0] if inner else Any) for item in value)
        return value if type(value) is tuple and all(new is old for new, old in zip(items, value)) else items
    if not is_description(value):
        return value
    hints = type_hints(value.__class__)
    fields = {name: getattr(value, name) for name in fields_of(value)}
    new = {name: plain(old, hints.get(name, Any)) for name, old in fields.items()}
    changed = {name: item for name, item in new.items() if item is not fields[name]}
    return _with_fields(value, changed) if changed else value


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
    kinds = (
        typing.get_args(annotation)
        if typing.get_origin(annotation) in (typing.Union, types.UnionType)
        else (annotation,)
    )
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


# ---- static and traced -------------------------------------------------------------------------------------------


def traced_numbers(path: str, value: Any) -> dict[str, Any]:
    """The traced numbers of a description by dotted path: its float fields, including those of inner descriptions."""
    if isinstance(value, (float, Blank)):
        return {path: value}
    if isinstance(value, (tuple, list)):
        return {
            k: v
            for i, item in enumerate(value)
            if is_description(item)
            for k, v in traced_numbers(f"{path}.{i}", item).items()
        }
    if not is_description(value) or isinstance(value, nn.Module):
        return {}
    return {
        k: v for name in fields_of(value) for k, v in traced_numbers(f"{path}.{name}", getattr(value, name)).items()
    }


def fill(path: str, value: Any, numbers: Mapping[str, Any]) -> Any:
    """The description with `numbers` (tracers, inside a program) in place of its traced fields."""
    return map_traced(path, value, lambda at, number: numbers.get(at, number))


def map_traced(path: str, value: Any, function: Callable[[str, Any], Any]) -> Any:
    """The description with `function(path, number)` in place of each traced number."""
    if isinstance(value, (float, Blank)):
        return function(path, value)
    if isinstance(value, tuple) and any(is_description(item) for item in value):
        return tuple(
            map_traced(f"{path}.{i}", item, function) if is_description(item) else item for i, item in enumerate(value)
        )
    if not is_description(value) or isinstance(value, nn.Module):
        return value
    changed = {name: map_traced(f"{path}.{name}", getattr(value, name), function) for name in fields_of(value)}
    return dataclasses.replace(value, **changed)
