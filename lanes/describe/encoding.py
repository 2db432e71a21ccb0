"""Values of a run as JSON: `encode` describes a value completely, and `decode` rebuilds it.

A function or class of this project, of JAX, Flax or Optax is identified by the shortest public package that exports it
(`lanes:Adam`, `nets:MLP`, `jax.nn:relu`), wherever its file is; all others by module, qualified name and source.
"""

import dataclasses
import functools
import hashlib
import importlib
import inspect
import sys
import textwrap
import types
from typing import Any

from lanes.describe.descriptions import fields_of, is_description
from lanes.errors import RequestError
from nets.bridge import Bridged

OURS = ("lanes", "nets", "losses")
# Public packages, shorter ones first, so that every exported object has one name.
PUBLIC = (
    *OURS,
    "jax",
    "optax",
    "jax.nn",
    "jax.lax",
    "jax.numpy",
    "jax.random",
    "flax.linen",
    "optax.losses",
    "optax.contrib",
    "jax.nn.initializers",
    "jax.scipy.special",
)
EXPERIMENT = "experiment"  # the module name of an experiment file, whatever its path


def module_of(thing: Any) -> str:
    """The module name of a function or class; `experiment` for every loaded experiment file."""
    name = getattr(thing, "__module__", "") or ""
    return EXPERIMENT if name.startswith(EXPERIMENT + "_") else name


@functools.lru_cache(maxsize=4096)
def source_hash(thing: Any) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of a function's or class's source text."""
    try:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.lru_cache(maxsize=4096)
def public_name(thing: Any) -> str | None:
    """`package:name` for the shortest public package that exports a thing under its own name; None if none does."""
    name = getattr(thing, "__qualname__", "")
    root = module_of(thing).split(".")[0]
    for package in PUBLIC:
        if package.split(".")[0] == root and _exported(package, name) is thing:
            return f"{package}:{name}"
    return None


def _exported(package: str, name: str) -> Any:
    """What a public package exports under a name, or None; for packages of this project, only names in `__all__`."""
    try:
        module = importlib.import_module(package)
    except ImportError:
        return None
    if not name.isidentifier() or name.startswith("_") or (package in OURS and name not in module.__all__):
        return None
    return getattr(module, name, None)


def _symbol(thing: Any) -> dict[str, Any]:
    public = public_name(thing)
    if public is not None:
        return {"symbol": public}
    module = module_of(thing)
    if module.split(".")[0] in OURS:
        raise RequestError(
            f"{thing.__qualname__} of {module} is not public: use what lanes, nets and losses export, or your own copy"
        )
    return {"symbol": f"{module}:{thing.__qualname__}", "source": source_hash(thing)}


def encode(value: Any) -> Any:
    """A JSON value that describes `value` completely: `decode` rebuilds it, and its hash is the identity.

    Raises RequestError for a value that cannot describe a run.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, functools.partial):
        return {
            "partial": encode(value.func),
            "args": encode(value.args),
            "keywords": {k: encode(v) for k, v in value.keywords.items()},
        }
    if isinstance(value, Bridged):
        made = {"bridge": encode(value.made_by), "module": encode(value.made_of)}
        return {**made, "fields": {name: encode(getattr(value, name)) for name in fields_of(value)}}
    if is_description(value):
        return {**_symbol(type(value)), "fields": {name: encode(getattr(value, name)) for name in fields_of(value)}}
    if callable(value) and hasattr(value, "__qualname__"):
        return _symbol(value)
    raise RequestError(
        f"{value!r} of type {type(value).__name__} cannot describe a run: use numbers, names, functions and frozen dataclasses"
    )


def decode(value: Any, experiment: types.ModuleType | None = None) -> Any:
    """The value that `encode` described; symbols of an experiment file are looked up in the module `experiment`.

    Raises RequestError if a symbol no longer exists or its source text has changed.
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
    if value.get("source", "") and source_hash(thing) != value["source"]:
        raise RequestError(
            f"{value['symbol']} has changed since the run was described: bring back the version that was trained"
        )
    if "fields" in value:
        if not (isinstance(thing, type) and dataclasses.is_dataclass(thing)):
            raise RequestError(f"{value['symbol']} is not a description: the directory was not written by this program")
        return thing(**{name: decode(item, experiment) for name, item in value["fields"].items()})
    return thing


def _find(symbol: str, experiment: types.ModuleType | None) -> Any:
    """The function or class that a symbol names; other attributes and things imported from elsewhere are refused."""
    module_name, _, qualname = symbol.partition(":")
    try:
        if module_name.split(".")[0] in {package.split(".")[0] for package in PUBLIC}:
            exported = _exported(module_name, qualname) if module_name in PUBLIC else None
            if exported is None or public_name(exported) != symbol:
                raise AttributeError
            return exported
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
