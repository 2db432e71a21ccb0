"""A value of a run as columns of a table: its name, its parameters and, for what is not lanes' own, its version.

Together the columns of a field tell unlike values apart: two functions of one name differ in `activation.version`, two
partials of one function in the arguments that they bind (`activation.slope`), and text that reads like another value is
quoted (`'1'` beside 1).
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lanes.describe.descriptions import fields_of, is_description
from lanes.describe.encoding import EXPERIMENT, OURS, encode
from lanes.errors import RequestError
from lanes.recipe import strengths
from lanes.recipe.partials import bound_arguments
from lanes.recipe.schedules import SCHEDULES
from losses import Metric
from losses.metrics import name_of_metric
from nets import DropoutKind

VERSION = "version"
DIGITS = 8  # hexadecimal digits of a version in tables
LITERALS = ("true", "false", "none", "null", "nan", "–", "")
SYNTAX = frozenset(",()='\"")  # what separates values in the text of a tuple or a description


def display_name(value: Any, table: Mapping[str, Any] | None = None) -> Any:
    """The value as tables show it: its name in `table` if an entry has its value or type, else its class or function name."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (tuple, list)):
        return ",".join(_item(item) for item in value)
    if isinstance(value, functools.partial):
        name = display_name(value.func, table)
        if table is not None:
            return name
        return f"{name}({', '.join(f'{key}={_item(item)}' for key, item in bound_arguments(value).items())})"
    name = _name_in(table, value)
    if name is not None:
        return name
    if is_description(value):
        if table is not None:
            return type(value).__name__
        inside = ", ".join(f"{name}={_item(getattr(value, name))}" for name in fields_of(value))
        return f"{type(value).__name__}({inside})"
    return getattr(value, "__name__", str(value))


def columns(path: str, value: Any, table: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One field as columns of a table: its name and, dotted, its version and each parameter of a description or a partial.

    The column `PATH.version` is there for a function or class that is not an entry of `table`: a hash of it and all that it
    reaches, with its module unless it is of the experiment file; or the public package that exports it.
    """
    row = {path: display_name(value, table)}
    inside: dict[str, Any] = {}
    if isinstance(value, functools.partial):
        inside = bound_arguments(value)
        if is_description(value.func):
            inside = {name: getattr(value.func, name) for name in fields_of(value.func)} | inside
    elif is_description(value):
        inside = {name: getattr(value, name) for name in fields_of(value)}
    version = " ".join(_versions(value, table))
    if version:
        row[f"{path}.{VERSION}" if VERSION not in inside else f"{path}.{VERSION} of code"] = version
    for name, item in inside.items():
        row |= columns(f"{path}.{name}", item)
    return row


def columns_of_several(path: str, values: tuple[Any, ...], table: Mapping[str, Any]) -> dict[str, Any]:
    """A field of several descriptions: their names with their parameters, and the versions of those not in `table`."""
    row: dict[str, Any] = {path: " ".join(_item(item) for item in values)}
    if versions := [version for item in values for version in _everything(item, table)]:
        row[f"{path}.{VERSION}"] = " ".join(versions)
    return row


def columns_of_number(path: str, value: Any) -> dict[str, Any]:
    """A description in the place of a number: the number itself, and dotted its schedule and the kind of dropout."""
    row: dict[str, Any] = {path: strengths.number_of(value)}
    if isinstance(value, DropoutKind):
        row[f"{path}.kind"] = type(value).__name__
        if versions := _versions(value):
            row[f"{path}.{VERSION}"] = " ".join(versions)
        for name in fields_of(value):
            row |= columns(f"{path}.{name}", getattr(value, name)) if name != "rate" else {}
        value = value.rate
    if isinstance(value, strengths.Scheduled):
        row |= columns(f"{path}.schedule", value.schedule, SCHEDULES)
    return row


def columns_of_metrics(path: str, metrics: tuple[Any, ...]) -> dict[str, Any]:
    """The names of metrics and, of those given as functions, the versions and the directions they state."""
    row: dict[str, Any] = {path: ",".join(map(name_of_metric, metrics))}
    own = [metric for metric in metrics if not isinstance(metric, str)]
    if own:
        row[f"{path}.{VERSION}"] = " ".join(map(_metric_version, own))
    return row


def version_of(thing: Any) -> str:
    """A function's or class's version as tables show it: a hash of it and all that it reaches, or its public package."""
    symbol = encode(thing)
    module = symbol["symbol"].partition(":")[0]
    if set(symbol) == {"symbol"}:
        return module
    digest = hashlib.sha256(json.dumps(symbol, sort_keys=True).encode()).hexdigest()[:DIGITS]
    return digest if module == EXPERIMENT else f"{module}@{digest}"


def _versions(value: Any, table: Mapping[str, Any] | None = None) -> list[str]:
    """The version of a value itself, or those of a tuple's items; lanes' own descriptions and entries of a table have none."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return []
    if isinstance(value, (tuple, list)):
        return [version for item in value for version in _everything(item)]
    if isinstance(value, functools.partial):
        return _versions(value.func, table)
    if _name_in(table, value) is not None:
        return []
    described = is_description(value)
    try:
        version = version_of(type(value) if described else value)
    except RequestError:
        return []
    return [] if described and version in OURS else [version]


def _everything(value: Any, table: Mapping[str, Any] | None = None) -> list[str]:
    """The versions of a value and of all that it holds, for values that have no columns of their own."""
    own = _versions(value, table)
    if isinstance(value, functools.partial):
        return own + [version for item in bound_arguments(value).values() for version in _everything(item)]
    if is_description(value):
        return own + [version for name in fields_of(value) for version in _everything(getattr(value, name))]
    return own


def _metric_version(metric: Any) -> str:
    if not isinstance(metric, Metric):
        return version_of(metric)
    direction = {True: "higher", False: "lower", None: "none"}[metric.higher_is_better]
    over = "" if metric.over == "example" else f":{metric.over}"
    return f"{version_of(metric.function)}:{direction}{over}"


def _name_in(table: Mapping[str, Any] | None, value: Any) -> str | None:
    """The name in the table of the entry with a value, or of the only one of a description's type."""
    entries = (table or {}).items()
    for name, entry in entries:
        if entry is value or (is_description(value) and type(entry) is type(value) and entry == value):
            return name
    if not is_description(value):
        return None
    same_kind = [name for name, entry in entries if type(entry) is type(value)]
    return same_kind[0] if len(same_kind) == 1 else None


def _item(value: Any) -> str:
    """A value inside the text of another."""
    text = str(display_name(value))
    return f"({text})" if isinstance(value, (tuple, list)) else text


def _text(value: str) -> str:
    """A string as it is, quoted if it reads like a number, None, True, or several values."""
    if value.lower() in LITERALS or value != value.strip() or SYNTAX.intersection(value) or is_number(value):
        return repr(value)
    return value


def is_number(text: str) -> bool:
    """Whether a text reads like a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
