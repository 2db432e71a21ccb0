"""Planning many runs quickly: runs that differ only in numbers form a family, which is resolved and checked once.

A sweep of 100,000 runs has few combinations of net, data, optimizer and the like, and many of rates, strengths and seeds.
The first run of a family is checked in full; for the others, only numbers new to the family are checked.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from lanes.describe import checks, identity, representable, runs
from lanes.describe.columns import display_name
from lanes.describe.descriptions import fields_of, is_description
from lanes.describe.runs import FIELDS, SWITCHED, TRACED, Run, off
from lanes.errors import RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.planned import Planned, plan_runs

NUMBERS = (*TRACED, *SWITCHED)
STATIC = tuple(name for name in FIELDS if name not in NUMBERS)
BY_KIND = ("momentum", "clip", "weight_decay")  # numbers whose range depends on the optimizer
PLAIN = (int, float, str, bool, type(None))


@dataclasses.dataclass
class Family:
    """Runs with equal static fields and the same switched fields on.

    Attributes:
        first: the first of them, planned.
        seen: checked numbers as plain Python numbers, by (name, type, value).
        parts: of the first one's description.
        flat: the first of them, with plain numbers only (`runs.flat`).
    """

    first: Planned
    seen: dict[tuple[str, type, Any], Any]
    parts: identity.Parts
    flat: Run


class Families:
    """Plans runs one by one.

    Args:
        datasets: where their data come from.
    """

    def __init__(self, datasets: Datasets):
        self._datasets = datasets
        self._families: dict[Any, Family] = {}
        self._tokens: dict[int, tuple[Any, Any]] = {}
        self._values: dict[Any, Any] = {}
        self._descriptions = datasets.descriptions

    def plan(self, run: Run) -> Planned:
        """The run resolved, checked and identified.

        Raises RequestError if anything is wrong with it.
        """
        if not isinstance(run, Run):
            raise RequestError(f"sweep() returned {type(run).__name__} {run!r:.60}: it must return Run objects")
        fields = run.__dict__
        if not all(
            isinstance(value := fields[name], (int, float, type(None))) or is_description(value) for name in NUMBERS
        ):
            return self._in_full(run)  # NumPy's numbers, and values of a wrong type
        key = self._key(fields)
        family = self._families.get(key)
        if family is None:
            planned = dataclasses.replace(self._in_full(run), family=len(self._families))
            family = self._families[key] = self._family(planned)
            self._remember(family, fields, planned.run)
            return planned
        numbers = self._seen(family, fields)
        if numbers is None:
            self._check_unseen(family, run, fields)
            numbers = self._seen(family, fields) or {}
        first = family.first
        plain = _with(first.run, numbers)
        run_id = self._descriptions.run_id_of(family.parts, plain)
        return _with(first, {"run": plain, "run_id": run_id, "compiled": plain})

    def _family(self, first: Planned) -> Family:
        return Family(first, {}, self._descriptions.parts(first.run, NUMBERS), runs.flat(first.run))

    def _seen(self, family: Family, fields: dict[str, Any]) -> dict[str, Any] | None:
        """The run's numbers as plain Python numbers; None if any is new to the family."""
        keys = {name: (name, type(fields[name]), fields[name]) for name in NUMBERS}
        if not all(key in family.seen for key in keys.values()):
            return None
        return {name: family.seen[key] for name, key in keys.items()}

    def _check_unseen(self, family: Family, run: Run, fields: dict[str, Any]) -> None:
        """Check the numbers that are new to the family: by themselves where their range depends on nothing else."""
        unseen = {name: fields[name] for name in NUMBERS if (name, type(fields[name]), fields[name]) not in family.seen}
        alone = not any(name in BY_KIND or is_description(value) for name, value in unseen.items())
        checked = self._checked_alone(family, unseen) if alone else None
        self._remember(family, fields, self._in_full(run).run if checked is None else checked)

    def _checked_alone(self, family: Family, unseen: dict[str, Any]) -> Run | None:
        """The family's run with these numbers; None if one rounds to a limit of its range, which takes a check in full."""
        plain = {name: checks.check_type(name, value) for name, value in unseen.items()}
        if not representable.survive(plain):
            return None
        checks.check_ranges(_with(family.flat, plain))
        new = _with(family.first.run, plain)
        representable.check_length(new, family.first.setup.examples)
        return new

    def _remember(self, family: Family, fields: dict[str, Any], checked: Run) -> None:
        for name in NUMBERS:
            # What stands for a number is resolved in the first run of a family only.
            family.seen.setdefault((name, type(fields[name]), fields[name]), getattr(checked, name))

    def _in_full(self, run: Run) -> Planned:
        with refusing("a run cannot be described"):
            resolved = checks.resolved(run)
        with refusing("a run cannot be described"):
            self._descriptions.run_id(resolved)  # before its functions are called
        with refusing(f"data {display_name(resolved.data)} cannot be loaded"):
            try:
                data = self._datasets.of(resolved)
            except ValueError as error:
                raise RequestError(str(error)) from error
            except OSError as error:
                raise RequestError(
                    f"data {display_name(resolved.data)} cannot be loaded: {error}: bring back what it reads"
                ) from error
        with refusing("a run cannot be planned"):
            checked = checks.check_with_data(resolved, data)
            (planned,) = plan_runs([checked], self._datasets)
        return planned

    def _key(self, fields: dict[str, Any]) -> Any:
        static = [fields[name] for name in STATIC]
        on = [
            self._token(value) if is_description(value := fields[name]) else not off(name, value) for name in SWITCHED
        ]
        return tuple([value if type(value) in PLAIN else self._token(value) for value in static] + on), tuple(
            map(type, static)
        )

    def _token(self, value: Any) -> Any:
        """A token that is equal for equal values; looked up by identity first, then by hash."""
        known = self._tokens.get(id(value))
        if known is None:
            try:
                token = self._values.setdefault((_compared(value), _types(value)), len(self._values))
            except TypeError:  # not hashable: equal to itself only
                token = object()
            known = self._tokens[id(value)] = token, value  # keeps the object alive, and so its id taken
        return known[0]


def _compared(value: Any) -> Any:
    """What is equal for equal values: a partial by its function and arguments."""
    if isinstance(value, functools.partial):
        return value.func, value.args, tuple(sorted(value.keywords.items()))
    return value


def _types(value: Any) -> Any:
    """The types of a value and of all that it holds: `Mine(1)`, `Mine(True)` and `Mine(1.0)` are equal in Python."""
    if isinstance(value, functools.partial):
        return type(value), _types(value.args), *(_types(item) for _, item in sorted(value.keywords.items()))
    if isinstance(value, (tuple, list)):
        return type(value), *map(_types, value)
    if is_description(value):
        return type(value), *(_types(getattr(value, name)) for name in fields_of(value))
    return (float, repr(value)) if type(value) is float else type(value)


@contextlib.contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever the user's own functions, nets and descriptions raise into a RequestError of one line."""
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(f"{what}: {type(error).__name__}: {error} (--traceback shows where)") from error


def _with(value: Any, fields: dict[str, Any]) -> Any:
    """`dataclasses.replace`, ten times as fast, for a description that checks nothing when it is made."""
    new = object.__new__(type(value))
    new.__dict__.update(value.__dict__)
    new.__dict__.update(fields)
    return new
