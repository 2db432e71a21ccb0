"""Arguments that a user binds to a function: by name, changed, and told apart into traced numbers and what is static."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any


class Bound(functools.partial):
    """A partial that equals another one of the same function and arguments, so that it can stand in a compiled program's key."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bound) and _parts(self) == _parts(other)

    def __hash__(self) -> int:
        try:
            return hash((self.func, self.args, *sorted(self.keywords.items())))
        except TypeError:  # an argument that cannot be hashed, or not be sorted
            return hash((self.func, *sorted(self.keywords)))


def _parts(value: functools.partial) -> tuple[Any, ...]:
    return value.func, value.args, value.keywords


def bound_arguments(value: functools.partial) -> dict[str, Any]:
    """The arguments that a partial binds, by parameter; by position where the function does not tell its parameters."""
    try:
        signature = inspect.signature(value.func)
        bound = signature.bind_partial(*value.args, **value.keywords).arguments
    except (TypeError, ValueError):
        return {**{str(at): item for at, item in enumerate(value.args)}, **value.keywords}
    out: dict[str, Any] = {}
    for name, item in bound.items():
        several = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        out |= item if several else {name: item}
    return out


def parameters_of(function: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a function by name; empty if it does not tell them."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}


def changed(value: functools.partial, arguments: Mapping[str, Any]) -> Bound:
    """The partial with these of its arguments changed, each by keyword or by position as it was; new ones are keywords."""
    names = [*parameters_of(value.func), *map(str, range(len(value.args)))][: len(value.args)]
    args = [arguments.get(name, item) for name, item in zip(names, value.args, strict=True)]
    keywords = {name: item for name, item in arguments.items() if name not in names}
    return Bound(value.func, *args, **{**value.keywords, **keywords})


def arguments_of(value: Any) -> dict[str, Any]:
    """The arguments that a partial binds, or the fields of a description, by name."""
    if isinstance(value, functools.partial):
        return bound_arguments(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    return {}


def with_arguments(value: Any, arguments: Mapping[str, Any]) -> Any:
    """The partial or description with these of its arguments or fields changed."""
    if not arguments:
        return value
    return (
        changed(value, arguments) if isinstance(value, functools.partial) else dataclasses.replace(value, **arguments)
    )


Attempt = Callable[[Any, tuple[str, ...]], bool]


def read_in_python(value: Any, *attempts: Attempt) -> frozenset[str]:
    """The floats bound to a function, or in a description, that cannot be traced because the function reads them in Python.

    Args:
        value: the partial or description.
        attempts: whether the function works with the arguments of these names traced; the first that works with none is
            asked. Of values that differ only in their floats, one is tried.
    """
    arguments = arguments_of(value)
    floats = tuple(name for name, item in arguments.items() if isinstance(item, float))
    if not floats:
        return frozenset()
    others = tuple((name, item) for name, item in arguments.items() if name not in floats)
    made_by = value.func if isinstance(value, functools.partial) else type(value)
    trial = _Trial((made_by, floats, others, attempts), value)
    try:
        return _untraceable(trial)
    except TypeError:  # an argument that cannot be hashed
        return _untraceable.__wrapped__(trial)


@dataclasses.dataclass(frozen=True)
class _Trial:
    """A value to try; equal for values that differ only in their floats."""

    key: tuple[Any, tuple[str, ...], tuple[Any, ...], tuple[Attempt, ...]]
    value: Any = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=256)
def _untraceable(trial: _Trial) -> frozenset[str]:
    _, floats, _, attempts = trial.key
    for attempt in attempts:
        if not attempt(trial.value, ()):
            continue
        if attempt(trial.value, floats):
            return frozenset()
        traced: tuple[str, ...] = ()
        for name in floats:
            traced = (*traced, name) if attempt(trial.value, (*traced, name)) else traced
        return frozenset(floats) - frozenset(traced)
    return frozenset()
