"""Values as JSON by which they are told apart, equal in every process: constants that code reads, defaults, closures.

Numbers, texts, containers, arrays, paths, enums, dataclasses, partials and functions count by value; other objects by what
`pickle` would keep of them. Nothing is rebuilt from this JSON: `lanes.describe.encoding` is for that.
"""

import collections.abc
import dataclasses
import enum
import functools
import hashlib
import io
import os
import random
import re
import threading
import types
from pathlib import PurePath
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lanes.describe.descriptions import is_left_out
from lanes.describe.public_names import LOADED, globals_are_users, is_users, library_name

# Objects that change as they are used.
STATE = (
    np.random.Generator,
    np.random.RandomState,
    random.Random,
    io.IOBase,
    collections.abc.Iterator,
    type(os.environ),
    type(threading.Lock()),
    type(threading.RLock()),
)
NUMBERS = (bool, int, float, complex, bytes, type(None), type(Ellipsis), type(NotImplemented))
WRAPPERS = ("fun", "fwd", "bwd", "jvp", "func", "pyfunc", "args", "keywords", "nondiff_argnums")


class Opaque(TypeError):
    """A value that cannot be told from another one; the text names its type."""


class Values:
    """Tokens of values; a subclass says what functions, classes and modules are.

    Args:
        arrays: digests of arrays, by id.

    Attributes:
        folder: what paths are relative to.
    """

    folder = ""

    def __init__(self, arrays: dict[int, tuple[Any, str]]):
        self._arrays = arrays
        self._open: list[int] = []  # ids of the containers around a value

    def function(self, value: types.FunctionType) -> Any:
        """The token of a function."""
        raise NotImplementedError

    def class_(self, value: type) -> Any:
        """The token of a class."""
        raise NotImplementedError

    def module(self, value: types.ModuleType) -> Any:
        """The token of a module."""
        raise NotImplementedError

    def lenient(self, value: Any) -> Any:
        """The token of a value, or of its type if the value cannot be told from another."""
        try:
            return self.token(value)
        except Opaque as error:
            return ["opaque", str(error)]

    def token(self, value: Any) -> Any:
        """JSON that is equal for equal values, in every process.

        Raises Opaque for a value that cannot be told from another.
        """
        if isinstance(value, NUMBERS) and type(value) in NUMBERS:
            return [type(value).__name__, f"{value:x}" if type(value) is int else repr(value)]
        if type(value) is str:
            return ["str", self._relative(value)]
        if isinstance(value, (types.ModuleType, type, types.FunctionType)):
            return self._of_code(value)
        if id(value) in self._open:
            return ["around", len(self._open) - self._open.index(id(value))]
        self._open.append(id(value))
        try:
            for kind in (self._container, self._array, self._callable, self._object):
                token = kind(value)
                if token is not None:
                    return token
        except RecursionError:
            pass
        finally:
            self._open.pop()
        raise Opaque(f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins."))

    def _of_code(self, value: Any) -> Any:
        if isinstance(value, types.ModuleType):
            return self.module(value)
        return self.class_(value) if isinstance(value, type) else self.function(value)

    def _relative(self, text: str) -> str:
        """A text without the folder of the experiment, and without the name that a loaded experiment has."""
        for folder in {self.folder, os.path.realpath(self.folder)} if self.folder else ():
            if text == folder or text.startswith((folder + os.sep, folder + "/")):
                return "{folder}" + text[len(folder) :].replace(os.sep, "/")
        match = LOADED.match(text)
        return text if match is None else "{experiment}" + text[match.end() :]

    def _container(self, value: Any) -> Any:
        if isinstance(value, enum.Enum):
            return ["enum", self.class_(type(value)), value.name, self.lenient(value.value)]
        if isinstance(value, tuple) and (type(value) is tuple or hasattr(value, "_fields")):
            kind = ["tuple"] if type(value) is tuple else ["tuple", self.class_(type(value))]
            return [*kind, [self.token(item) for item in value]]
        if type(value) is list:
            return ["list", [self.token(item) for item in value]]
        if type(value) in (dict, types.MappingProxyType):
            return ["dict", [[self.token(key), self.token(item)] for key, item in value.items()]]
        if type(value) in (set, frozenset):
            return ["set", sorted((self.token(item) for item in value), key=repr)]
        if isinstance(value, PurePath):
            return ["path", self._relative(str(value))]
        return None

    def _array(self, value: Any) -> Any:
        if isinstance(value, jax.core.Tracer):
            return None
        if isinstance(value, jax.Array):
            kind = f"{value.dtype} {'weak' if getattr(value, 'weak_type', False) else ''}"
            is_key = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
            return ["jax", kind, list(value.shape), self._bytes(value, jax.random.key_data if is_key else np.asarray)]
        if type(value) is np.ndarray or isinstance(value, np.generic):
            array = np.asarray(value)
            if array.dtype.hasobject:
                return ["objects", list(array.shape), [self.token(item) for item in array.ravel().tolist()]]
            kind = "numpy" if isinstance(value, np.ndarray) else "number"
            return [kind, str(array.dtype.descr), list(array.shape), self._bytes(value, np.asarray)]
        return None

    def _bytes(self, value: Any, read: Any) -> str:
        if id(value) not in self._arrays:
            array = np.ascontiguousarray(read(value))
            # Types that NumPy does not know the buffer of, such as bfloat16 and dates, are read as bytes.
            content: Any = array.reshape(-1).view(np.uint8) if array.size else b""
            self._arrays[id(value)] = value, hashlib.sha256(content).hexdigest()
        return self._arrays[id(value)][1]

    def _callable(self, value: Any) -> Any:
        """Partials, methods, and the objects that libraries wrap functions in (`jax.jit`, `jax.custom_jvp`, `lru_cache`)."""
        if isinstance(value, functools.partial):
            named = sorted(value.keywords.items())
            arguments = [self.token(item) for item in value.args]
            return ["partial", self.token(value.func), arguments, [[name, self.token(item)] for name, item in named]]
        if isinstance(value, types.MethodType):
            return ["method", self.token(value.__func__), self.token(value.__self__)]
        if isinstance(value, types.BuiltinMethodType):
            owner = value.__self__
            if owner is None or isinstance(owner, types.ModuleType):
                return ["library", library_name(value)]
            return ["method", value.__name__, self.token(owner)]
        if isinstance(value, (staticmethod, classmethod)):
            return [type(value).__name__, self.token(value.__func__)]
        if isinstance(value, property):
            return ["property", *(self.lenient(one) for one in (value.fget, value.fset, value.fdel))]
        if not callable(value) or isinstance(value, jax.Array) or is_users(type(value).__module__):
            return None
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None and not _is_plain(wrapped):
            parts = {name: self.lenient(getattr(value, name)) for name in WRAPPERS if hasattr(value, name)}
            return ["wrapped", type(value).__qualname__, self.token(wrapped), parts]
        if hasattr(value, "__qualname__") and hasattr(value, "__module__") and wrapped is not None:
            return ["library", library_name(value)]
        if isinstance(value, (np.ufunc, types.WrapperDescriptorType, types.MethodDescriptorType)):
            return ["library", f"{type(value).__module__}.{value.__name__}"]
        return None

    def _object(self, value: Any) -> Any:
        """Instances: a dataclass by its fields, anything else by what `pickle` would keep of it."""
        if dataclasses.is_dataclass(value):
            hidden = ("parent", "name") if isinstance(value, nn.Module) else ()
            stated = [field for field in fields_of_dataclass(type(value)) if hasattr(value, field.name)]
            stated = [field for field in stated if not is_left_out(field, getattr(value, field.name))]
            fields = {
                field.name: self.token(getattr(value, field.name)) for field in stated if field.name not in hidden
            }
            return ["instance", self.class_(type(value)), fields]
        if isinstance(value, re.Pattern):
            return ["pattern", self.token(value.pattern), value.flags]
        if isinstance(value, np.dtype):
            return ["dtype", str(value)]
        if isinstance(value, (jax.core.Tracer, *STATE)):
            return None
        try:
            parts = value.__reduce_ex__(4)
        except Exception:
            return None
        if isinstance(parts, str):
            return ["named", library_name(type(value)), parts]
        function, arguments, state, items, pairs = (*parts, None, None, None)[:5]
        content = [self.token(function), self.token(arguments), self.token(state)]
        listed = [self.token(item) for item in items or ()], [self.token(list(pair)) for pair in pairs or ()]
        return ["object", content, *listed]


def fields_of_dataclass(value: type) -> tuple[Any, ...]:
    """The fields of a dataclass; none for another class."""
    return dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()


def _is_plain(wrapped: Any) -> bool:
    """Whether a wrapped function is a library's that its name describes."""
    if not isinstance(wrapped, types.FunctionType) or wrapped.__closure__:
        return False
    return not globals_are_users(wrapped.__globals__, wrapped.__code__.co_filename)
