"""What a directory's descriptions may name, checked before anything is looked up or called.

A description is data from a file that anyone may have written. It reaches table entries and description classes of this
project, functions of a few public namespaces that are only ever traced, and what the experiment's own code defines.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lanes.describe.public_names import OURS, PUBLIC, ROOTS
from lanes.errors import RequestError

# Namespaces whose functions compute: traced, they touch no file, process or device. `jax` itself has others.
TRACED_ONLY = tuple(name for name in PUBLIC if name not in ("jax", "lanes"))
FILES = ("load", "save", "savez", "fromfile")  # of jax.numpy
BRIDGES = ("nets:from_nnx", "nets:from_equinox")


def check(description: Mapping[str, Any]) -> None:
    """Check the description of a run, as `encode` made it.

    Raises RequestError for a symbol that it may not name.
    """
    for name, value in description.items():
        _check(value, makes_data=name == "data")


def own_code(description: Any) -> list[str]:
    """The functions and classes that a description names and that neither this project nor its libraries define."""
    return sorted({symbol for symbol in _symbols(description) if symbol.partition(":")[0].split(".")[0] not in ROOTS})


def _check(value: Any, makes_data: bool) -> None:
    if isinstance(value, list):
        for item in value:
            _check(item, makes_data)
    if not isinstance(value, dict):
        return
    if "bridge" in value and value.get("bridge") not in [{"symbol": name} for name in BRIDGES]:
        raise RequestError(f"{value['bridge']} makes no net: the directory was not written by this program")
    if "symbol" in value:
        _check_symbol(value, makes_data)
    for name, inside in value.items():
        if name == "fields" and isinstance(inside, dict):
            for field, item in inside.items():
                _check(item, makes_data=field == "data")
        elif name not in ("symbol", "bridge"):
            for item in inside.values() if name == "keywords" and isinstance(inside, dict) else (inside,):
                _check(item, makes_data)


def _check_symbol(value: Mapping[str, Any], makes_data: bool) -> None:
    """Raise RequestError for a name that a run cannot have, or that lacks the version that tells which code it means."""
    symbol = str(value["symbol"])
    package, _, name = symbol.partition(":")
    if package.split(".")[0] not in ROOTS:  # the experiment's own code, which `decode` finds there and nowhere else
        if not isinstance(value.get("version"), str):
            raise RequestError(f"{symbol} has no version: the directory was not written by this program")
        return
    if "fields" in value and package in OURS:
        return
    if makes_data or package not in TRACED_ONLY or (package == "jax.numpy" and name in FILES):
        what = "makes no data" if makes_data else "is no part of a run"
        raise RequestError(f"{symbol} {what}: the directory was not written by this program")


def sources(description: Any) -> list[str]:
    """The trained runs, as `DIR:run_id`, whose codes a description's data are."""
    if isinstance(description, list):
        return [source for item in description for source in sources(item)]
    if not isinstance(description, Mapping):
        return []
    found = [source for item in description.values() for source in sources(item)]
    fields = description.get("fields")
    if description.get("symbol") == "lanes:Encoded" and isinstance(fields, Mapping):
        found.append(str(fields.get("source")))
    return found


def _symbols(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _symbols(item)
    elif isinstance(value, Mapping):
        if isinstance(value.get("symbol"), str):
            yield value["symbol"]
        for item in value.values():
            yield from _symbols(item)
