"""Names of functions and classes: public ones for this project and its libraries, which stay when files move."""

import functools
import importlib
import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from typing import Any

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
ROOTS = {package.split(".")[0] for package in PUBLIC}
EXPERIMENT = "experiment"  # the module name of an experiment file, whatever its path
LOADED = re.compile(rf"{EXPERIMENT}_[0-9a-f]{{16}}(?:_\d+)?(?:\.|$)")  # a loaded experiment, or a module beside it


def plain_module(name: str) -> str:
    """A module's name: `experiment` for a loaded experiment file, and the name it is imported by for a module beside it."""
    match = LOADED.match(name)
    return name if match is None else name[match.end() :] or EXPERIMENT


def module_of(thing: Any) -> str:
    """The module name of a function or class; `experiment` for every loaded experiment file."""
    return plain_module(getattr(thing, "__module__", "") or "")


@functools.lru_cache(maxsize=4096)
def public_name(thing: Any) -> str | None:
    """`package:name` for the shortest public package that exports a thing under its own name; None if none does."""
    name = getattr(thing, "__qualname__", "")
    root = module_of(thing).split(".")[0]
    for package in PUBLIC:
        if package.split(".")[0] == root and exported(package, name) is thing:
            return f"{package}:{name}"
    return None


def exported(package: str, name: str) -> Any:
    """What a public package exports under a name, or None; for packages of this project, only names in `__all__`."""
    try:
        module = importlib.import_module(package)
    except ImportError:
        return None
    if not name.isidentifier() or name.startswith("_") or (package in OURS and name not in module.__all__):
        return None
    return getattr(module, name, None)


def library_name(thing: Any) -> str:
    """The name of a library's function or class: public if it has one, without the private parts of its module's path."""
    try:
        public = public_name(thing)
    except TypeError:  # not hashable
        public = None
    if public is not None:
        return public
    module = ".".join(part for part in module_of(thing).split(".") if not part.startswith("_"))
    return f"{module}:{getattr(thing, '__qualname__', None) or getattr(thing, '__name__', type(thing).__name__)}"


def is_users(module: str) -> bool:
    """Whether a module is the user's own: neither of this project, nor of the standard library, nor installed."""
    if LOADED.match(module) or module == "__main__":
        return True
    root = module.partition(".")[0]
    if not root or root in ROOTS or root in sys.stdlib_module_names or root in sys.builtin_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or getattr(sys.modules.get(root), "__file__", None)
    return file is None or is_users_file(file)


@functools.lru_cache(maxsize=4096)
def is_users_file(file: str) -> bool:
    """Whether a file of Python code is the user's own: outside of the standard library, and of installed packages."""
    path = os.path.abspath(file)
    if not {"site-packages", "dist-packages"}.isdisjoint(path.replace("\\", "/").split("/")):
        return False
    own = {os.path.dirname(os.path.abspath(package)) for root in OURS if (package := _file(root))}
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    return not any(path.startswith(folder + os.sep) for folder in own | library)


def _file(root: str) -> str | None:
    return getattr(sys.modules.get(root), "__file__", None)


def globals_are_users(namespace: Mapping[str, Any], file: str) -> bool:
    """Whether code that is compiled from `file` and runs in a module's namespace is the user's own."""
    name = namespace.get("__name__", "__main__")  # `exec` in a dictionary gives none
    return is_users(str(name)) and (file.startswith("<") or is_users_file(file))
