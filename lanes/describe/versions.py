"""Versions of the user's own functions, classes and modules: a hash of what one is and of all that it reaches.

Reached is what the code names: functions and classes of the user's files and all that these reach, module constants,
defaults, closures, base classes, decorators, imports inside functions. The code counts as `lanes.describe.code` says;
constants count by value (`lanes.describe.values`). Of a module, only what is named counts (`helpers.bent`); one that is
used otherwise (passed on, `getattr`) counts whole. Things of installed libraries and of this project count by name.

A container that reached code fills (a cache), or a name that it rebinds by `global`, is working state: it counts by the
statements that define it. So do random generators, locks and open files.

Not seen: attributes found by computed names, `importlib.import_module`, files that are read, environment variables, code
behind `exec`, and what changes after a run is planned.
"""

import dataclasses
import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from lanes.describe import code as codes
from lanes.describe.definitions import body, cells, folder_of, functions_of, imported, is_made, is_written, text_of
from lanes.describe.public_names import globals_are_users, is_users, library_name, plain_module
from lanes.describe.traces import forget_traces
from lanes.describe.values import STATE, Opaque, Values, fields_of_dataclass
from lanes.errors import RequestError

# Names of a module that say where it is, not what it computes with; the file's place counts through paths.
OF_MODULES = frozenset(
    (
        "__name__",
        "__doc__",
        "__file__",
        "__path__",
        "__package__",
        "__spec__",
        "__loader__",
        "__builtins__",
        "__cached__",
        "__annotations__",
    )
)
ROUNDS = 8  # at most, until no further state is found


class Versions:
    """Versions of functions, classes and modules, each computed once: what changes later is not seen by the same object."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str, tuple[str, ...]]] = {}  # with the thing, so that its id is not reused
        self._arrays: dict[int, tuple[Any, str]] = {}

    def of(self, thing: Any) -> str:
        """16 hexadecimal digits: the version of a function or class.

        Raises RequestError for a function that reaches a value which cannot be described.
        """
        return self._described(thing)[1]

    def reached(self, thing: Any) -> tuple[str, ...]:
        """The names that a function or class reaches, for messages."""
        return self._described(thing)[2]

    def _described(self, thing: Any) -> tuple[Any, str, tuple[str, ...]]:
        if id(thing) not in self._known:
            state: frozenset[Any] = frozenset()
            for _ in range(ROUNDS):
                graph = Reached(state, self._arrays)
                described = graph.describe(thing)
                if graph.state <= state:
                    break
                state |= graph.state
            forget_traces(graph.stamps(described))
            self._known[id(thing)] = thing, codes.digest(described), tuple(dict.fromkeys(graph.names))
        return self._known[id(thing)]


class Reached(Values):
    """What one function, class or module reaches, as a list of descriptions that refer to each other by number.

    Args:
        state: (id of a module's namespace, name) and ids of the objects that reached code is known to change.
        arrays: digests of arrays, by id.

    Attributes:
        state: what the code that was reached changes.
        names: of what was reached.
    """

    def __init__(self, state: frozenset[Any], arrays: dict[int, tuple[Any, str]]):
        super().__init__(arrays)
        self.state: frozenset[Any] = frozenset()
        self.names: list[str] = []
        self._is_state = state
        self._numbers: dict[Any, int] = {}
        self._queue: list[tuple[Any, Callable[[], Any]]] = []  # with what is described, so that its id is not reused
        self._reader = ""

    def describe(self, thing: Any) -> Any:
        """The description of a thing and of all that it reaches, as JSON."""
        out = [self.token(thing)]
        while len(out) <= len(self._queue):
            out.append(self._queue[len(out) - 1][1]())
        return out

    def stamps(self, described: list[Any]) -> list[tuple[Any, Any]]:
        """Each function and class that was reached, with what differs once it, or something that it names, has changed."""
        whole = [codes.digest(_without_numbers(content)) for content in described[1:]]
        out = []
        for (kept, _), content, own in zip(self._queue, described[1:], whole):
            if isinstance(kept, (types.FunctionType, type)):
                out.append((kept, (own, [(id(self._queue[at][0]), whole[at]) for at in _numbers(content)])))
        return out

    def _at(self, key: Any, kept: Any, describe: Callable[[], Any]) -> Any:
        """A reference to something that is described once."""
        if key not in self._numbers:
            self._numbers[key] = len(self._queue)
            self._queue.append((kept, describe))
        return ["->", self._numbers[key]]

    # ---- kinds of things -----------------------------------------------------------------------------------------

    def function(self, value: types.FunctionType) -> Any:
        """A function: by name if it is a library's and has no closure."""
        if globals_are_users(value.__globals__, value.__code__.co_filename):
            return self._at(id(value), value, functools.partial(self._function, value))
        if value.__closure__ or hasattr(value, "__wrapped__"):
            return self._at(id(value), value, functools.partial(self._closure, value))
        return ["library", library_name(value)]

    def class_(self, value: type) -> Any:
        """A class: by name if it is a library's."""
        if is_users(getattr(value, "__module__", "") or ""):
            return self._at(id(value), value, functools.partial(self._class, value))
        return ["library", library_name(value)]

    def module(self, value: types.ModuleType) -> Any:
        """A module that is used as a whole: by name if it is a library's."""
        if is_users(value.__name__):
            return self._at(id(value), value, functools.partial(self._module, value))
        return ["library", value.__name__]

    def _closure(self, value: types.FunctionType) -> Any:
        """A library's function over values: by name, with these values as far as they can be described."""
        inside = {name: self.lenient(content) for name, content in cells(value).items()}
        return ["library", library_name(value), inside, self.lenient(getattr(value, "__wrapped__", None))]

    def _function(self, value: types.FunctionType) -> Any:
        code, namespace = value.__code__, value.__globals__
        self._enter(f"{value.__qualname__} of {plain_module(str(namespace.get('__name__', '')))}", namespace)
        node = codes.tree_of(code, text_of(namespace, code.co_filename))
        found = codes.reads(code)
        changed = set() if node is None else codes.changed(node)
        self._changes(namespace, found.rebound, changed & {chain[0] for chain in found.chains})
        inside = {k: None if k in changed else self.token(content) for k, content in sorted(cells(value).items())}
        own = {k: v for k, v in sorted(vars(value).items()) if not k.startswith("__")}
        return [
            codes.compiled_to(code) if node is None else codes.said(node),
            self._read(found, namespace),
            [self._default(item) for item in value.__defaults__ or ()],
            {name: self._default(item) for name, item in sorted((value.__kwdefaults__ or {}).items())},
            inside,
            {name: self.lenient(item) for name, item in own.items()},
            self.lenient(getattr(value, "__wrapped__", None)),
        ]

    def _default(self, value: Any) -> Any:
        try:
            return self.token(value)
        except Opaque as error:
            raise RequestError(
                f"{self._reader} has a default of type {error}, which cannot be told from another: use numbers, arrays, "
                "functions or frozen dataclasses, or make it inside the function"
            ) from None

    def _class(self, value: type) -> Any:
        module = sys.modules.get(value.__module__)
        namespace = {} if module is None else vars(module)
        self._enter(f"{value.__qualname__} of {plain_module(value.__module__)}", namespace)
        found = body(value, namespace)
        text = [] if found is None else [codes.said(found[0]), self._read(codes.reads(found[1]), namespace)]
        members = {}
        for name, member in sorted(vars(value).items()):
            functions = [inspect.unwrap(one) for one in functions_of(member)]
            users = [one for one in functions if is_written(one, value)]
            if users:
                members[name] = [self.token(one) for one in users]
            elif not functions and not is_made(name, value) and not inspect.isdatadescriptor(member):
                members[name] = self.lenient(member)
        meta = [] if type(value) is type else self.class_(type(value))
        bases = [self.class_(base) for base in value.__bases__]
        return [value.__qualname__, text, members, meta, bases, self._fields(value)]

    def _fields(self, value: type) -> Any:
        """The defaults of a dataclass's fields."""
        return [
            [field.name, self.lenient(field.default), self.lenient(field.default_factory)]
            for field in fields_of_dataclass(value)
        ]

    def _module(self, value: types.ModuleType) -> Any:
        self._enter(plain_module(value.__name__), vars(value))
        text = text_of(vars(value), getattr(value, "__file__", None) or "")
        names = sorted(name for name in vars(value) if name not in OF_MODULES)
        content = {name: self.lenient(vars(value)[name]) for name in names}
        return [plain_module(value.__name__), None if text is None else codes.said(text.tree), content]

    # ---- what code reads -----------------------------------------------------------------------------------------

    def _enter(self, what: str, namespace: Mapping[str, Any]) -> None:
        self._reader = what
        self.names.append(what.partition(" of ")[0])
        self.folder = folder_of(namespace)

    def _changes(self, namespace: Mapping[str, Any], rebound: frozenset[str], filled: set[str]) -> None:
        """Note what code changes: names that it rebinds, and objects that it fills."""
        self.state |= {(id(namespace), name) for name in rebound | filled if name in namespace}
        objects = [namespace[name] for name in filled if name in namespace]
        self.state |= {id(one) for one in objects if not isinstance(one, (types.ModuleType, type))}

    def _read(self, found: codes.Reads, namespace: Mapping[str, Any]) -> Any:
        """The values of the global names, with the attributes behind them, and of the imports inside functions."""
        out = []
        for name, *rest in found.chains:
            if name in namespace and name not in OF_MODULES:
                out.append([name, *rest, self._global(namespace, name, tuple(rest))])
        for name, level, names in found.imports:
            module = imported(namespace, name, level)
            if module is not None:
                out.append(["import", name, level, *(self._attribute(module, (one,)) for one in names or ("*",))])
        return out

    def _global(self, namespace: Mapping[str, Any], name: str, rest: tuple[str, ...]) -> Any:
        value = namespace[name]
        is_state = not {(id(namespace), name), id(value)}.isdisjoint(self._is_state) or isinstance(value, STATE)
        kind = type(value).__name__
        if not is_state:
            try:
                token = self._attribute(value, rest)
            except Opaque as error:
                is_state, kind = True, str(error)
            else:
                if not isinstance(value, (types.ModuleType, types.FunctionType, type)):
                    self.names.append(name)
                return token
        text = text_of(namespace, str(namespace.get("__file__", "")))
        if text is not None and name in text.statements:
            return self._at((id(namespace), name), namespace, functools.partial(self._defined, namespace, name, text))
        if (id(namespace), name) in self._is_state or id(value) in self._is_state:
            return ["state", kind]
        raise RequestError(
            f"{self._reader} uses {name}, which holds a {kind}: its value cannot be told from another; make it inside the "
            "function, or use numbers, arrays, functions and frozen dataclasses"
        )

    def _defined(self, namespace: Mapping[str, Any], name: str, text: codes.Text) -> Any:
        """A name by the module-level statements that bind it or change its object."""
        self._enter(f"{name} of {plain_module(str(namespace.get('__name__', '')))}", namespace)
        out = []
        for statement in text.statements[name]:
            found = codes.reads(codes.compiled(statement))
            others = dataclasses.replace(found, chains=tuple(chain for chain in found.chains if chain[0] != name))
            out.append([codes.said(statement), self._read(others, namespace)])
        return out

    def _attribute(self, value: Any, rest: tuple[str, ...]) -> Any:
        """A value, or the attribute of a user's module that code names behind it."""
        if not isinstance(value, types.ModuleType) or not is_users(value.__name__):
            return self.token(value)
        if not rest or rest[0] not in vars(value):
            submodule = f"{value.__name__}.{rest[0]}" if rest else ""
            return self._attribute(sys.modules[submodule], rest[1:]) if submodule in sys.modules else self.token(value)
        inner = vars(value)[rest[0]]
        if isinstance(inner, types.ModuleType):
            return self._attribute(inner, rest[1:])
        if rest[0] in OF_MODULES:
            return None
        before = self._reader, self.folder
        try:
            return self._global(vars(value), rest[0], rest[1:])
        finally:
            self._reader, self.folder = before


def _numbers(described: Any) -> list[int]:
    """The numbers in a description by which it refers to others, in order."""
    if isinstance(described, dict):
        described = list(described.values())
    if not isinstance(described, list):
        return []
    if described[:1] == ["->"]:
        return [described[1]]
    return [number for item in described for number in _numbers(item)]


def _without_numbers(described: Any) -> Any:
    if isinstance(described, dict):
        return {name: _without_numbers(item) for name, item in described.items()}
    if not isinstance(described, list):
        return described
    return ["->"] if described[:1] == ["->"] else [_without_numbers(item) for item in described]
