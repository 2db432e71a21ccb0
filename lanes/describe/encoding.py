"""Values of a run as JSON: `encode` describes a value completely, and `decode` rebuilds it.

A function or class of this project, of JAX, Flax or Optax is identified by the shortest public package that exports it
(`lanes:Adam`, `nets:MLP`, `jax.nn:relu`), wherever its file is; all others by module, qualified name and version
(`lanes.describe.versions`).
"""

import dataclasses
import functools
import sys
import types
from typing import Any

from lanes.describe.descriptions import described_fields, fields_of, is_description
from lanes.describe.neighbours import neighbours_of
from lanes.describe.public_names import EXPERIMENT, OURS, PUBLIC, ROOTS, exported, module_of, public_name
from lanes.describe.versions import Versions
from lanes.errors import RequestError
from nets.bridge import Bridged


def _symbol(thing: Any, versions: Versions) -> dict[str, Any]:
    public = public_name(thing)
    if public is not None:
        return {"symbol": public}
    module = module_of(thing)
    if module.split(".")[0] in OURS:
        raise RequestError(
            f"{thing.__qualname__} of {module} is not public: use what lanes, nets and losses export, or your own copy"
        )
    return {"symbol": f"{module}:{thing.__qualname__}", "version": versions.of(thing)}


def encode(value: Any, versions: Versions | None = None) -> Any:
    """A JSON value that describes `value` completely: `decode` rebuilds it, and its hash is the identity.

    Args:
        value: of a run's field.
        versions: those of the user's functions that are known already; each is computed once.

    Raises RequestError for a value that cannot describe a run.
    """
    versions = Versions() if versions is None else versions
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [encode(item, versions) for item in value]
    if isinstance(value, functools.partial):
        return {
            "partial": encode(value.func, versions),
            "args": encode(value.args, versions),
            "keywords": {k: encode(v, versions) for k, v in value.keywords.items()},
        }
    if isinstance(value, Bridged):
        made = {"bridge": encode(value.made_by), "module": encode(value.made_of)}
        return {**made, "fields": {name: encode(getattr(value, name)) for name in fields_of(value)}}
    if is_description(value):
        fields = {name: encode(getattr(value, name), versions) for name in described_fields(value)}
        return {**_symbol(type(value), versions), "fields": fields}
    if callable(value) and hasattr(value, "__qualname__"):
        return _symbol(value, versions)
    raise RequestError(
        f"{value!r} of type {type(value).__name__} cannot describe a run: use numbers, names, functions and frozen dataclasses"
    )


def decode(value: Any, experiment: types.ModuleType | None = None) -> Any:
    """The value that `encode` described; symbols of an experiment file are looked up in the module `experiment`.

    Raises RequestError if a symbol no longer exists, or is of another version.
    """
    if isinstance(value, list):
        return tuple(decode(item, experiment) for item in value)
    if not isinstance(value, dict):
        return value
    if "partial" in value:
        keywords = {k: decode(v, experiment) for k, v in value["keywords"].items()}
        return functools.partial(decode(value["partial"], experiment), *decode(value["args"], experiment), **keywords)
    if "bridge" in value:
        fields = {name: decode(item, experiment) for name, item in value["fields"].items()}
        return decode(value["bridge"], experiment)(decode(value["module"], experiment), **fields)
    thing = _find(value["symbol"], experiment)
    if "version" in value:
        _check_version(value, thing, experiment)
    if "fields" in value:
        if not (isinstance(thing, type) and dataclasses.is_dataclass(thing)):
            raise RequestError(f"{value['symbol']} is not a description: the directory was not written by this program")
        return thing(**{name: decode(item, experiment) for name, item in value["fields"].items()})
    return thing


def _check_version(value: dict[str, Any], thing: Any, experiment: types.ModuleType | None) -> None:
    """Raise RequestError if a function or class, or anything that it reaches, is not what was described."""
    neighbours = neighbours_of(experiment)
    versions = Versions() if neighbours is None else neighbours.versions
    if versions.of(thing) != value["version"]:
        reached = [name for name in versions.reached(thing) if name != value["symbol"].partition(":")[2]]
        inside = (
            f", or something it reaches ({', '.join(reached[:6])}{', …' if len(reached) > 6 else ''}),"
            if reached
            else ""
        )
        raise RequestError(
            f"{value['symbol']}{inside} has changed since the run was described: bring back the version that was trained"
        )


def _find(symbol: str, experiment: types.ModuleType | None) -> Any:
    """The function or class that a symbol names; other attributes and things imported from elsewhere are refused."""
    module_name, _, qualname = symbol.partition(":")
    try:
        if module_name.split(".")[0] in ROOTS:
            found = exported(module_name, qualname) if module_name in PUBLIC else None
            if found is None or public_name(found) != symbol:
                raise AttributeError
            return found
        module = experiment if module_name == EXPERIMENT else _users_module(module_name, experiment)
        thing: Any = functools.reduce(getattr, qualname.split("."), module)
        if module_of(thing) != module_name or thing.__qualname__ != qualname:
            raise AttributeError
    except (AttributeError, TypeError):
        raise RequestError(
            f"{symbol} cannot be found: it was defined where the run was started; import or define it first"
        ) from None
    return thing


def _users_module(name: str, experiment: types.ModuleType | None) -> types.ModuleType | None:
    """The imported module of the user that a description names, or None if it may not name it.

    A run directory must not be able to reach harmful code: nothing of the standard library, and of installed packages only
    those that the experiment itself uses.
    """
    neighbours = neighbours_of(experiment)
    if neighbours is not None and neighbours.knows(name):
        return neighbours.load(name)
    root = name.split(".")[0]
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if root in sys.stdlib_module_names or file is None:
        return None
    installed = not {"site-packages", "dist-packages"}.isdisjoint(file.replace("\\", "/").split("/"))
    named = {
        getattr(value, "__module__", None) or getattr(value, "__name__", "")
        for value in vars(experiment or types).values()
    }
    return module if not installed or root in {str(value).split(".")[0] for value in named} else None
