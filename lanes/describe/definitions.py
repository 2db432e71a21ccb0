"""Where the user's code is defined: the text of a module, the imports of a function, the body and members of a class."""

import dataclasses
import functools
import importlib.util
import inspect
import linecache
import types
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from lanes.describe import code as codes
from lanes.describe.public_names import globals_are_users, is_users

GENERATED = frozenset(
    (
        "__init__",
        "__new__",
        "__repr__",
        "__eq__",
        "__hash__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
        "__setattr__",
        "__delattr__",
        "__replace__",
    )
)


def text_of(namespace: Mapping[str, Any], file: str) -> codes.Text | None:
    """The parsed text of the module whose code was compiled from `file`; None if there is none."""
    loader: Any = namespace.get("__loader__")
    if hasattr(loader, "compiled_from"):  # loaded by `lanes.describe.experiment_files`
        return codes.parsed(loader.text)
    if not file:
        return None
    linecache.checkcache(file)
    lines = linecache.getlines(file, dict(namespace))
    return codes.parsed("".join(lines)) if lines else None


def folder_of(namespace: Mapping[str, Any]) -> str:
    """The folder that paths in a module's values are relative to: the experiment's, or the module's own."""
    loader: Any = namespace.get("__loader__")
    if hasattr(loader, "compiled_from"):
        return str(loader.folder)
    file = namespace.get("__file__")
    return "" if not isinstance(file, str) else file.replace("\\", "/").rpartition("/")[0]


def imported(namespace: Mapping[str, Any], name: str, level: int) -> types.ModuleType | None:
    """The user's module that an import inside a function means; None for a library's, or one that cannot be imported."""
    own = namespace.get("__builtins__")
    find: Any = own.get("__import__") if isinstance(own, dict) else None
    if not hasattr(find, "owns") and not level:
        try:
            spec = importlib.util.find_spec(name.partition(".")[0])
        except (ImportError, ValueError):
            return None
        if spec is None or not is_users(spec.name) or spec.origin in ("built-in", "frozen"):
            return None
    elif hasattr(find, "owns") and not level and not find.owns(name.partition(".")[0]):
        return None
    try:
        return (find or __import__)(name, namespace, None, ("*",), level)
    except Exception:
        return None


def cells(function: types.FunctionType) -> dict[str, Any]:
    """The values of a function's free variables."""
    out = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            out[name] = cell.cell_contents
        except ValueError:  # not bound yet
            continue
    return out


def body(value: type, namespace: Mapping[str, Any]) -> tuple[Any, types.CodeType] | None:
    """The syntax tree and the code of a class's body; None if its text is not found."""
    functions = [inspect.unwrap(one) for member in vars(value).values() for one in functions_of(member)]
    files = [one.__code__.co_filename for one in functions if is_written(one, value)]
    text = text_of(namespace, files[0] if files else str(namespace.get("__file__", "")))
    if text is None:
        return None
    first = vars(value).get("__firstlineno__")
    found = [
        (nodes[0], code)
        for (name, line), nodes in text.nodes.items()
        if name == value.__name__ and first in (None, line)
        for code in text.codes.get((name, line), ())
        if getattr(code, "co_qualname", "") == value.__qualname__
    ]
    return found[-1] if found else None


def functions_of(member: Any) -> list[Any]:
    """The functions of a class's member: of a method, a property, a static method and the like."""
    if isinstance(member, (staticmethod, classmethod)):
        return [member.__func__]
    if isinstance(member, property):
        return [one for one in (member.fget, member.fset, member.fdel) if one is not None]
    if isinstance(member, functools.cached_property):
        return [member.func]
    return [member] if isinstance(member, types.FunctionType) or hasattr(member, "__wrapped__") else []


def is_written(function: Any, owner: type) -> bool:
    """Whether a method is the user's, and not one that `dataclasses` or `namedtuple` generates."""
    if not isinstance(function, types.FunctionType):
        return False
    file, name = function.__code__.co_filename, function.__name__
    if file == "<string>" and (dataclasses.is_dataclass(owner) or issubclass(owner, tuple)) and name in GENERATED:
        return False
    return globals_are_users(function.__globals__, file)


def is_made(name: str, owner: type) -> bool:
    """Whether Python or Flax made a member of a class that is no function."""
    is_flax = issubclass(owner, nn.Module) and (name in ("parent", "name", "scope") or name.startswith("_"))
    return is_flax or name.startswith(("__", "_abc_")) or (name.startswith("_") and name.endswith("_"))
