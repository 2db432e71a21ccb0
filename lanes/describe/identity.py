"""The identity of a run: the hash of its resolved description, and the signature of the program that trains it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from lanes.describe import trusted
from lanes.describe.descriptions import is_description, is_left_out, map_traced
from lanes.describe.encoding import decode, encode
from lanes.describe.runs import FIELDS, SWITCHED, TABLES, TRACED, Run, SharedRun, is_off, resolve
from lanes.describe.versions import Versions
from lanes.errors import RequestError

NAMES = sorted(FIELDS)  # the order in which a description is hashed
LATER = {name: field for name, field in FIELDS.items() if field.metadata.get("later")}
PLAIN = (bool, int, float, str, type(None))


def described_names(run: Run) -> list[str]:
    """The fields in a run's description, in the order in which they are hashed: all but later ones at their defaults."""
    return [name for name in NAMES if name not in LATER or not is_left_out(LATER[name], getattr(run, name))]


# The description of runs that differ in a few fields: names, with texts of what they share.
Parts = tuple[tuple[str, str | None], ...]


class Descriptions:
    """JSON descriptions of resolved runs; a value that several runs share is described once.

    The user's functions are described as they are at first sight, for example before a data function is called.
    """

    def __init__(self) -> None:
        self.versions = Versions()
        self._texts: dict[Any, tuple[Any, str]] = {}  # with the value, so that its id is not reused

    def text(self, value: Any) -> str:
        """The description of one field's value."""
        if type(value) is float and value == 0:
            return repr(value)  # 0.0 and -0.0 are equal
        key = (type(value), value) if type(value) in PLAIN else id(value)
        known = self._texts.get(key)
        if known is None:
            known = self._texts[key] = value, json.dumps(encode(value, self.versions), sort_keys=True)
        return known[1]

    def of(self, resolved: Run, without: tuple[str, ...] = ()) -> str:
        """The description of a run, without the fields in `without`."""
        fields = resolved.__dict__
        names = described_names(resolved)
        return "{" + ", ".join([f'"{name}": {self.text(fields[name])}' for name in names if name not in without]) + "}"

    def run_id(self, resolved: Run, without: tuple[str, ...] = ()) -> str:
        """16 hexadecimal digits: the hash of the description."""
        return _hashed(self.of(resolved, without))

    def parts(self, resolved: Run, varying: tuple[str, ...]) -> Parts:
        """The description of runs that differ only in the fields `varying`, none of which is ever left out."""
        names = described_names(resolved)
        return tuple((name, None if name in varying else self.text(getattr(resolved, name))) for name in names)

    def run_id_of(self, parts: Parts, resolved: Run) -> str:
        """`run_id` of a run with these parts, in less time."""
        fields, text = resolved.__dict__, self.text
        texts = [f'"{name}": {text(fields[name]) if known is None else known}' for name, known in parts]
        return _hashed("{" + ", ".join(texts) + "}")


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_id(run: Run, without: tuple[str, ...] = ()) -> str:
    """16 hexadecimal digits: the hash of the resolved description, without the fields in `without`."""
    return Descriptions().run_id(resolve(run), without)


def describe(run: Run) -> dict[str, Any]:
    """The resolved run as a JSON value."""
    return json.loads(Descriptions().of(resolve(run)))


def from_description(description: Mapping[str, Any], experiment: Any = None) -> Run:
    """The run that `describe` described.

    Raises RequestError for a symbol that a description may not name, cannot be found or has changed, and for a description
    that makes no run.
    """
    try:
        trusted.check(description)
        return Run(**{name: decode(value, experiment) for name, value in description.items()})
    except RequestError:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise RequestError(f"a run's description makes no run ({type(error).__name__}: {line})") from error


def parsed(text: Any) -> dict[str, Any]:
    """The description that a directory holds as text.

    Raises RequestError for anything but the fields of a run as JSON.
    """
    try:
        description = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(
            f"a run's description is no JSON that this program writes ({type(error).__name__})"
        ) from None
    if not isinstance(description, dict) or description.keys() | LATER.keys() != FIELDS.keys():
        raise RequestError(
            "a run's description has other fields than a run: the directory was not written by this program"
        )
    return description


def signature(run: Run, ignore: tuple[str, ...] = (), versions: Versions | None = None) -> str:
    """What a program is compiled for: the JSON of the resolved run with its traced numbers blanked."""
    out: dict[str, Any] = {"batched": True} if isinstance(run, SharedRun) and run.batched else {}
    versions = Versions() if versions is None else versions
    for name in FIELDS:
        value = getattr(run, name)
        if name in ignore or name in TRACED or is_left_out(FIELDS[name], value):
            continue
        if name in SWITCHED:
            out[name] = "off" if is_off(run, name) else "traced"
            if is_description(value):
                out[name] = encode(map_traced(name, value, _blank), versions)
        elif name in TABLES and name != "data" and not isinstance(value, nn.Module):
            out[name] = encode(map_traced(name, value, _blank), versions)
        else:
            out[name] = encode(value, versions)
    return json.dumps(out, sort_keys=True)


def _blank(path: str, number: float) -> str:  # noqa: ARG001
    return "traced"
